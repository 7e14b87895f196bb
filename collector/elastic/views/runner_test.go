package views

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"flyball/collector/elastic/cluster"
)

// counting counts what is asked, and how long the stretches are.
type counting struct {
	Ranger
	asked   map[string]int
	longest int
	total   int
}

func (c *counting) Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) (promql.Matrix, error) {
	if c.asked == nil {
		c.asked = map[string]int{}
	}
	c.asked[expr]++
	c.total++
	c.longest = max(c.longest, int(to.Sub(from)/step)+1)
	return c.Ranger.Range(ctx, expr, from, to, step)
}

// clock is a time that goes on by as long as the Runner wants to wait.
type clock struct{ now time.Time }

// runUntil does rounds until a time, without waiting.
func (c *clock) runUntil(ctx context.Context, r *Runner, end time.Time) {
	for c.now.Before(end) && ctx.Err() == nil {
		c.now = c.now.Add(r.round(ctx))
	}
}

// began is what a Runner has kept that has come up to a time.
func began(until time.Time) *memory {
	m := &memory{}
	if err := m.Keep(who, kept{Until: until}); err != nil {
		panic(err)
	}
	return m
}

func runner(t testing.TB, o Options) *Runner {
	t.Helper()
	o.Agent, o.Namespace = here, "default"
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// hosts is a script of two hosts, from 0 to 30 minutes.
const hosts = `load 15s
  node_load1{instance="db-1:9100",job="node"} 0+1x120
  node_load5{instance="db-1:9100",job="node"} 2x120
  node_load1{instance="10.0.0.7:9100",job="node",member="web-1",pool="web"} 0+0.5x120
`

func TestTheFirstRunBeginsWithThePresentAndKeepsToTheGrid(t *testing.T) {
	c := &clock{at(10*time.Minute + 3456*time.Millisecond)}
	s := &sink{}
	r := runner(t, Options{Range: loaded(t, hosts), State: &memory{}, Deliver: s, Views: []View{all(t)["system.load"]}, Now: func() time.Time { return c.now }})
	var times []string
	for c.now.Before(at(11 * time.Minute)) {
		before := len(s.all())
		c.now = c.now.Add(r.round(t.Context()))
		for _, body := range s.all()[before:] {
			times = append(times, flat(t, []byte(body))["@timestamp"].(string)+" at "+c.now.Format("04:05.000"))
		}
	}
	want := []string{}
	for _, x := range []string{"10:00.000Z at 10:10.000", "10:10.000Z at 10:20.000", "10:20.000Z at 10:30.000", "10:30.000Z at 10:40.000", "10:40.000Z at 10:50.000"} {
		want = append(want, "1970-01-01T00:"+x, "1970-01-01T00:"+x)
	}
	if d := cmp.Diff(want, times); d != "" {
		t.Errorf("times of documents, and when they were delivered (-want +got):\n%s", d)
	}
	if got := r.Status(); got.Documents != 10 || !got.Until.Equal(at(10*time.Minute+40*time.Second)) || got.Error != "" || got.Lag < 10 || got.Lag > 20 {
		t.Errorf("status %+v", got)
	}
}

// crashing dies before or after one of its deliveries, or after one of Keep's.
type crashing struct {
	*sink
	*memory
	left  int
	after bool
}

var errCrash = errors.New("crash")

func (c *crashing) Deliver(ctx context.Context, lane cluster.Lane, docs []cluster.Document) (map[int]cluster.Refusal, error) {
	c.left--
	if c.left == 0 && !c.after {
		_, _ = c.sink.Deliver(ctx, lane, docs[:len(docs)/2]) // a part of the request got through
		panic(errCrash)
	}
	refused, err := c.sink.Deliver(ctx, lane, docs)
	if c.left == 0 {
		panic(errCrash)
	}
	return refused, err
}

func (c *crashing) Keep(who string, state any) error {
	err := c.memory.Keep(who, state)
	if c.left--; c.left == 0 {
		panic(errCrash)
	}
	return err
}

func TestWhateverCrashesEachDocumentIsThereOnceAndTheSame(t *testing.T) {
	v := all(t)["system.load"]
	e := loaded(t, hosts)
	run := func(d Deliverer, k Keeper, c *clock) (crashed bool) {
		defer func() { crashed = recover() != nil }()
		r := runner(t, Options{Range: e, State: k, Deliver: d, Views: []View{v}, Now: func() time.Time { return c.now }})
		c.runUntil(t.Context(), r, at(25*time.Minute))
		return false
	}
	undisturbed := &sink{}
	run(undisturbed, began(at(5*time.Minute)), &clock{at(10 * time.Minute)})
	want := slices.Sorted(slices.Values(undisturbed.all()))
	if len(want) != 2*(24*60+40-5*60)/10 {
		t.Fatalf("%d documents", len(want))
	}
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		s, k := &sink{}, began(at(5*time.Minute))
		c := &clock{at(10 * time.Minute)}
		for {
			x := &crashing{sink: s, memory: k, left: 1 + rnd.IntN(12), after: rnd.IntN(2) == 0}
			if !run(x, x, c) {
				break
			}
		}
		if d := cmp.Diff(want, slices.Sorted(slices.Values(s.all()))); d != "" {
			t.Errorf("seed %d (-undisturbed +crashed):\n%s", seed, d)
		}
	}
}

