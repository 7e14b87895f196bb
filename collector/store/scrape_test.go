package store

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/scrape"

	"flyball/rules"
)

func TestAScrapeOverItsLimitIsKeptButForTheNewSeries(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := open(t, Options{Registerer: reg, Limits: Limits{Scrape: 12}})
	var more atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if more.Load() {
			for _, n := range names("a", 30) {
				fmt.Fprintln(w, n, 1)
			}
		}
		for _, n := range names("b", 12) {
			fmt.Fprintln(w, n, 1)
		}
	}))
	defer srv.Close()
	stop := scrapeInto(t, s, srv.Listener.Addr().String())
	defer stop()
	await := func(expr, want string) {
		t.Helper()
		for {
			select {
			case <-s.Committed():
			case <-t.Context().Done():
				t.Fatal("no scrape was committed")
			}
			r, _ := s.Query(t.Context(), rules.PromQL{Expr: expr}, time.Now())
			if told(r) == want {
				return
			}
		}
	}
	await(`count({__name__=~"b.*"})`, "=12")
	more.Store(true)
	await(`scrape_samples_scraped`, "web-1=42")
	await(`count({__name__=~"[ab][0-9].*"})`, "=12")
	await(`up`, "web-1=1")
	if gathered(t, reg, "flyball_store_series_refused_total")["limit=scrape"] == 0 {
		t.Error("nothing was counted as refused")
	}
}

// scrapeInto scrapes one member of the pool web into a store, every 100 ms.
func scrapeInto(t *testing.T, s *Store, addr string) func() {
	t.Helper()
	sm, err := scrape.NewManager(&scrape.Options{
		DiscoveryReloadOnStartup: true, PassMetadataInContext: true,
	}, slog.New(slog.DiscardHandler), nil, nil, s.Appendable(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	c := config(t, `{global: {scrape_interval: 100ms, scrape_timeout: 100ms}, scrape_configs: [{job_name: web, fallback_scrape_protocol: PrometheusText0.0.4}]}`)
	if err := sm.ApplyConfig(c); err != nil {
		t.Fatal(err)
	}
	targets := make(chan map[string][]*targetgroup.Group, 1)
	targets <- map[string][]*targetgroup.Group{"web": {{
		Targets: []model.LabelSet{{"__address__": model.LabelValue(addr), "member": "web-1", "pool": "web"}},
	}}}
	done := make(chan error, 1)
	go func() { done <- sm.Run(targets) }()
	return func() {
		sm.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestNothingRunsOnAfterClosing(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	for range 2 {
		s, err := Open(Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Apply(config(t, fmt.Sprintf("remote_write: [{url: %q}]", srv.URL))); err != nil {
			t.Fatal(err)
		}
		receive(t, s, noon, 1, "x")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		buf := make([]byte, 1<<20)
		var left []string
		for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if !strings.Contains(g, "testing.tRunner") && (strings.Contains(g, "prometheus/tsdb") ||
				strings.Contains(g, "storage/remote") || strings.Contains(g, "collector/store")) {
				left = append(left, g)
			}
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines run on:\n%s", len(left), strings.Join(left, "\n\n"))
		}
		runtime.Gosched()
	}
}
