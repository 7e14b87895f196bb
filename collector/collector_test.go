package collector

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"

	"flyball/rules"
)

// memory is a store that remembers the newest value of every series, and tells
// whoever waits of every commit.
type memory struct {
	mu     sync.Mutex
	newest map[string]float64
	limits map[string]int
	commit chan struct{}
}

func newMemory() *memory {
	return &memory{newest: map[string]float64{}, commit: make(chan struct{}, 1)}
}

func (m *memory) AppenderV2(context.Context) storage.AppenderV2 {
	return &written{m, map[string]float64{}}
}

func (m *memory) LimitScrapes(perJob map[string]int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limits = perJob
}

type written struct {
	m  *memory
	vs map[string]float64
}

func (w *written) Append(_ storage.SeriesRef, ls labels.Labels, _, _ int64, v float64, _ *histogram.Histogram, _ *histogram.FloatHistogram, _ storage.AOptions) (storage.SeriesRef, error) {
	w.vs[ls.String()] = v
	return storage.SeriesRef(ls.Hash()), nil
}

func (w *written) Commit() error {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	maps.Copy(w.m.newest, w.vs)
	select {
	case w.m.commit <- struct{}{}:
	default:
	}
	return nil
}

func (*written) Rollback() error { return nil }

// await waits until the store holds what is wanted.
func (m *memory) await(t *testing.T, what string, found func(map[string]float64) bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		m.mu.Lock()
		ok := found(m.newest)
		m.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-m.commit:
		case <-deadline:
			m.mu.Lock()
			defer m.mu.Unlock()
			t.Fatalf("%s did not come; there is %s", what, strings.Join(slices.Sorted(maps.Keys(m.newest)), "\n"))
		}
	}
}

func series(name string, pairs ...string) string {
	return labels.FromStrings(append([]string{"__name__", name}, pairs...)...).String()
}

func has(name string, pairs ...string) func(map[string]float64) bool {
	return func(m map[string]float64) bool { _, ok := m[series(name, pairs...)]; return ok }
}

// list is a roster that a test writes.
type list struct {
	mu      sync.Mutex
	members map[string][]rules.Member
	changed chan struct{}
}

func newList() *list {
	return &list{members: map[string][]rules.Member{}, changed: make(chan struct{})}
}

func (l *list) Members() map[string][]rules.Member {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.members)
}

func (l *list) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

func (l *list) set(pool string, ms ...rules.Member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.members[pool] = ms
	close(l.changed)
	l.changed = make(chan struct{})
}

type rig struct {
	*Collector
	store *memory
	list  *list
	reg   *prometheus.Registry
}