func TestABacklogIsAskedForInFewQueriesAndPaced(t *testing.T) {
	e := &counting{Ranger: loaded(t, "load 1m\n  node_load1{instance=\"db-1:9100\"} 0+1x400\n")}
	c := &clock{at(6*time.Hour + 10*time.Second)}
	s := &sink{}
	r := runner(t, Options{Range: e, State: began(at(0)), Deliver: s, Views: []View{all(t)["system.load"]}, Now: func() time.Time { return c.now }})
	c.runUntil(t.Context(), r, at(6*time.Hour+20*time.Second))
	if got := len(s.all()); got < 2160 || got > 2162 {
		t.Errorf("%d documents, want those of 6 hours", got)
	}
	if e.longest != mostSteps {
		t.Errorf("the longest stretch has %d times, want %d", e.longest, mostSteps)
	}
	for expr, n := range e.asked {
		if n > 10 {
			t.Errorf("%s is asked %d times", expr, n)
		}
	}
	if took := c.now.Sub(at(6*time.Hour + 10*time.Second)); took < 2160*time.Second/pace-time.Second {
		t.Errorf("made up for in %s: faster than %d documents a second", took, pace)
	}
}

func TestStretchesAreShorterWhereATimeHoldsMore(t *testing.T) {
	var script strings.Builder
	script.WriteString("load 1m\n")
	for i := range 400 {
		fmt.Fprintf(&script, "  node_load1{instance=\"h%d\"} 1x120\n", i)
	}
	e := &counting{Ranger: loaded(t, script.String())}
	c := &clock{at(100 * time.Minute)}
	s := &sink{}
	r := runner(t, Options{Range: e, State: began(at(80 * time.Minute)), Deliver: s, Views: []View{all(t)["system.load"]}, Now: func() time.Time { return c.now }})
	c.runUntil(t.Context(), r, at(101*time.Minute))
	if most := mostValues / (400 * 7); e.longest > most || e.longest < most/2 {
		t.Errorf("the longest stretch has %d times, and %d hold %d numbers", e.longest, most, mostValues)
	}
	if got := len(s.all()); got < 400*119 {
		t.Errorf("%d documents", got)
	}
	if biggest := slices.Max(s.sizes); biggest > batchSize {
		t.Errorf("%d documents in one delivery", biggest)
	}
}

func TestADatasetWithoutItsMetricsCostsOneQuery(t *testing.T) {
	e := &counting{Ranger: loaded(t, hosts)}
	vs, ps := Load(Config{Shipped: true})
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	c := &clock{at(10*time.Minute + 10*time.Second)}
	r := runner(t, Options{Range: e, State: began(at(10*time.Minute - 10*time.Second)), Deliver: &sink{}, Views: vs, Now: func() time.Time { return c.now }})
	r.round(t.Context())
	if want := len(vs) + len(all(t)["system.load"].Fields); e.total != want {
		t.Errorf("%d queries, want %d", e.total, want)
	}
}

