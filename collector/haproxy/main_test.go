package haproxy

import (
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"flyball/collector/exporter"
	"flyball/deploy/testservers"
)

func TestMain(m *testing.M) { os.Exit(testservers.Main(m)) }

// A reading is what a scrape told, by name and labels: name{a=1,b=2}.
type reading map[string]float64

// scrape reads a target once.
func scrape(t testing.TB, c prometheus.Collector) reading {
	t.Helper()
	return flatten(families(t, c))
}

func families(t testing.TB, c prometheus.Collector) map[string]*dto.MetricFamily {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(c); err != nil {
		t.Fatal(err)
	}
	list, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*dto.MetricFamily{}
	for _, f := range list {
		out[f.GetName()] = f
	}
	return out
}

func flatten(families map[string]*dto.MetricFamily) reading {
	out := reading{}
	for name, f := range families {
		for _, m := range f.GetMetric() {
			out[name+labels(m)] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
		}
	}
	return out
}

func labels(m *dto.Metric) string {
	var ls []string
	for _, l := range m.GetLabel() {
		ls = append(ls, l.GetName()+"="+l.GetValue())
	}
	slices.Sort(ls)
	return "{" + strings.Join(ls, ",") + "}"
}

// wants compares some of what was told.
func (r reading) wants(t *testing.T, want map[string]float64) {
	t.Helper()
	for name, v := range want {
		if got, told := r[name]; !told || got != v {
			t.Errorf("%s is %v (told: %v), want %v", name, got, told, v)
		}
	}
}

// never fails if something that contains any of the words was told.
func (r reading) never(t *testing.T, words ...string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(r)) {
		for _, w := range words {
			if strings.Contains(name, w) {
				t.Errorf("%s is told", name)
			}
		}
	}
}

// watch makes an exporter that is closed at the test's end.
func watch(t testing.TB, c Config) *exporter.Exporter {
	t.Helper()
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	c.Name = "lb"
	e, err := New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// until scrapes until what was told is as it should be.
func until(t *testing.T, c prometheus.Collector, what string, done func(reading) bool) reading {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		r := scrape(t, c)
		if done(r) {
			return r
		}
		if time.Now().After(deadline) {
			for _, name := range slices.Sorted(maps.Keys(r)) {
				t.Log(name, r[name])
			}
			t.Fatalf("%s was never told", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// web is a server that answers what its path asks for: /503 is answered so. It
// returns its address.
func web(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		status := http.StatusOK
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &status); err == nil && status >= 200 {
			w.WriteHeader(status)
		}
		_, _ = fmt.Fprintln(w, "served")
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}
