package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flyball/app/product"
	"flyball/app/product/storetest"
	"flyball/deploy/testservers"
)

// A load keeps creating, updating, reading and listing products, and knows what it was
// told of them.
type load struct {
	store *Store
	stop  atomic.Bool
	wait  sync.WaitGroup
	calls atomic.Int64

	mu      sync.Mutex
	kept    map[string]string // by ID, the version of which it was told last
	errs    []error
	slowest time.Duration
}

// startLoad begins with so many writers and as many readers.
func startLoad(t *testing.T, s *Store, writers int) *load {
	t.Helper()
	ctx := t.Context()
	l := &load{store: s, kept: map[string]string{}}
	for range writers {
		l.wait.Go(func() {
			for !l.stop.Load() {
				l.write(ctx, some(product.NewID(time.Now()), "book"))
			}
		})
		l.wait.Go(func() {
			for !l.stop.Load() {
				l.call(func() error { _, err := s.List(ctx, product.Query{Type: "book", Limit: 5}); return err })
			}
		})
	}
	t.Cleanup(l.end)
	return l
}

// write creates a product, and replaces it once, as one does who goes by versions.
func (l *load) write(ctx context.Context, p product.Product) {
	l.call(func() (err error) { p, err = l.store.Create(ctx, p); return l.keep(p, err) })
	if p.Version == "" {
		return
	}
	l.call(func() (err error) { p, err = l.store.Update(ctx, p); return l.keep(p, err) })
}

func (l *load) keep(p product.Product, err error) error {
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.kept[p.ID] = p.Version
	}
	return err
}

func (l *load) call(f func() error) {
	began := time.Now()
	err := f()
	l.calls.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, time.Since(began))
	if err != nil {
		l.errs = append(l.errs, err)
	}
}

// more waits until so many calls more have been answered.
func (l *load) more(t *testing.T, n int64) {
	t.Helper()
	want := l.calls.Load() + n
	until(t, "the load goes on", 30*time.Second, func() bool { return l.calls.Load() >= want })
}

func (l *load) end() {
	l.stop.Store(true)
	l.wait.Wait()
}

// check ends the load: no call has failed, and everything it was told is there.
func (l *load) check(t *testing.T) {
	t.Helper()
	l.end()
	for _, err := range l.errs {
		t.Errorf("a call failed: %v", err)
	}
	have := ids(t, l.store, "")
	lost := 0
	for id, version := range l.kept {
		got, err := l.store.Get(t.Context(), id)
		if err != nil || got.Version != version {
			lost++
			t.Errorf("lost: %s has version %s, not %s, %v", id, got.Version, version, err)
		}
	}
	if !slices.IsSorted(have) || len(slices.Compact(slices.Clone(have))) != len(have) {
		t.Error("the listing is not in order, or has a product twice")
	}
	t.Logf("%d calls, %d failed, %d writes acknowledged, %d lost, slowest call %s", l.calls.Load(), len(l.errs), len(l.kept), lost, l.slowest.Round(time.Millisecond))
}

// pair starts a primary and a standby without which nothing is acknowledged, and gives
// options for both.
func pair(t *testing.T) (primary, standby *testservers.Postgres, o Options) {
	t.Helper()
	primary = testservers.StartPostgres(t)
	standby = primary.Standby(t, "second")
	primary.SQL(t, "postgres", "ALTER SYSTEM SET synchronous_standby_names = 'second'; SELECT pg_reload_conf()")
	until(t, "the standby is synchronous", 10*time.Second, func() bool {
		return primary.SQL(t, "postgres", "SELECT sync_state FROM pg_stat_replication") == "sync"
	})
	return primary, standby, migrated(t, options(t, []string{primary.Addr(), standby.Addr()}, "postgres"))
}

