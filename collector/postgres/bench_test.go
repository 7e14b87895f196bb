package postgres_test

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkScrape is what one scrape of a server with 200 tables costs here and
// there: time, what is allocated, and how many series it gives.
func BenchmarkScrape(b *testing.B) {
	for _, sessions := range []int{10, 1000} {
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) {
			p := primary(b)
			restarted(b, p, fmt.Sprintf("max_connections = %d", sessions+20))
			var sql strings.Builder
			fmt.Fprintln(&sql, "CREATE EXTENSION pg_stat_statements;")
			for n := range 200 {
				fmt.Fprintf(&sql, "CREATE TABLE t%d (n int PRIMARY KEY); INSERT INTO t%d SELECT * FROM generate_series(1, %d);", n, n, 10*n)
			}
			p.SQL(b, "postgres", sql.String()+"ANALYZE")
			for range sessions {
				does(b, connect(b, p, "postgres"), "BEGIN; SELECT * FROM t1 WHERE n = 1")
			}
			w := watch(b, config(p, "postgres"))
			w.scrape().fails(map[string]string{})
			b.ReportAllocs()
			var series int
			for b.Loop() {
				series = len(w.scrape().values)
			}
			b.ReportMetric(float64(series), "series")
		})
	}
}
