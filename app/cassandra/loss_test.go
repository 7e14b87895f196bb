package cassandra

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"flyball/app/product"
	"flyball/deploy/testservers"
)

// traffic is made by workers, each of whom knows what its own products have to be.
type traffic struct {
	store *Store

	mu     sync.Mutex
	took   map[string][]time.Duration // since the last report, by operation
	failed []error                    // since the last report
	rounds int
	kept   map[string]string // version by ID
}

// The traffic is light: a node that starts beside it on a small machine needs the rest.
const (
	workers = 3
	pace    = 150 * time.Millisecond // of each worker's rounds
)

// start makes traffic until it is told to stop, which waits for it.
func (tr *traffic) start(ctx context.Context) (stop func()) {
	ending, end := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			due := time.NewTicker(pace)
			defer due.Stop()
			for i := 0; ending.Err() == nil; i++ {
				tr.round(ctx, w, i)
				<-due.C
			}
		})
	}
	return func() {
		end()
		wg.Wait()
	}
}

// round makes, reads, changes and lists a product, and deletes every third.
func (tr *traffic) round(ctx context.Context, worker, i int) {
	p := some(fmt.Sprintf("w%d-%06d", worker, i), fmt.Sprintf("t%d", worker))
	var err error
	made := tr.time("create", func() error {
		p, err = tr.store.Create(ctx, p)
		return err
	})
	if !made {
		return
	}
	tr.time("get", func() error { return tr.has(ctx, p) })
	old := p.Version
	p.Name = "changed"
	changed := tr.time("update", func() error {
		p, err = tr.store.Update(ctx, p)
		return err
	})
	if !changed {
		return
	}
	tr.time("stale", func() error {
		if err := tr.store.Delete(ctx, p.ID, old); !errors.Is(err, product.ErrConflict) {
			return fmt.Errorf("got %v, want ErrConflict", err)
		}
		return nil
	})
	tr.time("list", func() error {
		_, err := tr.store.List(ctx, product.Query{Type: p.Type, Limit: 5})
		return err
	})
	if i%3 == 0 {
		tr.time("delete", func() error { return tr.store.Delete(ctx, p.ID, p.Version) })
		p.Version = ""
	}
	tr.done(p)
}

// has checks that a product is there in its version.
func (tr *traffic) has(ctx context.Context, p product.Product) error {
	got, err := tr.store.Get(ctx, p.ID)
	if err == nil && got.Version != p.Version {
		err = fmt.Errorf("got version %s, want %s", got.Version, p.Version)
	}
	return err
}

func (tr *traffic) time(operation string, f func() error) (ok bool) {
	start := time.Now()
	err := f()
	took := time.Since(start)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.took[operation] = append(tr.took[operation], took)
	if err != nil {
		tr.failed = append(tr.failed, fmt.Errorf("%s after %s: %w", operation, took.Round(time.Millisecond), err))
	}
	return err == nil
}

func (tr *traffic) done(p product.Product) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.rounds++
	if p.Version != "" {
		tr.kept[p.ID] = p.Version
	}
}

func (tr *traffic) count() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.rounds
}

// more waits for rounds.
func (tr *traffic) more(t *testing.T, rounds int) {
	t.Helper()
	enough := tr.count() + rounds
	until(t, fmt.Sprintf("%d rounds more", rounds), time.Minute, func() bool { return tr.count() >= enough })
}

// report tells how long operations took since the last report, and of those that failed.
func (tr *traffic) report(t *testing.T, when string) {
	t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, op := range names(tr.took) {
		d := tr.took[op]
		slices.Sort(d)
		t.Logf("%-8s %-7s %5d: p50 %7s p99 %7s max %7s", when, op, len(d), d[len(d)/2].Round(time.Millisecond), d[len(d)*99/100].Round(time.Millisecond), d[len(d)-1].Round(time.Millisecond))
	}
	for _, err := range tr.failed {
		t.Errorf("%s: %v", when, err)
	}
	tr.took, tr.failed = map[string][]time.Duration{}, nil
}

// check reads everything once more.
func (tr *traffic) check(t *testing.T) {
	t.Helper()
	listed := ids(t, tr.store, "")
	if want := names(tr.kept); !slices.Equal(listed, want) {
		t.Errorf("%d products are listed, want the %d that were kept", len(listed), len(want))
	}
	for id, version := range tr.kept {
		if err := tr.has(t.Context(), product.Product{ID: id, Version: version}); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}

func TestNoRequestIsLostWhileANodeIsKilledFrozenAndComesBack(t *testing.T) {
	if testing.Short() {
		t.Skip("a ring of three takes half a minute to start")
	}
	t.Parallel()
	c := testservers.StartCassandra(t, testservers.CassandraOptions{Nodes: 3})
	o := migrated(t, c)
	tr := &traffic{store: opened(t, o), took: map[string][]time.Duration{}, kept: map[string]string{}}
	served := func(i int) float64 {
		node := net.JoinHostPort(c.Hosts()[i], strconv.Itoa(c.Port()))
		return sample(t, o, "store_statements_total", fmt.Sprintf("node=%q", node), `outcome="ok"`)
	}
	used := func(i int, patience time.Duration) {
		t.Helper()
		before := served(i)
		until(t, fmt.Sprintf("node %d serves", i), patience, func() bool { return served(i) > before })
	}
	stop := tr.start(t.Context())
	defer stop()
	tr.more(t, 20)
	for i := range c.Hosts() {
		used(i, 10*time.Second)
	}
	tr.report(t, "normal")

	c.Node(1).Kill(t)
	tr.more(t, 50)
	tr.report(t, "killed")
	c.Node(1).Restart(t)
	used(1, time.Minute)
	tr.more(t, 20)
	tr.report(t, "back")

	c.Node(2).Freeze(t)
	tr.more(t, 50)
	tr.report(t, "frozen")
	again, err := Open(t.Context(), Options{Hosts: c.Hosts(), Port: o.Port, Keyspace: o.Keyspace, Logger: o.Logger})
	if err != nil {
		t.Errorf("a store does not open while a node is frozen: %v", err)
	} else {
		again.Close()
	}
	c.Node(2).Thaw(t)
	used(2, time.Minute)
	tr.more(t, 20)
	tr.report(t, "thawed")
	stop()
	tr.check(t)
	t.Logf("writes in doubt: %v made, %v not made", sample(t, o, "store_doubtful_writes_total", `outcome="made"`), sample(t, o, "store_doubtful_writes_total", `outcome="not_made"`))
}