func TestAFailoverUnderLoadFailsNoCallAndLosesNoWrite(t *testing.T) {
	for name, fail := range map[string]func(t *testing.T, primary *testservers.Postgres){
		"killed":  func(t *testing.T, primary *testservers.Postgres) { primary.Kill(t) },
		"frozen":  func(t *testing.T, primary *testservers.Postgres) { primary.Freeze(t) },
		"stopped": func(t *testing.T, primary *testservers.Postgres) { primary.Stop(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			primary, standby, o := pair(t)
			s := opened(t, o)
			l := startLoad(t, s, 4)
			l.more(t, 500)
			began := time.Now()
			fail(t, primary)
			standby.SQL(t, "postgres", "ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_reload_conf()")
			standby.Promote(t)
			promoted := time.Since(began)
			l.more(t, 1)
			t.Logf("promoted after %s, served again after %s", promoted.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
			l.more(t, 500)
			l.check(t)
			if got := s.pool.Stat().TotalConns(); got > int32(DefaultConnections) {
				t.Errorf("%d connections", got)
			}
		})
	}
}

func TestAServerThatBecomesReadOnlyIsLeft(t *testing.T) {
	t.Parallel()
	p := testservers.StartPostgres(t)
	s := opened(t, migrated(t, options(t, []string{p.Addr()}, "postgres")))
	l := startLoad(t, s, 2)
	l.more(t, 100)
	readOnly := func(on string) {
		p.SQL(t, "postgres", "SET default_transaction_read_only = off; ALTER SYSTEM SET default_transaction_read_only = "+on+"; SELECT pg_reload_conf()")
	}
	readOnly("on")
	until(t, "it is not ready", 5*time.Second, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		err := s.Ping(ctx)
		return errors.Is(err, context.DeadlineExceeded)
	})
	readOnly("off")
	l.more(t, 100)
	l.check(t)
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestARestartOfTheServerFailsNoCall(t *testing.T) {
	t.Parallel()
	p := testservers.StartPostgres(t)
	s := opened(t, migrated(t, options(t, []string{p.Addr()}, "postgres")))
	l := startLoad(t, s, 4)
	for _, end := range []func(testing.TB){p.Stop, p.Kill} {
		l.more(t, 200)
		end(t)
		p.Restart(t)
	}
	l.more(t, 200)
	l.check(t)
}

func TestConnectionsCutInTheMiddleOfWritesLoseNoneAndRepeatNone(t *testing.T) {
	t.Parallel()
	p := testservers.SharedPostgres(t)
	proxy := testservers.StartProxy(t, p.Addr())
	o := migrated(t, options(t, []string{proxy.Addr()}, p.Database(t)))
	s := opened(t, o)
	counter := some("counter", "number")
	counter.Parameters = product.Parameters{"n": json.Number("0")}
	create(t, s, counter)
	l := startLoad(t, s, 4)
	const counters, times = 3, 40
	var wg sync.WaitGroup
	for range counters {
		wg.Go(func() {
			if err := storetest.Count(t.Context(), s, "counter", times); err != nil {
				t.Error(err)
			}
		})
	}
	for range 12 {
		l.more(t, 40)
		proxy.Cut()
		until(t, "nobody is let in", 5*time.Second, func() bool {
			c, err := net.Dial("tcp", proxy.Addr())
			if err == nil {
				c.Close()
			}
			return err != nil
		})
		proxy.Restore(t)
	}
	wg.Wait()
	l.check(t)
	got, err := s.Get(t.Context(), "counter")
	if err != nil || got.Parameters["n"] != json.Number(fmt.Sprint(counters*times)) {
		t.Errorf("counted %v, %v; want %d", got.Parameters["n"], err, counters*times)
	}
	made, not, unknown := doubts(t, o, "made"), doubts(t, o, "not_made"), doubts(t, o, "unknown")
	t.Logf("writes in doubt: %v made, %v not made, %v unknown", made, not, unknown)
	if made+not == 0 || unknown != 0 {
		t.Error("want some in doubt, and all of them found out about")
	}
}

func TestAFrozenServerEndsCallsWithTheirContextAndIsUsedAgain(t *testing.T) {
	t.Parallel()
	p := testservers.StartPostgres(t)
	s := opened(t, migrated(t, options(t, []string{p.Addr()}, "postgres")))
	made := create(t, s, some("a", "book"))
	p.Freeze(t)
	defer p.Thaw(t)
	for name, call := range map[string]func(ctx context.Context) error{
		"get":    func(ctx context.Context) error { _, err := s.Get(ctx, "a"); return err },
		"create": func(ctx context.Context) error { _, err := s.Create(ctx, some("b", "book")); return err },
		"update": func(ctx context.Context) error { _, err := s.Update(ctx, made); return err },
		"ping":   s.Ping,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		began := time.Now()
		err := call(ctx)
		cancel()
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > time.Second {
			t.Errorf("%s: %v after %s", name, err, took)
		}
	}
	s.patience = time.Second
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, product.ErrBusy) {
		t.Errorf("without patience: %v, want ErrBusy", err)
	}
	s.patience = patience
	p.Thaw(t)
	began := time.Now()
	if _, err := s.Update(t.Context(), made); err != nil {
		t.Error(err)
	}
	t.Logf("served %s after the thaw", time.Since(began).Round(time.Millisecond))
}
