package elastictest

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

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
	cluster *cluster.Cluster // the shipper's
	direct  *cluster.Cluster // to the server itself
	state   *memory
	ns      string
	from    int64 // of the first sample
}

var agent = ecs.Agent{ID: "agent-1", Host: "here", Version: "test"}

// newRig makes the data stream; the shipper reaches the server at another address.
func newRig(t *testing.T, server, shipper string) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), state: newMemory()}
	r.ns = strings.ToLower(strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			return c
		}
		return '_'
	}, t.Name()))
	r.ns = r.ns[max(0, len(r.ns)-60):]
	var err error
	if r.store, err = store.Open(store.Options{Dir: r.dir}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.store.Close(); err != nil {
			t.Error(err)
		}
	})
	r.cluster, r.direct = r.connect(shipper), r.connect(server)
	streams := setup.Streams{Namespace: r.ns, Retention: model.Duration(30 * 24 * time.Hour)}
	if _, err := setup.Apply(t.Context(), r.direct, streams, []setup.Dataset{setup.Samples()}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) connect(address string) *cluster.Cluster {
	r.t.Helper()
	c, err := cluster.New(cluster.Config{URLs: []string{address}, Compress: true, Timeout: model.Duration(10 * time.Second)},
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
		Source: r.store, State: r.state, Deliver: r.cluster, Config: c, Namespace: r.ns, Agent: agent,
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
		name string
		via  string
		do   func(t *testing.T)
	}{
		{"killed and started again on its data", es.URL(), func(t *testing.T) { es.Kill(t); es.Restart(t) }},
		{"frozen", es.URL(), func(t *testing.T) {
			es.Freeze(t)
			<-time.After(*frozen)
			es.Thaw(t)
		}},
		{"cut in the middle of a request", "http://" + tcp.Addr(), func(t *testing.T) {
			for range 5 {
				tcp.Cut()
				tcp.Restore(t)
				<-time.After(200 * time.Millisecond)
			}
		}},
		{"429 for single items", faults.url, func(t *testing.T) {
			faults.items.Store(true)
			await(t, "items were turned away", func() bool { return faults.turned.Load() > 100 })
			faults.items.Store(false)
		}},
		{"503 for whole requests", faults.url, func(t *testing.T) {
			faults.whole.Store(5)
			await(t, "requests were turned away", func() bool { return faults.whole.Load() <= 0 })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, es.URL(), c.via)
			now := time.Now()
			r.write(now.Add(-20*time.Minute), 80, 30, 100, 15*time.Second)
			cfg := fast()
			cfg.CatchUp = 60_000
			s, stop := r.ship(cfg)
			await(t, "some were sent", func() bool { return s.Status().Samples > 20_000 })
			c.do(t)
			await(t, "all were sent", func() bool { return s.Status().Cursor.After(now) })
			stop()
			report := r.equal(now)
			t.Logf("%d samples of %d series in %d documents, %d sent", report.Samples, report.Series, report.Documents, s.Status().Samples)
			if report.Series != 3000 {
				t.Errorf("%d series, want 3000", report.Series)
			}
		})
	}
}
