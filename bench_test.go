package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"flyball/collector/store"
	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
)

// A still pool has ten ready members, and notes when it is asked to grow.
type still struct {
	name  string
	grown chan time.Time
}

func (p still) Look(context.Context) ([]rules.Member, rules.Terms, error) {
	var ms []rules.Member
	for i := range 10 {
		name := fmt.Sprintf("%s-%d", p.name, i+1)
		ms = append(ms, rules.Member{ID: rules.MemberID(name), Name: name, State: rules.Ready, Since: time.Now().Add(-time.Hour)})
	}
	return ms, rules.Terms{Names: true, Victims: true}, nil
}

func (p still) Grow(context.Context, journal.Step) error {
	p.grown <- time.Now()
	return nil
}

func (p still) Remove(context.Context, journal.Step) error { return nil }

// A judge is a scaler over a store and a journal, as the service has them.
type judge struct {
	store  *store.Store
	scaler *scaler.Scaler
	grown  chan time.Time
	wake   chan struct{}
	pools  int
	series []labels.Labels // ten members of each pool, and what else is stored
}

// newJudge stores series of pools of ten members and of others, up to a number,
// and judges each pool by three signals.
func newJudge(b *testing.B, pools, series int, wake bool) *judge {
	b.Helper()
	dir, log := b.TempDir(), slog.New(slog.DiscardHandler)
	st, err := store.Open(store.Options{Dir: dir, Registerer: prometheus.NewRegistry(), Logger: log})
	if err != nil {
		b.Fatal(err)
	}
	jr, err := journal.Open(filepath.Join(dir, "journal"), journal.Options{})
	if err != nil {
		b.Fatal(err)
	}
	j := &judge{store: st, grown: make(chan time.Time, 100), wake: make(chan struct{}), pools: pools}
	signal := j.wake
	var woken <-chan struct{} = signal
	if wake {
		woken = st.Committed()
	}
	j.scaler = scaler.New(scaler.Options{
		Querier: st, Journal: jr, Roster: scaler.NewRoster(), Wake: woken, Logger: log, Registerer: prometheus.NewRegistry(),
	})
	j.fill(series)
	units, set := map[string]scaler.Unit{}, []rules.Scale{}
	for p := range pools {
		name := "pool" + strconv.Itoa(p)
		units[name] = scaler.Unit{Pool: still{name, j.grown}}
		set = append(set, threeSignals(name))
	}
	for range 4 { // four samples, 5 s apart, up to now
		j.sample(b, 0.5)
	}
	j.scaler.Apply(units, set)
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error)
	go func() { done <- j.scaler.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		<-done
		jr.Close()
		st.Close()
	})
	return j
}

func threeSignals(pool string) rules.Scale {
	q := func(name, expr string, target, share float64, scope rules.Scope) rules.Signal {
		expr = fmt.Sprintf(expr, pool)
		return rules.Signal{Name: name, Query: rules.PromQL{Pool: pool, Expr: expr}, Expr: expr, Target: target, Share: share, Scope: scope}
	}
	return rules.Scale{
		Pool: pool, Mode: rules.Act, Min: 2, Max: 100,
		Signals: []rules.Signal{
			q("cpu", `avg by (member) (cpu{pool=%q})`, 0.6, 0, rules.PerMember),
			q("requests", `sum by (member) (rate(requests_total{pool=%q}[1m]))`, 0, 100, rules.PerMember),
			q("queue", `sum(queue{pool=%q})`, 0, 100, rules.PerMember),
		},
		Out:    rules.Pace{Limit: rules.Limit{LargerOf: []rules.Amount{{Percent: 100}}, Every: time.Minute}},
		In:     rules.Pace{Window: 5 * time.Minute, Limit: rules.Limit{LargerOf: []rules.Amount{{Percent: 25}}, Every: time.Minute}},
		Warmup: time.Minute, Missing: rules.Missing{Coverage: 0.8, Stale: time.Minute, Hold: time.Minute},
	}
}

// fill names the series.
func (j *judge) fill(n int) {
	for p := range j.pools {
		for m := range 10 {
			for _, name := range []string{"cpu", "requests_total", "queue"} {
				j.series = append(j.series, labels.FromStrings("__name__", name, "pool", "pool"+strconv.Itoa(p), "member", fmt.Sprintf("pool%d-%d", p, m+1)))
			}
		}
	}
	for i := len(j.series); i < n; i++ {
		j.series = append(j.series, labels.FromStrings("__name__", "other_"+strconv.Itoa(i%500), "instance", strconv.Itoa(i/500)))
	}
}

// sample stores a sample of every series as of now.
func (j *judge) sample(b *testing.B, cpu float64) { j.commit(b, j.series, cpu) }

func (j *judge) commit(b *testing.B, series []labels.Labels, cpu float64) {
	b.Helper()
	app := j.store.Appendable().AppenderV2(b.Context())
	at := time.Now().UnixMilli()
	for i, l := range series {
		v := float64(i % 100)
		if l.Get("__name__") == "cpu" {
			v = cpu
		}
		if _, err := app.Append(0, l, 0, at, v, nil, nil, storage.AOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	if err := app.Commit(); err != nil {
		b.Fatal(err)
	}
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkTick is one judgement of 100 pools with 3 signals each, over a store of
// 100k series: look, read, decide, journal. The loop judges at most once a
// second, so the figure to look at is the CPU time of one tick.
func BenchmarkTick(b *testing.B) {
	j := newJudge(b, 100, 100_000, false)
	j.judged(b, time.Now())
	var used time.Duration
	for b.Loop() {
		began, before := time.Now(), cpuTime()
		j.wake <- struct{}{}
		j.judged(b, began)
		used += cpuTime() - before
	}
	b.ReportMetric(float64(used.Milliseconds())/float64(b.N), "cpu-ms/tick")
}

// judged waits until every pool was judged after a time.
func (j *judge) judged(b *testing.B, after time.Time) {
	b.Helper()
	for {
		st, err := j.scaler.Status()
		if err != nil {
			b.Fatal(err)
		}
		late := 0
		for _, p := range st.Pools {
			if p.Decision == nil || p.Judged.Before(after.Truncate(time.Millisecond)) {
				late++
			}
		}
		if late == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond) // asking costs, too
	}
}

// BenchmarkReaction is the time from the commit of the scrape that crosses to the
// provider's call. The loop rests for up to a second between judgements.
func BenchmarkReaction(b *testing.B) {
	var sum, worst time.Duration
	n := 0
	for b.Loop() {
		b.StopTimer()
		j := newJudge(b, 1, 10_000, true)
		j.judged(b, time.Now())
		time.Sleep(time.Duration(n%5) * 200 * time.Millisecond)
		n++
		b.StartTimer()
		j.commit(b, j.series[:30], 0.98)
		began := time.Now()
		took := (<-j.grown).Sub(began)
		sum += took
		worst = max(worst, took)
	}
	b.ReportMetric(float64(sum.Milliseconds())/float64(n), "ms/reaction")
	b.ReportMetric(float64(worst.Milliseconds()), "worst-ms")
}
