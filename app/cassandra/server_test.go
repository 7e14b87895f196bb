package cassandra

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flyball/app/product"
	"flyball/deploy/testservers"
)

func TestMain(m *testing.M) { os.Exit(testservers.Main(m)) }

// datacenter is the one that test servers are in.
const datacenter = "datacenter1"

// options are those of a keyspace of the test's own, which is not there yet.
func options(t *testing.T, c *testservers.Cassandra) Options {
	t.Helper()
	return Options{
		Hosts: c.Hosts(), Port: c.Port(), Keyspace: "test_" + product.NewVersion(),
		Logger:   quiet(t),
		Registry: prometheus.NewRegistry(),
	}
}

// quiet is a log that is shown if the test fails.
func quiet(t *testing.T) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

// migrated are options of a keyspace that is there.
func migrated(t *testing.T, c *testservers.Cassandra) Options {
	t.Helper()
	o := options(t, c)
	until(t, "the schema is made", time.Minute, func() bool { // the nodes of a ring hear of each other after they have begun to serve
		err := Migrate(t.Context(), o, Migration{Replication: map[string]int{datacenter: len(c.Hosts())}})
		if err != nil && !strings.Contains(err.Error(), "so it can hold") {
			t.Fatal(err)
		}
		return err == nil
	})
	return o
}

// opened is a store that closes with the test.
func opened(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// until waits for a condition.
func until(t *testing.T, what string, patience time.Duration, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// sample is the value of a metric with labels such as node="10.0.0.4:9042".
func sample(t *testing.T, o Options, name string, labels ...string) float64 {
	t.Helper()
	families, err := o.Registry.(*prometheus.Registry).Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() != name {
				continue
			}
			have := map[string]bool{}
			for _, l := range m.GetLabel() {
				have[fmt.Sprintf("%s=%q", l.GetName(), l.GetValue())] = true
			}
			if !hasAll(have, labels) {
				continue
			}
			sum += m.GetCounter().GetValue()
		}
	}
	return sum
}

func hasAll(have map[string]bool, want []string) bool {
	for _, w := range want {
		if !have[w] {
			return false
		}
	}
	return true
}

// some is a product.
func some(id, typ string) product.Product {
	at := time.Date(2026, 11, 20, 10, 0, 0, 123000, time.UTC)
	return product.Product{ID: id, Type: typ, Name: "n", Created: at, Updated: at}
}

func create(t *testing.T, s *Store, p product.Product) product.Product {
	t.Helper()
	made, err := s.Create(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// ids lists all of a type, or all.
func ids(t *testing.T, s *Store, typ string) []string {
	t.Helper()
	var all []string
	for q := (product.Query{Type: typ, Limit: 50}); ; {
		page, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page.Products {
			all = append(all, p.ID)
		}
		if q.Token = page.Next; q.Token == "" {
			return all
		}
	}
}
