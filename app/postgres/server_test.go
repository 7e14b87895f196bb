package postgres

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

// options are those of an empty database on some servers, of which the first has it.
func options(t *testing.T, addrs []string, database string) Options {
	t.Helper()
	return Options{
		DSN:      fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", strings.Join(addrs, ","), database),
		Logger:   slog.New(slog.NewTextHandler(t.Output(), nil)),
		Registry: prometheus.NewRegistry(),
	}
}

// empty are options of an empty database of the test's own on the shared server.
func empty(t *testing.T) Options {
	t.Helper()
	p := testservers.SharedPostgres(t)
	return options(t, []string{p.Addr()}, p.Database(t))
}

// migrated are options of a database with a schema.
func migrated(t *testing.T, o Options) Options {
	t.Helper()
	if err := Migrate(t.Context(), o); err != nil {
		t.Fatal(err)
	}
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
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
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
	for q := (product.Query{Type: typ, Limit: 500}); ; {
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

// doubts is how many writes were in doubt with an outcome.
func doubts(t *testing.T, o Options, outcome string) float64 {
	t.Helper()
	families, err := o.Registry.(*prometheus.Registry).Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == "store_doubtful_writes_total" && l.GetName() == "outcome" && l.GetValue() == outcome {
					sum += m.GetCounter().GetValue()
				}
			}
		}
	}
	return sum
}
