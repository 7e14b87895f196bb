package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"

	"flyball/rules"
)

func wantPoints(t testing.TB, s *Store, pool, expr string, at time.Time, want string) {
	t.Helper()
	r, err := s.Query(t.Context(), rules.PromQL{Pool: pool, Expr: expr}, at)
	if err != nil && !errors.Is(err, rules.ErrNoData) {
		t.Errorf("%s: %v", expr, err)
	}
	if got := told(r); got != want {
		t.Errorf("%s answers %q, want %q", expr, got, want)
	}
}

func told(r rules.Reading) string {
	var out []string
	for _, p := range r.Points {
		out = append(out, fmt.Sprintf("%s=%v", p.Member, p.Value))
	}
	return strings.Join(out, " ")
}

// ages writes who was seen, and how many seconds ago.
func ages(r rules.Reading, now time.Time) map[string]int {
	out := map[string]int{}
	for m, at := range r.Seen {
		out[m] = int(now.Sub(at).Seconds())
	}
	return out
}

var stale = math.Float64frombits(value.StaleNaN)

// every writes a sample each 10 s, from the first to the last second before noon.
func every(t *testing.T, s *Store, first, last int, series string) {
	t.Helper()
	for ago := first; ago >= last; ago -= 10 {
		put(t, s, noon.Add(-time.Duration(ago)*time.Second), float64(600-ago), series)
	}
}

func TestSeenIsTheNewestRawSamplePerMemberHoweverFolded(t *testing.T) {
	one, two, three := `x{pool="web",member="web-1"}`, `x{pool="web",member="web-2"}`, `x{pool="web",member="web-3"}`
	s := open(t, Options{})
	every(t, s, 600, 0, one)
	every(t, s, 600, 40, two) // ended with a stale marker
	put(t, s, noon.Add(-30*time.Second), stale, two)
	every(t, s, 600, 120, three) // vanished without one
	put(t, s, noon.Add(time.Minute), 1, one)

	all := map[string]int{"web-1": 0, "web-3": 120} // a stale marker ended web-2
	for _, c := range []struct {
		name, expr, points string
		seen               map[string]int
	}{
		{"average over vanished members", `avg(x)`, "=540", all},
		{"sum over a stale one", `sum(x)`, "=1080", all},
		{"per member", `sum by (member) (x)`, "web-1=600 web-3=480", all},
		{"rate over a window that ends before", `sum(rate(x[1m]))`, "=1.4166666666666665", map[string]int{"web-1": 0}},
		{"rate of one sample", `rate(x[10s])`, "", map[string]int{"web-1": 0}},
		{"offset", `x{member="web-1"} offset 5m`, "web-1=300", map[string]int{"web-1": 300}},
		{"offset beside none", `sum(x{member="web-1"} offset 5m) + sum(x{member="web-1"})`, "=900", map[string]int{"web-1": 0}},
		{"negative offset reads no future", `x{member="web-1"} offset -1m`, "web-1=1", map[string]int{"web-1": 0}},
		{"a fixed time", `x{member="web-1"} @ ` + fmt.Sprint(noon.Add(-time.Minute).Unix()), "web-1=540", map[string]int{"web-1": 60}},
		{"subquery", `max_over_time(avg(x)[2m:10s])`, "=540", all},
		{"subquery with offset", `max_over_time(sum(x{member="web-1"})[1m:10s] offset 1m)`, "=540", map[string]int{"web-1": 60}},
		{"comparison that filters all", `x > 1e9`, "", all},
		{"absent", `absent(nothing)`, "=1", map[string]int{}},
		{"vector of nothing raw", `vector(3)`, "=3", map[string]int{}},
		{"scalar", `scalar(x{member="web-1"})`, "=600", map[string]int{"web-1": 0}},
		{"count", `count(x)`, "=2", all},
		{"timestamp", `timestamp(x{member="web-3"})`, "web-3=" + fmt.Sprint(float64(noon.Add(-2*time.Minute).Unix())), map[string]int{"web-3": 120}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := s.Query(t.Context(), rules.PromQL{Pool: "web", Expr: c.expr}, noon)
			if none := c.points == ""; none != errors.Is(err, rules.ErrNoData) {
				t.Fatalf("error %v", err)
			}
			if got := told(r); got != c.points {
				t.Errorf("points %q, want %q", got, c.points)
			}
			if d := cmp.Diff(c.seen, ages(r, noon)); d != "" {
				t.Errorf("seconds since seen (-want +got):\n%s", d)
			}
			for _, at := range r.Seen {
				if at.After(r.Newest) {
					t.Errorf("newest is %v, and %v was seen", r.Newest, at)
				}
			}
		})
	}
}

