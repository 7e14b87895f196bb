package postgres

import (
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"flyball/collector/exporter"
	"flyball/deploy/testservers"
)

// Every tenth target is scraped whole; the others are but reached, which is what
// opens things.
func TestNothingIsLeftOfAThousandTargets(t *testing.T) {
	p := testservers.SharedPostgres(t)
	c := Config{DSN: p.DSN("postgres", "", p.Database(t)), Timeout: 30 * time.Second}
	before := runtime.NumGoroutine()
	for i := range 1000 {
		target := &target{config: c}
		o := exporter.Options{Kind: Kind, Timeout: c.Timeout, Reach: target.reach, Close: target.close}
		if i%10 == 0 {
			o.Parts = target.parts()
		}
		e := exporter.New(o)
		if n := testutil.CollectAndCount(e); n < 1 || i%10 == 0 && n < 100 {
			t.Fatalf("%d series are told: %v", n, e.Status())
		}
		if s := e.Status(); s.Down != nil {
			t.Fatal(s.Down)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if n := runtime.NumGoroutine(); n > before && time.Now().After(end) {
			t.Fatalf("%d goroutines are left", n-before)
		}
	}
	const ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'flyball'"
	for end := time.Now().Add(10 * time.Second); p.SQL(t, "postgres", ours) != "0"; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s connections are left", p.SQL(t, "postgres", ours))
		}
	}
}
