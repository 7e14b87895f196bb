package postgres_test

import (
	"bytes"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"flyball/collector/exporter"
	"flyball/collector/postgres"
	"flyball/deploy/testservers"
)

func TestMain(m *testing.M) { os.Exit(testservers.Main(m)) }

// password is that of the role watch in all tests.
const password = "open-Sesame:4711/@"

// newRole makes the role watch, which has pg_monitor and nothing else.
func newRole(t testing.TB, p *testservers.Postgres) {
	t.Helper()
	p.SQL(t, "postgres", "CREATE ROLE watch LOGIN PASSWORD '"+password+"'; GRANT pg_monitor TO watch")
}

// primary starts one that the role watch may watch.
func primary(t testing.TB) *testservers.Postgres {
	t.Helper()
	p := testservers.StartPostgres(t)
	newRole(t, p)
	return p
}

// settings changes settings of a server that takes them by a reload.
func settings(t testing.TB, p *testservers.Postgres, set ...string) {
	t.Helper()
	p.SQL(t, "postgres", "ALTER SYSTEM SET "+strings.Join(set, ";ALTER SYSTEM SET ")+"; SELECT pg_reload_conf()")
}

// restarted changes settings that a server takes when it starts.
func restarted(t testing.TB, p *testservers.Postgres, set ...string) {
	t.Helper()
	settings(t, p, set...)
	p.Stop(t)
	p.Restart(t)
}

// config watches a database as the role watch.
func config(p *testservers.Postgres, database string) postgres.Config {
	return postgres.Config{Name: "db", DSN: p.DSN("watch", password, database), Timeout: 5 * time.Second, Tables: 100, Statements: 50}
}

// A watched server is scraped by its test.
type watched struct {
	*exporter.Exporter
	t        testing.TB
	registry *prometheus.Registry
	log      *logged
}

// watch makes the exporter of a server. It is closed with the test.
func watch(t testing.TB, c postgres.Config) *watched {
	t.Helper()
	log := &logged{}
	e, err := postgres.New(c, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	w := &watched{Exporter: e, t: t, registry: prometheus.NewPedanticRegistry(), log: log}
	w.registry.MustRegister(e)
	return w
}

// scrape returns what is told, by series, e.g. pg_up or pg_down{reason=refused}.
func (w *watched) scrape() scrape {
	w.t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatalf("gather: %v", err)
	}
	s := scrape{t: w.t, values: map[string]float64{}}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			s.values[series(f.GetName(), m)] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
		}
	}
	return s
}

func series(name string, m *dto.Metric) string {
	var ls []string
	for _, l := range m.GetLabel() {
		ls = append(ls, l.GetName()+"="+l.GetValue())
	}
	if len(ls) == 0 {
		return name
	}
	return name + "{" + strings.Join(ls, ",") + "}"
}

// A scrape is what was told at one time.
type scrape struct {
	t      testing.TB
	values map[string]float64
}

// must returns the value of a series.
func (s scrape) must(name string) float64 {
	s.t.Helper()
	v, ok := s.values[name]
	if !ok {
		s.t.Fatalf("%s is not told, but\n%s", name, strings.Join(s.like(name), "\n"))
	}
	return v
}

// is checks the value of a series.
func (s scrape) is(name string, want float64) {
	s.t.Helper()
	if got := s.must(name); got != want {
		s.t.Errorf("%s is %g, want %g", name, got, want)
	}
}

// lacks checks that no series of these metrics is told.
func (s scrape) lacks(names ...string) {
	s.t.Helper()
	for _, name := range names {
		for got, v := range s.values {
			if metric, _, _ := strings.Cut(got, "{"); metric == name || got == name {
				s.t.Errorf("%s %g is told", got, v)
			}
		}
	}
}

// like are the series of the same metric, or the same family.
func (s scrape) like(name string) []string {
	metric, _, _ := strings.Cut(name, "{")
	var out []string
	for got := range s.values {
		if strings.HasPrefix(got, metric[:len(metric)/2]) {
			out = append(out, got)
		}
	}
	slices.Sort(out)
	return out
}

// failed are the parts that could not be read, with why.
func (s scrape) failed() map[string]string {
	out := map[string]string{}
	for got := range s.values {
		if rest, ok := strings.CutPrefix(got, "pg_part_down{part="); ok {
			part, reason, _ := strings.Cut(strings.TrimSuffix(rest, "}"), ",reason=")
			out[part] = reason
		}
	}
	return out
}

// fails checks which parts could not be read.
func (s scrape) fails(want map[string]string) {
	s.t.Helper()
	s.is("pg_up", 1)
	if got := s.failed(); !maps.Equal(got, want) {
		s.t.Errorf("what could not be read is %v, want %v", got, want)
	}
}

// until waits for a condition.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("after 30 s still not: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// logged is a log that a test reads.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// has checks that something was logged.
func (l *logged) has(t testing.TB, what string) {
	t.Helper()
	if !strings.Contains(l.String(), what) {
		t.Errorf("the log has no %q:\n%s", what, l)
	}
}
