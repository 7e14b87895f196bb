package cassandra

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gocql/gocql"
	"github.com/prometheus/client_golang/prometheus"
)

// numbers are what a scrape told, by name and labels, e.g.
// cassandra_up{dc="dc1",node="10.0.0.4",rack="r1"}.
type numbers map[string]float64

// gather scrapes a ring once; a series told twice fails the test.
func gather(t testing.TB, r *Ring) numbers { return gatherWithin(context.Background(), t, r) }

func gatherWithin(ctx context.Context, t testing.TB, r *Ring) numbers {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(r.Within(ctx))
	families, err := reg.Gather()
	if err != nil {
		t.Fatalf("gather: %v", err)
	}
	out := numbers{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var ls []string
			for _, l := range m.GetLabel() {
				ls = append(ls, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			out[f.GetName()+"{"+strings.Join(ls, ",")+"}"] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return out
}

// find is the one series of a name whose labels have all that is asked for, each
// as label=value. It reports false if there is none, and fails if there are more.
func (n numbers) find(t testing.TB, name string, labels ...string) (float64, bool) {
	t.Helper()
	var found []string
	for series := range n {
		if strings.HasPrefix(series, name+"{") && !slices.ContainsFunc(labels, func(l string) bool { return !has(series, l) }) {
			found = append(found, series)
		}
	}
	switch len(found) {
	case 0:
		return 0, false
	case 1:
		return n[found[0]], true
	}
	t.Fatalf("%s%v is not one series: %q", name, labels, found)
	return 0, false
}

func has(series, label string) bool {
	name, value, _ := strings.Cut(label, "=")
	one := fmt.Sprintf("%s=%q", name, value)
	return strings.Contains(series, "{"+one) || strings.Contains(series, ","+one)
}

// get is a series that must be there.
func (n numbers) get(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	v, ok := n.find(t, name, labels...)
	if !ok {
		t.Fatalf("%s%v is not told", name, labels)
	}
	return v
}

// want fails unless a series has a value.
func (n numbers) want(t testing.TB, v float64, name string, labels ...string) {
	t.Helper()
	if got, ok := n.find(t, name, labels...); !ok || got != v {
		t.Errorf("%s%v is %v (told: %v), want %v", name, labels, got, ok, v)
	}
}

// partsDown lists the parts that could not be read, with the reason.
func (n numbers) partsDown() []string {
	var out []string
	for series := range n {
		if strings.HasPrefix(series, "cassandra_part_down{") {
			out = append(out, series)
		}
	}
	slices.Sort(out)
	return out
}

// written is a log that can be read.
type writtenLog struct {
	mu  sync.Mutex
	raw bytes.Buffer
}

func (w *writtenLog) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.raw.Write(b)
}

func (w *writtenLog) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.raw.String()
}

// watch makes a ring, and closes it at the end.
func watch(t testing.TB, c Config) *Ring {
	t.Helper()
	r, _ := watchLogged(t, c)
	return r
}

func watchLogged(t testing.TB, c Config) (*Ring, *writtenLog) {
	t.Helper()
	c.Name = "test"
	log := &writtenLog{}
	r, err := New(c, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r, log
}

// of is the configuration that watches servers.
func of(c *servers) Config {
	return Config{Hosts: c.Hosts()[:1], Port: c.Port(), Discover: true, Tables: 100, Timeout: 10 * time.Second}
}

// client is a user of the servers.
func client(t testing.TB, c *servers, change ...func(*gocql.ClusterConfig)) *gocql.Session {
	t.Helper()
	g := gocql.NewCluster(c.Hosts()...)
	g.Port, g.ProtoVersion, g.Logger = c.Port(), 4, silent{}
	g.Timeout, g.ConnectTimeout = 20*time.Second, 20*time.Second
	for _, f := range change {
		f(g)
	}
	var s *gocql.Session
	eventually(t, "a client connects", func() (err error) {
		s, err = g.CreateSession()
		return err
	})
	t.Cleanup(s.Close)
	return s
}

// execute runs a statement, again if it could not be at once: all are idempotent.
func execute(t testing.TB, s *gocql.Session, statement string, values ...any) {
	t.Helper()
	eventually(t, statement, func() error { return s.Query(statement, values...).Exec() })
}

// eventually tries until something is without an error, for a minute at most.
func eventually(t testing.TB, what string, try func() error) {
	t.Helper()
	end := time.Now().Add(time.Minute)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v", what, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// keyspace makes a keyspace with a table t of its own, and drops it at the end.
func keyspace(t testing.TB, s *gocql.Session, replicas int) string {
	t.Helper()
	name := strings.ToLower(t.Name()[:min(len(t.Name()), 40)])
	execute(t, s, fmt.Sprintf("CREATE KEYSPACE IF NOT EXISTS %s WITH replication = {'class': 'SimpleStrategy', 'replication_factor': %d}", name, replicas))
	execute(t, s, "CREATE TABLE IF NOT EXISTS "+name+".t (a int PRIMARY KEY, b text)")
	t.Cleanup(func() { _ = s.Query("DROP KEYSPACE IF EXISTS " + name).Exec() })
	return name
}

// canceled is a context that was broken off.
func canceled(t testing.TB) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx, cancel
}

// down is why a node was down at the last scrape.
func (r *Ring) down() error {
	for label, s := range r.Status() {
		if s.Down != nil {
			return fmt.Errorf("%s is down: %w", label, s.Down)
		}
	}
	return nil
}

// connections counts those of this machine to a server, as the kernel knows them.
func connections(t testing.TB, host string, port int) int {
	t.Helper()
	count := 0
	for _, name := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		raw, err := os.ReadFile(name)
		if err != nil {
			continue // without IPv6
		}
		ip := net.ParseIP(host).To4()
		remote := fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], port)
		for line := range strings.Lines(string(raw)) {
			f := strings.Fields(line)
			if len(f) > 3 && strings.HasSuffix(f[2], remote) && f[3] == "01" {
				count++
			}
		}
	}
	return count
}
