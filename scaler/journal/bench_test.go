package journal

import (
	"fmt"
	"testing"
	"time"

	"flyball/rules"
)

// real is a tick of the size that a pool of ten members with three signals has.
func real(pool string, at time.Time) Tick {
	t := keep(pool, at, 10)
	t.In.Members = nil
	for m := range 10 {
		name := fmt.Sprintf("%s-%d", pool, m)
		open := m % 3
		t.In.Members = append(t.In.Members, rules.Member{
			ID: rules.MemberID(name), Name: name, Addr: fmt.Sprintf("10.0.0.%d:8080", m), State: rules.Ready,
			Since: at.Add(-time.Hour), Born: at.Add(-2 * time.Hour), Open: &open,
		})
	}
	for s := range 3 {
		r := rules.Reading{Seen: map[string]time.Time{}, Newest: at}
		for m, mem := range t.In.Members {
			r.Points = append(r.Points, rules.Point{Member: mem.Name, Value: 0.1 + float64(at.UnixNano()%977*int64(m+s))/3217})
			r.Seen[mem.Name] = at.Add(-time.Duration(at.UnixNano()%997*int64(m)) * time.Millisecond)
		}
		t.In.Answers = append(t.In.Answers, rules.Answer{Reading: r})
		t.Out.Signals = append(t.Out.Signals, rules.Judged{Name: fmt.Sprint("s", s), Coverage: 1, Wants: 10, Reason: rules.InBand, Because: "10 x 0.55 / 0.60 = 9.17"})
	}
	t.Before = rules.Memory{Version: 1, Judged: at, Highs: []rules.Wish{{At: at, Size: 10}}}
	t.After = t.Before
	return t
}

// BenchmarkTick keeps the judgements of 100 pools, ten members and three signals each.
func BenchmarkTick(b *testing.B) {
	j := open(b, b.TempDir(), Options{})
	at := epoch
	var bytes int
	for b.Loop() {
		at = at.Add(1234567891)
		ts := make([]Tick, 100)
		for p := range ts {
			ts[p] = real(fmt.Sprint("pool", p), at.Add(time.Duration(p*7919)))
		}
		ok(b, j.Tick(at, ts))
	}
	ok(b, j.read.QueryRow(`SELECT avg(length(body)) * 1.0 FROM ticks`).Scan(new(float64)))
	ok(b, j.read.QueryRow(`SELECT cast(avg(length(body)) AS INTEGER) FROM ticks`).Scan(&bytes))
	b.ReportMetric(float64(bytes), "bytes/tick")
}

// BenchmarkBegin is one durable step with its tick, and its end.
func BenchmarkBegin(b *testing.B) {
	j := open(b, b.TempDir(), Options{})
	i := 0
	for b.Loop() {
		i++
		tick := real("web", epoch.Add(time.Duration(i)*time.Second))
		seq, err := j.Begin(grow(fmt.Sprintf("web-%d", i), "web", i), &tick)
		ok(b, err)
		ok(b, j.End(seq, Outcome{OK: true}))
	}
}
