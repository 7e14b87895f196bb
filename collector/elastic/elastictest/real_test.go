package elastictest

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"golang.org/x/sync/errgroup"

	"flyball/collector/elastic/cluster"
	"flyball/collector/elastic/ecs"
	"flyball/collector/elastic/samples"
	"flyball/collector/elastic/setup"
	"flyball/collector/store"
	"flyball/deploy/testservers"
)

func TestMain(m *testing.M) { os.Exit(testservers.Main(m)) }

// frozen is how long the server is frozen.
var frozen = flag.Duration("frozen", 5*time.Second, "how long the server is frozen")

// A rig is a store, an Elasticsearch and a shipper between them.
type rig struct {
	t       *testing.T
	store   *store.Store
	dir     string
	metrics *prometheus.Registry // of the store
	cluster *cluster.Cluster     // the shipper's
	direct  *cluster.Cluster     // to the server itself
	state   *memory
	ns      string
	from    int64            // of the first sample
	now     func() time.Time // the shipper's clock; nil: time.Now
}

var agent = ecs.Agent{ID: "agent-1", Host: "here", Version: "test"}

// newRig makes the data stream; the shipper reaches the server at another address, and
// gives a request so much time.
func newRig(t *testing.T, server, shipper string, timeout time.Duration) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), state: newMemory(), metrics: prometheus.NewRegistry()}
	r.ns = strings.ToLower(strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			return c
		}
		return '_'
	}, t.Name()))
	r.ns = r.ns[max(0, len(r.ns)-60):]
	var err error
	if r.store, err = store.Open(store.Options{Dir: r.dir, Registerer: r.metrics}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.store.Close(); err != nil {
			t.Error(err)
		}
	})
	r.cluster, r.direct = r.connect(shipper, timeout), r.connect(server, usual)
	streams := setup.Streams{Namespace: r.ns, Retention: model.Duration(30 * 24 * time.Hour)}
	if _, err := setup.Apply(t.Context(), r.direct, streams, []setup.Dataset{setup.Samples()}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	return r
}

// usual is how long a request may take.
const usual = 30 * time.Second

func (r *rig) connect(address string, timeout time.Duration) *cluster.Cluster {
	r.t.Helper()
	c, err := cluster.New(cluster.Config{URLs: []string{address}, Compress: true, Timeout: model.Duration(timeout)},
		cluster.Options{Dir: r.dir})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(c.Close)
	return c
}

// write writes scrapes of targets with metrics each, from a time on, every interval.
func (r *rig) write(from time.Time, scrapes, targets, metrics int, interval time.Duration) {
	r.t.Helper()
	if r.from == 0 {
		r.from = from.UnixMilli()
	}
	refs := make([]storage.SeriesRef, targets*metrics)
	sets := make([]labels.Labels, targets*metrics)
	for i := range sets {
		sets[i] = labels.FromStrings("__name__", fmt.Sprintf("metric_%d_total", i%metrics), "job", "web", "instance", fmt.Sprintf("10.0.0.%d:80", i/metrics))
	}
	for k := range scrapes {
		for target := range targets {
			at := from.Add(time.Duration(k)*interval + time.Duration(target)*7*time.Millisecond)
			app := r.store.Appendable().AppenderV2(r.t.Context())
			for m := range metrics {
				i := target*metrics + m
				var err error
				if refs[i], err = app.Append(refs[i], sets[i], 0, at.UnixMilli(), float64(k*m)+0.1, nil, nil, storage.AOptions{}); err != nil {
					r.t.Fatal(err)
				}
			}
			if err := app.Commit(); err != nil {
				r.t.Fatal(err)
			}
		}
	}
}

