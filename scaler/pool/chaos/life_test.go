package chaos

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
	"flyball/scaler/pool"
)

// errKilled is what a killed Flyball is answered, by everything: nothing of it
// reaches the world any more.
var errKilled = errors.New("kill -9")

// reaper kills Flyball at boundaries: before and after each call to the outside.
type reaper struct {
	mu    sync.Mutex
	dice  *rand.Rand
	share float64 // of the boundaries
	at    int     // this boundary of a deed from now; 0: none
	kills int
}

func (r *reaper) strikes(deed bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at > 0 && deed {
		if r.at--; r.at == 0 {
			r.kills++
			return true
		}
	}
	if r.share > 0 && r.dice.Float64() < r.share {
		r.kills++
		return true
	}
	return false
}

// sharpen says when it strikes from now on; twice 0: not at all.
func (r *reaper) sharpen(share float64, at int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.share, r.at = share, at
}

// A life is one of Flyball's, from its start until it is killed or stopped.
type life struct {
	w    *world
	dead chan struct{} // closed when it was killed
	over chan struct{} // closed when nothing of it runs any more
	end  context.CancelFunc
	once sync.Once
}

// boundary is before and after each call; an error means that Flyball is dead. A deed
// changes something.
func (l *life) boundary(deed bool) error {
	select {
	case <-l.dead:
		return errKilled
	default:
	}
	if l.w.reaper.strikes(deed) {
		l.once.Do(func() { close(l.dead); l.end() })
		return errKilled
	}
	return nil
}

// call is one call to the outside that only asks.
func (l *life) call(f func() error) error { return l.cross(false, f) }

// deed is one that changes something.
func (l *life) deed(f func() error) error { return l.cross(true, f) }

func (l *life) cross(deed bool, f func() error) error {
	if err := l.boundary(deed); err != nil {
		return err
	}
	failed := f()
	if err := l.boundary(deed); err != nil {
		return err
	}
	return failed
}

// begin starts Flyball over what is on the disk.
func (w *world) begin() *life {
	l := &life{w: w, dead: make(chan struct{}), over: make(chan struct{})}
	log := slog.New(slog.NewTextHandler(w.out, nil))
	p, err := pool.New("web", w.cloud.config, pool.Env{
		DataDir: w.dir, Log: log, Transport: carrier{l}, Dial: w.dial,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	unit := p.Unit()
	unit.Pool = looker{unit.Pool, w}
	if unit.Traffic == nil {
		unit.Traffic = traffic{l}
	}
	s := scaler.New(scaler.Options{
		Querier: querier{w}, Journal: mortal{l}, Roster: scaler.NewRoster(), Logger: log, Registerer: prometheus.NewRegistry(),
	})
	s.Apply(map[string]scaler.Unit{"web": unit}, []rules.Scale{*w.rule})
	ctx, cancel := context.WithCancel(w.t.Context())
	l.end = cancel
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Run(ctx) }) // ends without an error
	wg.Go(func() { _ = p.Run(ctx) })
	go func() { wg.Wait(); close(l.over) }()
	return l
}

// stop ends a life as a stop of the service does.
func (l *life) stop() {
	l.end()
	<-l.over
}

// wipe empties the data folder.
func (w *world) wipe() {
	if err := os.RemoveAll(filepath.Join(w.dir, "pools")); err != nil {
		w.t.Fatal(err)
	}
	w.ledger = newLedger()
}

// carrier carries requests of a life to the cloud.
type carrier struct{ l *life }

func (c carrier) RoundTrip(r *http.Request) (res *http.Response, err error) {
	err = c.l.cross(r.Method != http.MethodGet, func() (err error) {
		res, err = c.l.w.cloud.transport.RoundTrip(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	return res, nil
}

// looker counts looks: each judgement begins with one.
type looker struct {
	scaler.Pool
	w *world
}

func (k looker) Look(ctx context.Context) ([]rules.Member, rules.Terms, error) {
	ms, terms, err := k.Pool.Look(ctx)
	k.w.looked(ms, terms, err)
	return ms, terms, err
}

// mortal is the journal as a life sees it.
type mortal struct{ l *life }

func (j mortal) Tick(now time.Time, ts []journal.Tick) error {
	return j.l.call(func() error { return j.l.w.ledger.Tick(now, ts) })
}

func (j mortal) Begin(s journal.Step, t *journal.Tick) (seq journal.Seq, err error) {
	err = j.l.deed(func() (err error) {
		if seq, err = j.l.w.ledger.Begin(s, t); err == nil {
			j.l.w.begun(s, t)
		}
		return err
	})
	return seq, err
}

func (j mortal) End(seq journal.Seq, o journal.Outcome) error {
	return j.l.deed(func() error { return j.l.w.ledger.End(seq, o) })
}

func (j mortal) Pending() (es []journal.Entry, err error) {
	err = j.l.call(func() (err error) { es, err = j.l.w.ledger.Pending(); return err })
	return es, err
}

func (j mortal) Memory(p string) (m rules.Memory, known bool, err error) {
	err = j.l.call(func() (err error) { m, known, err = j.l.w.ledger.Memory(p); return err })
	return m, known, err
}

func (j mortal) Orders() (os map[string]journal.Standing, err error) {
	err = j.l.call(func() (err error) { os, err = j.l.w.ledger.Orders(); return err })
	return os, err
}

func (j mortal) SetOrder(target, kind string, o *rules.Order, at time.Time) error {
	return j.l.call(func() error { return j.l.w.ledger.SetOrder(target, kind, o, at) })
}