func TestAVanishedTargetIsReadForTheLookbackAndSeenAsOldAsItIs(t *testing.T) {
	s := open(t, Options{})
	every(t, s, 600, 200, `x{member="web-1"}`)
	for _, c := range []struct {
		later time.Duration
		want  string
	}{{0, "web-1=400"}, {99 * time.Second, "web-1=400"}, {2 * time.Minute, ""}} {
		at := noon.Add(c.later)
		r, err := s.Query(t.Context(), rules.PromQL{Expr: "x"}, at)
		if got := told(r); got != c.want || (got == "") != errors.Is(err, rules.ErrNoData) {
			t.Errorf("after %v: %q, %v; want %q", c.later, got, err, c.want)
		}
		if c.want != "" && r.Seen["web-1"] != noon.Add(-200*time.Second) {
			t.Errorf("after %v: seen %v", c.later, r.Seen)
		}
	}
}

func TestNothingAfterTheTimeAskedForCounts(t *testing.T) {
	s := open(t, Options{})
	every(t, s, 600, 0, `x{member="web-1"}`)
	r, err := s.Query(t.Context(), rules.PromQL{Expr: "sum(rate(x[1m]))"}, noon.Add(-5*time.Minute-time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if want := noon.Add(-310 * time.Second); r.Newest != want {
		t.Errorf("newest %v, want %v", r.Newest, want)
	}
}

func TestSeriesWithoutAMemberCountForTheEmptyOne(t *testing.T) {
	s := open(t, Options{})
	put(t, s, noon, 2, `x{instance="a"}`, `x{instance="b"}`)
	r, err := s.Query(t.Context(), rules.PromQL{Expr: "sum(x)"}, noon)
	want := rules.Reading{Points: []rules.Point{{Value: 4}}, Seen: map[string]time.Time{"": noon}, Newest: noon}
	if d := cmp.Diff(want, r); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
}

func TestNaNIsAnAnswer(t *testing.T) {
	s := open(t, Options{})
	put(t, s, noon, 0, `x{member="web-1"}`)
	r, err := s.Query(t.Context(), rules.PromQL{Expr: "x / x"}, noon)
	if err != nil || len(r.Points) != 1 || !math.IsNaN(r.Points[0].Value) || len(r.Seen) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestAnswersThatAreNoReadingAreErrors(t *testing.T) {
	s := open(t, Options{})
	put(t, s, noon, 2, `x{member="web-1",code="200"}`, `x{member="web-1",code="500"}`, `y{code="200"}`, `y{code="500"}`)
	app := s.Appendable().AppenderV2(t.Context())
	h := &histogram.FloatHistogram{Count: 1, Sum: 1, ZeroCount: 1}
	if _, err := app.Append(0, metric(t, s, `h{member="web-1"}`), 0, noon.UnixMilli(), 0, nil, h, storage.AOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ expr, want string }{
		{`x`, `query answers several series for member "web-1": aggregate by (member)`},
		{`y`, `query answers several series without the label member: aggregate by (member), or to a single value`},
		{`h`, `query answers a native histogram: take a number of it, for instance with histogram_quantile or histogram_count`},
		{`x[5m]`, `query answers a matrix: write an expression that answers an instant vector or a scalar`},
		{`"x"`, `query answers a string: write an expression that answers an instant vector or a scalar`},
		{`sum(`, `parse query: 1:5: parse error: unclosed left parenthesis`},
	} {
		_, err := s.Query(t.Context(), rules.PromQL{Expr: c.expr}, noon)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.expr, err, c.want)
		}
	}
	r, err := s.Query(t.Context(), rules.PromQL{Expr: "histogram_count(h)"}, noon)
	if err != nil || told(r) != "web-1=1" || r.Seen["web-1"] != noon {
		t.Errorf("number of a histogram: %+v, %v", r, err)
	}
}

type elastic struct{ rules.Query }

func TestAnotherKindOfQueryIsAnError(t *testing.T) {
	s := open(t, Options{})
	if _, err := s.Query(t.Context(), elastic{}, noon); err == nil {
		t.Error("no error")
	}
}

func TestSeriesFromOutsideDriveNoPoolUnlessItAcceptsThem(t *testing.T) {
	s := open(t, Options{})
	put(t, s, noon, 1, `x{pool="web",member="web-1"}`)
	forged := []string{`x{pool="web",member="web-1",source="edge"}`, `x{pool="web",member="web-9",source="mallory"}`}
	receive(t, s, noon, 100, forged...)
	expr := `sum by (member) (x{pool="web"})`

	wantPoints(t, s, "web", expr, noon, "web-1=1")
	if err := s.Accept(map[string][]string{"web": {`{source="edge"}`, `{source="lb"}`}}); err != nil {
		t.Fatal(err)
	}
	wantPoints(t, s, "web", expr, noon, "web-1=101")
	wantPoints(t, s, "db", expr, noon, "web-1=1")

	if err := s.Accept(map[string][]string{"web": {`{source=`}}); err == nil {
		t.Error("a selector that cannot be read was accepted")
	}
	wantPoints(t, s, "web", expr, noon, "web-1=101")
}

func TestSeenOfSeriesFromOutsideNeedsAcceptanceToo(t *testing.T) {
	s := open(t, Options{})
	put(t, s, noon.Add(-time.Minute), 1, `x{member="web-1"}`)
	receive(t, s, noon, 1, `x{member="web-1",source="mallory"}`)
	r, err := s.Query(t.Context(), rules.PromQL{Pool: "web", Expr: "sum(x)"}, noon)
	if err != nil || r.Newest != noon.Add(-time.Minute) {
		t.Errorf("newest %v, %v: a forged sample made an old reading fresh", r.Newest, err)
	}
}

func TestDecisionsDoNotWaitForTheAPI(t *testing.T) {
	s := open(t, Options{})
	put(t, s, noon, 1, `x{member="web-1"}`)
	tracker := s.engines.api
	release := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	running := make(chan struct{}, apiQueries)
	done := make(chan error, apiQueries)
	for range apiQueries {
		q, err := tracker.NewRangeQuery(ctx, blocking{s.everything(), running, release}, nil, "x", noon.Add(-time.Hour), noon, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		go func() { done <- q.Exec(ctx).Err; q.Close() }()
	}
	for range apiQueries {
		<-running // all places of the API's engine are taken
	}
	wantPoints(t, s, "web", "x", noon, "web-1=1")
	close(release)
	for range apiQueries {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// blocking holds every reader until it is released.
type blocking struct {
	storage.Queryable
	running chan<- struct{}
	release <-chan struct{}
}

func (b blocking) Querier(mint, maxt int64) (storage.Querier, error) {
	b.running <- struct{}{}
	<-b.release
	return b.Queryable.Querier(mint, maxt)
}

func TestAQueryThatFindsNoPlaceEndsWithItsContext(t *testing.T) {
	p := newPlaces(1)
	if _, err := p.Insert(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Insert(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	p.Delete(0)
	if _, err := p.Insert(t.Context(), ""); err != nil {
		t.Errorf("no place after one was given back: %v", err)
	}
}
