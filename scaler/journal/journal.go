package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"flyball/rules"
)

// Options are what a journal may be told; the zero value is good.
type Options struct {
	Log      *slog.Logger          // nil: silent
	Metrics  prometheus.Registerer // nil: not exported
	Keep     time.Duration         // how long ticks are kept; 0: 7 days
	KeepActs time.Duration         // how long entries are kept; 0: 400 days
	Now      func() time.Time      // dates steps, their ends and answers; nil: [time.Now]
}

// A Journal is the file. It is safe for concurrent use; writers wait for each
// other, readers wait for nobody. A write that failed changed nothing, and the
// next one is tried as if it had not been.
type Journal struct {
	path    string
	opts    Options
	lock    *os.File
	pack    *packer
	metrics *metrics
	files   []heldFile
	id      string

	fast *sql.DB // commits survive the end of the process
	sure *sql.DB // commits survive the end of the machine
	read *sql.DB

	mu     sync.Mutex // held by the one writer
	last   map[string]rules.Decision
	closed bool

	ordering sync.Mutex          // held while orders are written, or read from the file
	standing map[string]Standing // as the file has them; nil: not read yet

	bell  sync.Mutex
	added chan struct{} // closed when entries were added, and by Close
	done  chan struct{} // closed by Close
}

var (
	// ErrClosed means that the journal was closed.
	ErrClosed = errors.New("journal is closed")
	// ErrMoved means that the file was moved, deleted or replaced while it is in
	// use: what is written into it would be lost.
	ErrMoved = errors.New("journal file was moved, deleted or replaced while in use: put it back, or restart flyball")
)

// Open opens the journal of a data folder, both of which it creates if need be,
// brings it to this program's version and checks all that acting depends on. It
// fails if another process has the folder, if the file is newer than this
// program, and if it is damaged.
func Open(dir string, o Options) (*Journal, error) {
	o.fill()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("create data folder: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	pack, err := newPacker()
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	j := &Journal{
		path: filepath.Join(dir, "journal.db"), opts: o, lock: lock, pack: pack,
		last: map[string]rules.Decision{}, added: make(chan struct{}), done: make(chan struct{}),
	}
	if err := j.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open journal %s: %w", j.path, err), j.release())
	}
	j.metrics = newMetrics(o.Metrics, j.size)
	o.Log.Info("journal opened", "path", j.path, "bytes", j.size())
	return j, nil
}

func (o *Options) fill() {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Keep <= 0 {
		o.Keep = 7 * 24 * time.Hour
	}
	if o.KeepActs <= 0 {
		o.KeepActs = 400 * 24 * time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

func (j *Journal) open() error {
	var err error
	if j.fast, err = connect(j.path, "NORMAL", 1); err != nil {
		return err
	}
	if err := prepare(j.fast); err != nil {
		return err
	}
	if j.sure, err = connect(j.path, "FULL", 1); err != nil {
		return err
	}
	if j.read, err = connect(j.path, "OFF", 4); err != nil {
		return err
	}
	if _, err := j.fast.Exec(`UPDATE opened SET times = times + 1`); err != nil {
		return fmt.Errorf("write: %w", err) // also makes the write-ahead log exist
	}
	if err := j.fast.QueryRow(`SELECT id FROM identity`).Scan(&j.id); err != nil {
		return fmt.Errorf("read identity: %w", err)
	}
	j.files, err = hold(j.path, j.path+"-wal")
	return err
}

// Close waits for the writer, ends the followers and gives the folder free.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil
	}
	j.closed = true
	close(j.done)
	return j.release()
}

func (j *Journal) release() error {
	var errs []error
	for _, db := range []*sql.DB{j.read, j.sure, j.fast} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	j.pack.close()
	return errors.Join(append(errs, j.lock.Close())...)
}

// A writing is one transaction and what becomes of it once it is committed.
type writing struct {
	*sql.Tx
	kinds []Kind // of the entries it added
	then  []func()
}

// write runs f in one transaction, on sure or fast. All of it is kept, or none.
func (j *Journal) write(db *sql.DB, op string, f func(w *writing) error) (err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return ErrClosed
	}
	defer j.metrics.wrote(op, time.Now(), &err)
	if err := unmoved(j.files); err != nil {
		return err
	}
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	w := &writing{Tx: tx}
	if err := f(w); err != nil {
		return errors.Join(err, undo(tx))
	}
	if err := tx.Commit(); err != nil {
		return errors.Join(fmt.Errorf("commit: %w", err), undo(tx))
	}
	for _, then := range w.then {
		then()
	}
	j.ring(w.kinds)
	return nil
}

// undo rolls back. SQLite itself has done so already after some errors.
func undo(tx *sql.Tx) error {
	if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return fmt.Errorf("roll back: %w", err)
	}
	return nil
}

// ring counts new entries and wakes the followers.
func (j *Journal) ring(kinds []Kind) {
	if len(kinds) == 0 {
		return
	}
	j.metrics.added(kinds)
	j.bell.Lock()
	defer j.bell.Unlock()
	close(j.added)
	j.added = make(chan struct{})
}

// bellNow returns what is closed at the next new entry.
func (j *Journal) bellNow() <-chan struct{} {
	j.bell.Lock()
	defer j.bell.Unlock()
	return j.added
}

// size is what the file and its write-ahead log take, in bytes.
func (j *Journal) size() float64 {
	var n int64
	for _, p := range []string{j.path, j.path + "-wal"} {
		if fi, err := os.Stat(p); err == nil {
			n += fi.Size()
		}
	}
	return float64(n)
}