// ship ships until the function ends it, and gives the shipper.
func (r *rig) ship(c samples.Config) (*samples.Shipper, func()) {
	r.t.Helper()
	s, err := samples.New(samples.Options{
		Source: r.store, State: r.state, Deliver: r.cluster, Config: c, Namespace: r.ns, Agent: agent, Now: r.now,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return s, func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	}
}

// await waits until something is so.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// equal compares all that the store holds before a time.
func (r *rig) equal(to time.Time) Report {
	r.t.Helper()
	report, err := Compare(r.t.Context(), r.store.Everything(), r.direct, "metrics-prometheus.collector-"+r.ns, 0, to.UnixMilli(), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := report.Err(); err != nil {
		r.t.Error(err)
	}
	return report
}

// equalIn compares a stretch of time in pieces, each of which fits into memory.
func (r *rig) equalIn(from, to time.Time, piece time.Duration) Report {
	r.t.Helper()
	var all Report
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(r.t.Context())
	g.SetLimit(2)
	for at := from; at.Before(to); at = at.Add(piece) {
		end := min(at.Add(piece).UnixMilli(), to.UnixMilli())
		g.Go(func() error {
			report, err := Compare(ctx, r.store.Everything(), r.direct, "metrics-prometheus.collector-"+r.ns, at.UnixMilli(), end, nil)
			mu.Lock()
			defer mu.Unlock()
			all.Series = max(all.Series, report.Series)
			all.Samples += report.Samples
			all.Documents += report.Documents
			return cmp.Or(err, report.Err())
		})
	}
	if err := g.Wait(); err != nil {
		r.t.Error(err)
	}
	return all
}

// fast sends as fast as it can.
func fast() samples.Config {
	return samples.Config{Every: model.Duration(time.Second), CatchUp: 10_000_000}
}

// Each of these happens while a backlog is shipped. Afterwards each sample is there
// once.
func TestEachSampleIsThereOnceWhateverHappensToTheServer(t *testing.T) {
	es := testservers.StartElasticsearch(t)
	tcp := testservers.StartProxy(t, es.Addr())
	faults := startFaults(t, es.URL())
	for _, c := range []struct {
		name    string
		via     string
		timeout time.Duration // of the shipper's requests
		do      func(t *testing.T)
	}{
		{"killed and started again on its data", es.URL(), usual, func(t *testing.T) { es.Kill(t); es.Restart(t) }},
		{"frozen", es.URL(), min(*frozen/2, usual), func(t *testing.T) {
			es.Freeze(t)
			<-time.After(*frozen)
			es.Thaw(t)
		}},
		{"the network is cut", "http://" + tcp.Addr(), usual, func(t *testing.T) {
			tcp.Cut()
			<-time.After(2 * time.Second)
			tcp.Restore(t)
		}},
		{"cut in the middle of a request", faults.url, usual, func(t *testing.T) { faults.cut(t, &faults.half) }},
		{"cut before the answer", faults.url, usual, func(t *testing.T) { faults.cut(t, &faults.unheard) }},
		{"429 for single items", faults.url, usual, func(t *testing.T) {
			faults.items.Store(true)
			await(t, "items were turned away", func() bool { return faults.turned.Load() > 100 })
			faults.items.Store(false)
		}},
		{"503 for whole requests", faults.url, usual, func(t *testing.T) {
			faults.whole.Store(5)
			await(t, "requests were turned away", func() bool { return faults.whole.Load() <= 0 })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, es.URL(), c.via, c.timeout)
			now, began := time.Now(), time.Now()
			r.write(now.Add(-20*time.Minute), 80, 30, 100, 15*time.Second)
			cfg := fast()
			cfg.CatchUp = 60_000
			s, stop := r.ship(cfg)
			await(t, "some were sent", func() bool { return s.Status().Samples > 20_000 })
			c.do(t)
			await(t, "all were sent", func() bool { return s.Status().Cursor.After(now) })
			stop()
			report, sent := r.equal(now), r.cluster.Status()
			t.Logf("%d samples of %d series in %d documents, of which %d were sent again, and %d known then; %.1f s",
				report.Samples, report.Series, report.Documents, sent.Retried, sent.Known, time.Since(began).Seconds())
			if report.Series != 3000 || sent.Retried == 0 {
				t.Errorf("%d series, want 3000; %d documents were sent again", report.Series, sent.Retried)
			}
		})
	}
}