func TestWhatIsRefusedCostsOnlyItself(t *testing.T) {
	refuse := func(d cluster.Document) *cluster.Refusal {
		body := string(d.Body)
		switch {
		case strings.Contains(body, "web-1"):
			return &cluster.Refusal{Status: 400, Type: "document_parsing_exception", Reason: "no field named"}
		case strings.Contains(body, `"1":`):
			return &cluster.Refusal{Status: 400, Type: "document_parsing_exception", Field: "system.load.1"}
		case strings.Contains(body, `"labels.zone"`):
			return &cluster.Refusal{Status: 400, Type: "document_parsing_exception", Field: "labels.zone"}
		}
		return nil
	}
	script := strings.ReplaceAll(hosts, `job="node"}`, `job="node",zone="a"}`)
	var twice [][]string
	for range 2 {
		s := &sink{refuse: refuse}
		c := &clock{at(10*time.Minute + 10*time.Second)}
		r := runner(t, Options{Range: loaded(t, script), State: began(at(10*time.Minute - 10*time.Second)), Deliver: s, Views: []View{all(t)["system.load"]}, Now: func() time.Time { return c.now }})
		r.round(t.Context())
		twice = append(twice, s.all())
		if len(s.all()) != 1 || len(s.buried) != 3 {
			t.Fatalf("%d documents are there and %d buried, want 1 and 3", len(s.all()), len(s.buried))
		}
		got := flat(t, []byte(s.all()[0]))
		if got["host.name"] != "db-1" || got["system.load.5"] != 2.0 {
			t.Errorf("what is left: %v", got)
		}
		if got := r.Status(); got.Refused != 3 || !got.Until.Equal(at(10*time.Minute)) || !strings.Contains(got.Error, "document_parsing_exception") {
			t.Errorf("status %+v", got)
		}
	}
	if d := cmp.Diff(twice[0], twice[1]); d != "" {
		t.Errorf("a repetition differs:\n%s", d)
	}
}

func TestADocumentWithoutAnyFieldIsNotSent(t *testing.T) {
	v := View{When: "a", Fields: map[string]Field{"x.y": {Query: "a / b", Type: double}}}.named("x.z")
	docs := documents(t, v, "load 15s\n  a{instance=\"h1\"} 0x10\n  b{instance=\"h1\"} 0x10\n  a{instance=\"h2\"} 1x10\n  b{instance=\"h2\"} 0x10\n  a{instance=\"h3\"} 1x10\n  b{instance=\"h3\"} 4x10\n", at(time.Minute))
	if len(docs) != 1 || docs[0]["host.name"] != "h3" || docs[0]["x.y"] != 0.25 {
		t.Errorf("got %v, want h3's alone: 0/0 and 1/0 are no numbers", docs)
	}
}

// failing fails for expressions with a word in them, until it is mended.
type failing struct {
	Ranger
	word   string
	mended atomic.Bool
}

func (f *failing) Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) (promql.Matrix, error) {
	if !f.mended.Load() && strings.Contains(expr, f.word) {
		return nil, errors.New("many-to-many matching not allowed")
	}
	return f.Ranger.Range(ctx, expr, from, to, step)
}

// fixed answers every expression with one series.
type fixed struct{}

func (fixed) Range(_ context.Context, _ string, from, to time.Time, step time.Duration) (promql.Matrix, error) {
	s := promql.Series{Metric: labels.FromStrings("instance", "db-1")}
	for at := from; !at.After(to); at = at.Add(step) {
		s.Floats = append(s.Floats, promql.FPoint{T: at.UnixMilli(), F: 1})
	}
	return promql.Matrix{s}, nil
}

