package load_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"flyball/app/load"
)

// fake is a service of known capacity. Make it within the bubble.
type fake struct {
	workers chan struct{} // as many as the capacity
	takes   time.Duration // per request
	start   time.Time
	pause   [2]time.Duration // nothing is served between these times
	fails   string           // kind of failure of every request

	mu    sync.Mutex
	items map[string]int // requests in progress by product
	ops   map[load.Op]int
	clash bool
}

func newFake(workers int, takes time.Duration) *fake {
	return &fake{workers: make(chan struct{}, workers), takes: takes, start: time.Now(), items: map[string]int{}, ops: map[load.Op]int{}}
}

func (f *fake) Do(ctx context.Context, op load.Op, it *load.Item) string {
	f.count(op, it.ID, 1)
	defer f.count("", it.ID, -1)
	select {
	case f.workers <- struct{}{}:
		defer func() { <-f.workers }()
	case <-ctx.Done():
		return "timeout"
	}
	takes := f.takes
	if since := time.Since(f.start); since >= f.pause[0] && since < f.pause[1] {
		takes += f.pause[1] - since
	}
	select {
	case <-time.After(takes):
		return f.fails
	case <-ctx.Done():
		return "timeout"
	}
}

func (f *fake) count(op load.Op, id string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.items[id] += n
	f.clash = f.clash || f.items[id] > 1
	if op != "" {
		f.ops[op]++
	}
}

func config(t *testing.T, users, rate string) load.Config {
	t.Helper()
	c := load.Config{Mix: load.Mix{Create: 10, Read: 70, Update: 15, Delete: 5}, Seed: 1, Prefix: "t-", Timeout: 10 * time.Second, Most: 1000}
	var err error
	if users != "" {
		c.Users, err = load.ParseUsers(users, 10*time.Second)
	} else {
		c.Profile, err = load.ParseRate(rate)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func run(t *testing.T, ctx context.Context, c load.Config, d load.Doer) load.Result {
	t.Helper()
	res, err := load.Run(ctx, c, d)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if got < want*0.95 || got > want*1.05 {
		t.Errorf("%s is %.2f, want about %.2f", what, got, want)
	}
}

func TestTheKneeIsTheStepAtWhichThroughputStoppedGrowing(t *testing.T) {
	tests := []struct {
		users   string
		workers int
		want    string // "" is no knee
	}{
		{"4,50,150", 1, "4 users"},
		{"4,50,150", 30, "50 users"},
		{"4,50,150", 200, ""},
		{"1..100", 25, "20..30 users"},
		{"5,4,3", 1, ""},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			res := run(t, t.Context(), config(t, tt.users, ""), newFake(tt.workers, 50*time.Millisecond))
			var got string
			if res.Knee != nil {
				got = res.Knee.Step
				near(t, "the knee's throughput", res.Knee.Throughput, float64(tt.workers)*20)
			}
			if got != tt.want || res.Failed > 0 {
				t.Errorf("%s users on %d workers: knee %q, %d failed; want %q: %+v", tt.users, tt.workers, got, res.Failed, tt.want, res.Steps)
			}
			var b strings.Builder
			if err := res.Text(&b); err != nil || tt.want != "" && !strings.Contains(b.String(), "stopped growing at "+tt.want) {
				t.Errorf("text: %v\n%s", err, b.String())
			}
		})
	}
}

func TestAPauseShowsInTheRequestsThatItDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(100, time.Millisecond)
		f.pause = [2]time.Duration{4 * time.Second, 5 * time.Second}
		res := run(t, t.Context(), config(t, "", "20@10s"), f)
		// 20 of 200 requests are due within the pause and wait 0.5 s on average.
		if res.Requests != 200 || res.Failed != 0 {
			t.Errorf("%d requests, %d failed; want 200 and 0", res.Requests, res.Failed)
		}
		near(t, "p50", res.P50, 1)
		near(t, "p95", res.P95, 475)
		near(t, "p99", res.P99, 875)
	})
}

