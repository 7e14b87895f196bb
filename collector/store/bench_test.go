package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"flyball/rules"
)

// fleet is targets with known series, as scrape loops write them.
type fleet struct {
	loops  []*loop
	labels [][]labels.Labels
	refs   [][]storage.SeriesRef
}

func newFleet(b *testing.B, s *Store, targets, each int) *fleet {
	f := &fleet{}
	for i := range targets {
		pool := fmt.Sprintf("pool-%02d", i%10)
		t := labels.FromStrings("instance", fmt.Sprintf("10.0.0.%d:8080", i), "job", pool, "member", fmt.Sprintf("%s-%d", pool, i/10), "pool", pool)
		f.loops = append(f.loops, loopOf(b, s, t))
		var ls []labels.Labels
		for j := range each {
			lb := labels.NewBuilder(t).Set("__name__", fmt.Sprintf("metric_%d_total", j/10)).Set("code", fmt.Sprint(j%10))
			ls = append(ls, lb.Labels())
		}
		f.labels = append(f.labels, ls)
		f.refs = append(f.refs, make([]storage.SeriesRef, each))
	}
	return f
}

// write writes one scrape of every target.
func (f *fleet) write(b *testing.B, to storage.AppendableV2, at time.Time) {
	t := at.UnixMilli()
	for i, l := range f.loops {
		app := to.AppenderV2(l.ctx)
		for j, ls := range f.labels[i] {
			ref, err := app.Append(f.refs[i][j], ls, 0, t, float64(t%1000+int64(j)), nil, nil, storage.AOptions{})
			if err != nil {
				b.Fatal(err)
			}
			f.refs[i][j] = ref
		}
		if err := app.Commit(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIngest writes scrapes of 100 targets with 1000 series each; plain is
// the database alone, limited the store with both limits on.
func BenchmarkIngest(b *testing.B) {
	for _, name := range []string{"plain", "store", "limited"} {
		b.Run(name, func(b *testing.B) {
			o := Options{}
			if name == "limited" {
				o.Limits = Limits{Series: 1_000_000, Scrape: 10_000}
			}
			s := open(b, o)
			to := s.Appendable()
			if name == "plain" {
				to = s.db
			}
			f := newFleet(b, s, 100, 1000)
			at := noon
			f.write(b, to, at)
			for b.Loop() {
				at = at.Add(time.Second)
				f.write(b, to, at)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100_000, "ns/sample")
		})
	}
}

// BenchmarkQuery asks what a signal asks, over a store of 100k series with ten
// minutes of samples.
func BenchmarkQuery(b *testing.B) {
	s := open(b, Options{})
	f := newFleet(b, s, 100, 1000)
	at := noon
	for range 40 {
		at = at.Add(15 * time.Second)
		f.write(b, s.Appendable(), at)
	}
	for _, q := range []struct{ name, expr string }{
		{"members", `sum by (member) (rate(metric_1_total{pool="pool-03"}[1m]))`},
		{"fold", `sum(rate(metric_1_total{pool="pool-03"}[1m]))`},
		{"up", `avg(metric_1_total{pool="pool-03",code="1"})`},
	} {
		b.Run(q.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := s.Query(b.Context(), rules.PromQL{Pool: "pool-03", Expr: q.expr}, at)
				if err != nil || len(r.Seen) != 10 {
					b.Fatal(r, err)
				}
			}
		})
	}
}