func TestAnExpressionThatFailsCostsItsFieldAndNoTime(t *testing.T) {
	v := all(t)["system.load"]
	synctest.Test(t, func(t *testing.T) {
		e := &failing{Ranger: fixed{}, word: "node_load5"}
		s := &sink{}
		r := runner(t, Options{Range: e, State: began(time.Now().Add(-2 * time.Minute)), Deliver: s, Views: []View{v}})
		ctx, end := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		status := r.Status()
		if len(status.Failing) != 2 || !strings.Contains(status.Failing[0], "many-to-many") {
			t.Errorf("failing: %q", status.Failing)
		}
		if lag := time.Since(status.Until); lag > 30*time.Second {
			t.Errorf("%s behind", lag)
		}
		got := flat(t, []byte(s.all()[3]))
		if _, there := got["system.load.5"]; there || got["system.load.15"] != 1.0 {
			t.Errorf("document %v", got)
		}
		e.mended.Store(true)
		time.Sleep(time.Minute)
		end()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if status := r.Status(); len(status.Failing) != 0 {
			t.Errorf("still failing: %q", status.Failing)
		}
		last := s.all()[len(s.all())-1]
		if flat(t, []byte(last))["system.load.5"] != 1.0 {
			t.Errorf("last document %s", last)
		}
		if n := len(s.all()); n < 34 || n > 36 {
			t.Errorf("%d documents of 6 minutes", n)
		}
	})
}

func TestWhileElasticsearchIsAwayNothingIsLostAndRunStillEnds(t *testing.T) {
	v := all(t)["system.load"]
	synctest.Test(t, func(t *testing.T) {
		back := time.Now().Add(20 * time.Minute)
		s := &sink{before: func(ctx context.Context) error {
			sleep(ctx, time.Until(back))
			return ctx.Err()
		}}
		begun := floor(time.Now(), 10*time.Second)
		state := began(begun)
		r := runner(t, Options{Range: fixed{}, State: state, Deliver: s, Views: []View{v}})
		ctx, end := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		time.Sleep(10 * time.Minute)
		end()
		if err := <-done; err != nil || len(s.all()) != 0 {
			t.Errorf("Run: %v, with %d documents", err, len(s.all()))
		}
		r = runner(t, Options{Range: fixed{}, State: state, Deliver: s, Views: []View{v}})
		ctx, end = context.WithCancel(t.Context())
		go func() { done <- r.Run(ctx) }()
		time.Sleep(12 * time.Minute)
		end()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if want := int((22*time.Minute-10*time.Second)/(10*time.Second)) - 1; len(s.all()) < want {
			t.Errorf("%d documents, want %d", len(s.all()), want)
		}
	})
}

func TestTheFirstRunCanBeginInThePast(t *testing.T) {
	s := &sink{}
	r := runner(t, Options{Range: loaded(t, hosts), State: &memory{}, Deliver: s, Views: []View{all(t)["system.load"]}, Begin: at(9 * time.Minute), Now: func() time.Time { return at(10*time.Minute + 10*time.Second) }})
	r.round(t.Context())
	if len(s.all()) != 12 || !r.Status().Until.Equal(at(10*time.Minute)) {
		t.Errorf("%d documents up to %s, want 12 of a minute", len(s.all()), r.Status().Until)
	}
}

func TestACursorThatCannotBeKeptIsSaidAndDelaysNothing(t *testing.T) {
	c := &clock{at(10 * time.Minute)}
	m := began(at(9 * time.Minute))
	s := &sink{}
	r := runner(t, Options{Range: loaded(t, hosts), State: m, Deliver: s, Views: []View{all(t)["system.load"]}, Now: func() time.Time { return c.now }})
	m.err = errors.New("disk full")
	c.runUntil(t.Context(), r, at(11*time.Minute))
	if got := r.Status(); !strings.Contains(got.Error, "disk full") || got.Documents < 20 {
		t.Errorf("status %+v", got)
	}
	if _, err := New(Options{State: m}); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("a state that cannot be read: %v", err)
	}
}