func TestLatencyCountsFromWhenARequestWasDueBehindASlowService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// One worker serves 10 a second and 20 are due: the last of 200 waits 10 s.
		c := config(t, "", "20@10s")
		c.Timeout = time.Minute
		res := run(t, t.Context(), c, newFake(1, 100*time.Millisecond))
		near(t, "max", res.Max, 10_000)
		near(t, "throughput", res.Throughput, 10)
		near(t, "the step's throughput", res.Steps[0].Throughput, 10)
	})
}

func TestRequestsBeyondTheOutstandingOnesFailAndTheLoadGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config(t, "", "100@2s")
		c.Most = 10
		res := run(t, t.Context(), c, newFake(10, time.Second))
		if diff := cmp.Diff(map[string]int{load.KindLimit: 180}, res.Errors); diff != "" || res.Requests != 200 || res.Failed != 180 {
			t.Errorf("%d requests, %d failed; errors (-want +got):\n%s", res.Requests, res.Failed, diff)
		}
	})
}

func TestTimeoutsAreCountedByKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config(t, "", "10@1s")
		c.Timeout = 500 * time.Millisecond
		res := run(t, t.Context(), c, newFake(10, time.Second))
		if diff := cmp.Diff(map[string]int{"timeout": 10}, res.Errors); diff != "" {
			t.Errorf("errors (-want +got):\n%s", diff)
		}
		near(t, "p50 of what users waited for in vain", res.P50, 500)
	})
}

func TestTheEndOfTheContextEndsTheLoadAndCutsNoRequestOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []load.Config{config(t, "5", ""), config(t, "", "50@1h")} {
			ctx, cancel := context.WithTimeout(t.Context(), 3050*time.Millisecond)
			defer cancel()
			res := run(t, ctx, c, newFake(5, 100*time.Millisecond))
			if res.Failed != 0 || res.Seconds < 3.05 || res.Seconds > 3.2 || res.Requests < 145 {
				t.Errorf("%d of %d failed after %.2f s", res.Failed, res.Requests, res.Seconds)
			}
		}
	})
}

func TestProductsAreDealtToOneRequestAtATimeByTheMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(1000, 100*time.Millisecond)
		res := run(t, t.Context(), config(t, "", "500@20s"), f)
		if f.clash {
			t.Error("two requests had the same product at once")
		}
		n := float64(res.Requests)
		for op, share := range map[load.Op]float64{load.Read: .70, load.Update: .15, load.Delete: .05} {
			if got := float64(f.ops[op]) / n; got < share*.85 || got > share*1.15 {
				t.Errorf("%s: share %.3f, want about %.2f", op, got, share)
			}
		}
	})
}

func TestProgressComesEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config(t, "", "10@2s,30@2s")
		var got []load.Progress
		c.Progress = func(p load.Progress) { got = append(got, p) }
		res := run(t, t.Context(), c, newFake(10, time.Millisecond))
		var offered []float64
		for _, p := range got {
			offered = append(offered, p.Offered)
		}
		if len(offered) < 4 || cmp.Diff([]float64{10, 10, 30, 30}, offered[:4]) != "" {
			t.Errorf("offered %v", offered)
		}
		if last := got[len(got)-1]; last.Sent != 80 || last.Answers != res.Requests || last.InFlight != 0 {
			t.Errorf("last progress %+v of %d requests", last, res.Requests)
		}
	})
}

func TestRunRefusesWhatMakesNoLoad(t *testing.T) {
	for name, c := range map[string]load.Config{
		"users or a profile": {Mix: load.Mix{Read: 1}, Timeout: 1},
		"timeout":            {Users: load.Users{Steps: []load.UserStep{{1, 1, 1}}}, Mix: load.Mix{Read: 1}},
		"mix":                {Users: load.Users{Steps: []load.UserStep{{1, 1, 1}}}, Timeout: 1},
		"peak":               {Profile: load.Profile{Segments: []load.Segment{{1e9, 1, 1}}}, Most: 1, Mix: load.Mix{Read: 1}, Timeout: 1},
		"outstanding":        {Profile: load.Profile{Segments: []load.Segment{{1, 1, 1}}}, Mix: load.Mix{Read: 1}, Timeout: 1},
	} {
		if _, err := load.Run(t.Context(), c, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want a word on %s", err, name)
		}
	}
}