func newRig(t *testing.T, host prometheus.Collector) rig {
	t.Helper()
	r := rig{store: newMemory(), list: newList(), reg: prometheus.NewRegistry()}
	c, err := New(Options{
		Appendable: r.store, Limiter: r.store, Roster: r.list, Self: Own(r.reg), Host: host, Name: "ams3",
		Registerer: r.reg, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Collector = c
	return r
}

// run runs the collector until the test ends.
func (r rig) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func load(t *testing.T, text string) *promconfig.Config {
	t.Helper()
	c, err := promconfig.Load(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const fast = `global: {scrape_interval: 200ms, scrape_timeout: 200ms}`

// expose serves a fixed text as metrics, and gives host:port.
func expose(t *testing.T, text string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprint(w, text)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestWithNoConfigurationItWatchesThisHostAndItself(t *testing.T) {
	host := prometheus.NewGauge(prometheus.GaugeOpts{Name: "node_load1"})
	r := newRig(t, host)
	if err := r.Apply(Config{Prometheus: load(t, fast)}); err != nil {
		t.Fatal(err)
	}
	r.run(t)
	r.store.await(t, "host", has("node_load1", "instance", "ams3", "job", "node"))
	r.store.await(t, "itself", has("prometheus_sd_discovered_targets", "instance", "ams3", "job", "flyball",
		"config", hostJob, "name", "scrape"))
	r.store.await(t, "what registers with the default registry", has("go_goroutines", "instance", "ams3", "job", "flyball"))
}

func TestAMemberIsScrapedWithThePoolsLabelsAndCannotForgeThem(t *testing.T) {
	r := newRig(t, nil)
	addr := expose(t, "requests_total{pool=\"db\",member=\"db-1\",job=\"mine\"} 7\n")
	if err := r.Apply(Config{Prometheus: load(t, fast), Pools: map[string]Scrape{"web": {}}}); err != nil {
		t.Fatal(err)
	}
	r.run(t)
	r.list.set("web", rules.Member{Name: "web-1", Addr: addr, State: rules.Booting})
	r.store.await(t, "member", has("requests_total", "exported_job", "mine", "exported_member", "db-1", "exported_pool", "db",
		"instance", addr, "job", "web", "member", "web-1", "pool", "web"))
	r.store.await(t, "up", has("up", "instance", addr, "job", "web", "member", "web-1", "pool", "web"))
}

func TestANewMemberIsATargetWithinASecond(t *testing.T) {
	r := newRig(t, nil)
	addr := expose(t, "x 1\n")
	slow := `global: {scrape_interval: 1h}`
	if err := r.Apply(Config{Prometheus: load(t, slow), Pools: map[string]Scrape{"web": {}}}); err != nil {
		t.Fatal(err)
	}
	r.run(t)
	for range 3 {
		r.list.set("web", rules.Member{Name: "web-1", Addr: addr, State: rules.Ready})
		begun := time.Now()
		for len(r.Scrapes().TargetsActive()["pool/web"]) != 1 {
			if time.Since(begun) > 10*time.Second {
				t.Fatal("member never became a target")
			}
			<-time.After(5 * time.Millisecond)
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("it took %v", took)
		}
		r.list.set("web")
		for len(r.Scrapes().TargetsActive()["pool/web"]) != 0 {
			<-time.After(5 * time.Millisecond)
		}
	}
}

func TestAVanishedSeriesAndATargetThatStopsAnsweringTurnStale(t *testing.T) {
	r := newRig(t, nil)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "x 1") }))
	defer s.Close()
	addr := s.Listener.Addr().String()
	if err := r.Apply(Config{Prometheus: load(t, fast), Pools: map[string]Scrape{"web": {}}}); err != nil {
		t.Fatal(err)
	}
	r.run(t)
	r.list.set("web", rules.Member{Name: "web-1", Addr: addr, State: rules.Ready})
	of := []string{"instance", addr, "job", "web", "member", "web-1", "pool", "web"}
	r.store.await(t, "x", has("x", of...))
	s.Close()
	r.store.await(t, "stale marker", func(m map[string]float64) bool {
		return value.IsStaleNaN(m[series("x", of...)]) && m[series("up", of...)] == 0
	})
}

func TestTargetsOfAPoolAreItsMembersThatCanBeScraped(t *testing.T) {
	r := newRig(t, nil)
	r.list.set("web",
		rules.Member{Name: "web-1", Addr: "10.0.0.1:8080", State: rules.Ready},
		rules.Member{Name: "web-2", Addr: "10.0.0.2:8080", State: rules.Draining},
		rules.Member{Name: "web-3", Addr: "10.0.0.3:8080", State: rules.Booting},
		rules.Member{Name: "web-4", Addr: "10.0.0.4:8080", State: rules.Dead},
		rules.Member{Name: "web-5", State: rules.Booting},
	)
	r.list.set("db", rules.Member{Name: "db-1", Addr: "10.0.1.1:5432", State: rules.Ready})
	if err := r.Apply(Config{Prometheus: load(t, fast), Pools: map[string]Scrape{"web": {}, "db": {Port: 9187, Path: "/m"}}}); err != nil {
		t.Fatal(err)
	}
	r.run(t)
	w := httptest.NewRecorder()
	r.PoolTargets().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/sd/pools", nil))
	type entry struct {
		Targets []string
		Labels  map[string]string
	}
	var got []entry
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	web := func(name, addr string) entry {
		return entry{[]string{addr}, map[string]string{"pool": "web", "job": "web", "member": name}}
	}
	want := []entry{
		{[]string{"10.0.1.1:9187"}, map[string]string{"pool": "db", "job": "db", "member": "db-1", "__metrics_path__": "/m"}},
		web("web-1", "10.0.0.1:8080"), web("web-2", "10.0.0.2:8080"), web("web-3", "10.0.0.3:8080"),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestAConfigurationIsCheckedBeforeItReplacesTheOld(t *testing.T) {
	r := newRig(t, nil)
	good := expose(t, "x 1\n")
	job := fmt.Sprintf("scrape_configs: [{job_name: mine, static_configs: [{targets: [%q]}]}]", good)
	if err := r.Apply(Config{Prometheus: load(t, fast+"\n"+job)}); err != nil {
		t.Fatal(err)
	}
	r.run(t)
	for name, bad := range map[string]Config{
		"pool's interval under its timeout": {Prometheus: load(t, `global: {scrape_interval: 10s, scrape_timeout: 10s}`), Pools: map[string]Scrape{"web": {Interval: -time.Second}}},
		"a job with a pool's name":          {Prometheus: load(t, `scrape_configs: [{job_name: pool/web}]`), Pools: map[string]Scrape{"web": {}}},
	} {
		if r.Verify(bad) == nil || r.Apply(bad) == nil {
			t.Errorf("%s: no error", name)
		}
	}
	r.store.await(t, "old target", has("x", "instance", good, "job", "mine"))
}

func TestSampleLimitsGoToTheStoreAndNotToTheScrape(t *testing.T) {
	r := newRig(t, nil)
	addr := expose(t, "x 1\ny 1\n")
	job := fmt.Sprintf("scrape_configs: [{job_name: mine, sample_limit: 1, static_configs: [{targets: [%q]}]}]", addr)
	cfg := load(t, fast+"\n"+job)
	if err := r.Apply(Config{Prometheus: cfg}); err != nil {
		t.Fatal(err)
	}
	r.run(t)
	r.store.await(t, "both series", func(m map[string]float64) bool {
		return has("x", "instance", addr, "job", "mine")(m) && has("y", "instance", addr, "job", "mine")(m)
	})
	if d := cmp.Diff(map[string]int{"mine": 1}, r.store.limits); d != "" {
		t.Errorf("limits (-want +got):\n%s", d)
	}
	if cfg.ScrapeConfigs[0].SampleLimit != 1 {
		t.Error("the user's configuration was changed")
	}
}

func TestWhatIsNotServedIsRefused(t *testing.T) {
	for _, c := range []struct{ name, config, path string }{
		{"Alertmanagers", `alerting: {alertmanagers: [{static_configs: [{targets: ["a:9093"]}]}]}`, "$.prometheus.alerting"},
		{"remote read", `remote_read: [{url: "http://a/read"}]`, "$.prometheus.remote_read"},
		{"OTLP", `otlp: {promote_resource_attributes: [a]}`, "$.prometheus.otlp"},
		{"tracing", `tracing: {endpoint: "a:4317"}`, "$.prometheus.tracing"},
		{"runtime", `runtime: {gogc: 42}`, "$.prometheus.runtime"},
		{"a pool's job", `scrape_configs: [{job_name: a}, {job_name: pool/a}]`, "$.prometheus.scrape_configs[1].job_name"},
		{"our own job", `scrape_configs: [{job_name: flyball/self}]`, "$.prometheus.scrape_configs[0].job_name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Check(load(t, c.config))
			if len(got) != 1 || got[0].Path != c.path || got[0].Hint == "" {
				t.Errorf("faults %+v, want one at %s", got, c.path)
			}
		})
	}
	served := `
global: {scrape_interval: 10s, external_labels: {site: a}}
rule_files: [a.yaml]
storage: {tsdb: {retention: {time: 3d}}, exemplars: {max_exemplars: 100}}
remote_write: [{url: "http://a/write"}]
scrape_configs: [{job_name: a, sample_limit: 3, http_sd_configs: [{url: "http://a/sd"}]}]`
	if got := Check(load(t, served)); len(got) != 0 {
		t.Errorf("faults in what is served: %+v", got)
	}
}

func TestNothingRunsOnAfterStopping(t *testing.T) {
	for range 3 {
		r := newRig(t, prometheus.NewGauge(prometheus.GaugeOpts{Name: "node_load1"}))
		ctx, cancel := context.WithCancel(t.Context())
		if err := r.Apply(Config{Prometheus: load(t, fast), Pools: map[string]Scrape{"web": {}}}); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		r.store.await(t, "itself", has("up", "instance", "ams3", "job", "flyball"))
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	awaitNoGoroutines(t, "flyball/collector.", "prometheus/scrape.", "prometheus/discovery.")
}
