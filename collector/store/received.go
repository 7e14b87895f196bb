package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

// receivedStripes is small, because few or no series are written in as a rule.
const receivedStripes = 1 << 9

// lateness is how much older than its series' newest a sample written in may be,
// unless the configuration gives more: senders retry and reorder.
const lateness = 30 * time.Minute

var errClosed = errors.New("store is closed")

// received is the database of series written in from outside. It is made when
// the first of them comes, or opened if there is one from before.
type received struct {
	options Options
	dir     string
	room    *room
	reg     prometheus.Registerer

	mu     sync.Mutex // held while opening and closing
	db     atomic.Pointer[tsdb.DB]
	config *promconfig.Config // last applied
	ended  bool
}

func newReceived(o Options, m *metrics) *received {
	return &received{
		options: o,
		dir:     filepath.Join(o.Dir, "received"),
		room:    newRoom(o.Limits.Series, m),
		reg:     prometheus.WrapRegistererWithPrefix("flyball_received_", o.Registerer),
		config:  o.Config,
	}
}

// reopen opens the database if there is one.
func (r *received) reopen() error {
	_, err := os.Stat(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for received series: %w", err)
	}
	_, err = r.open()
	return err
}

func (r *received) open() (*tsdb.DB, error) {
	if db := r.db.Load(); db != nil {
		return db, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return nil, errClosed
	}
	if db := r.db.Load(); db != nil {
		return db, nil
	}
	opts := databaseOptions(r.config, receivedShare)
	opts.StripeSize = receivedStripes
	opts.OutOfOrderTimeWindow = max(opts.OutOfOrderTimeWindow, lateness.Milliseconds())
	opts.SeriesLifecycleCallback = r.room
	db, err := openDatabase(r.dir, r.options, r.reg, opts)
	if err != nil {
		return nil, err
	}
	r.room.use(db.Head())
	r.db.Store(db)
	return db, nil
}

func (r *received) apply(c *promconfig.Config) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.config = c
	db := r.db.Load()
	if db == nil {
		return nil
	}
	own := withRetention(c, retention(c), receivedShare)
	t := own.StorageConfig.TSDBConfig
	t.OutOfOrderTimeWindow = max(t.OutOfOrderTimeWindow, lateness.Milliseconds())
	return db.ApplyConfig(own)
}

func (r *received) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	if db := r.db.Load(); db != nil {
		return db.Close()
	}
	return nil
}

// receiving is the received database as a remote write handler writes to it.
type receiving struct {
	*received
	wake func() // after a commit that had series with the label `pool`
	tide *tide
}

// Appender opens the database if need be, and a writer.
func (r receiving) Appender(ctx context.Context) storage.Appender {
	db, err := r.open()
	if err != nil {
		return refusing{err: err}
	}
	return &forgiving{Appender: db.Appender(ctx), wake: r.wake, tide: r.tide}
}
