package samples

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"flyball/collector/elastic/cluster"
)

// nowhere takes all documents for sent.
type nowhere struct{ bytes int }

func (n *nowhere) Deliver(_ context.Context, _ cluster.Lane, docs []cluster.Document) (map[int]cluster.Refusal, error) {
	for _, d := range docs {
		n.bytes += len(d.Body)
	}
	return nil, nil
}

func (n *nowhere) Bury([]cluster.Document, []cluster.Refusal) error { return nil }

// farm writes scrapes of 20 targets with 1,000 series each into a store.
type farm struct {
	store  *testStore
	series []labels.Labels
	refs   []storage.SeriesRef
	at     time.Time
	scrape int
}

// newFarm makes a farm whose series share labels by so many names; 1: none does.
func newFarm(b *testing.B, names int) *farm {
	f := &farm{store: newStore(b), at: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	for target := range 20 {
		for i := range 1000 {
			f.series = append(f.series, labels.FromStrings("__name__", fmt.Sprintf("bench_metric_%d_total", i%names),
				"instance", fmt.Sprintf("10.0.0.%d:9100", target), "job", "bench", "part", fmt.Sprintf("part-%d", i/names)))
		}
	}
	f.refs = make([]storage.SeriesRef, len(f.series))
	for range 60 { // chunks are half full
		f.put(b)
	}
	return f
}

// put writes one scrape of all.
func (f *farm) put(b *testing.B) {
	f.at = f.at.Add(5 * time.Second)
	f.scrape++
	app := f.store.own.Appender(b.Context())
	for i, ls := range f.series {
		ref, err := app.Append(f.refs[i], ls, f.at.UnixMilli()+int64(i/1000), float64(f.scrape*i%977)+float64(i%3)/8)
		if err != nil {
			b.Fatal(err)
		}
		f.refs[i] = ref
	}
	if err := app.Commit(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkShip tells the CPU time for a million samples, from the store's series to
// documents: two scrapes at a time. To compress and to send them is the cluster's.
func BenchmarkShip(b *testing.B) {
	for _, layout := range []struct {
		name  string
		names int
	}{{"shared", 50}, {"distinct", 1}} {
		b.Run(layout.name, func(b *testing.B) {
			f := newFarm(b, layout.names)
			to := &nowhere{}
			s, err := New(Options{Source: f.store, State: newMemory(), Deliver: struct {
				Deliverer
				Asker
			}{to, nil}, Namespace: "bench", Now: func() time.Time { return f.at }})
			if err != nil {
				b.Fatal(err)
			}
			read, put, count := time.Duration(0), time.Duration(0), 0
			for b.Loop() {
				from := f.at.UnixMilli() + 1000
				f.put(b)
				f.put(b)
				began := cpuTime(b)
				w, err := s.reader.read(b.Context(), stretch{from, f.at.UnixMilli() + 1000})
				if err != nil {
					b.Fatal(err)
				}
				read += cpuTime(b) - began
				began = cpuTime(b)
				if err := s.send(b.Context(), w, plainly); err != nil {
					b.Fatal(err)
				}
				put += cpuTime(b) - began
				count += w.count
				w.clear()
			}
			b.ReportMetric(read.Seconds()/float64(count)*1e6, "read-CPU-s/million-samples")
			b.ReportMetric(put.Seconds()/float64(count)*1e6, "write-CPU-s/million-samples")
			b.ReportMetric(float64(to.bytes)/float64(count), "B/sample")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// cpuTime is what this process has used.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
