package scaler

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flyball/rules"
	"flyball/scaler/journal"
)

// stuck is a pool whose provider answers nothing until its caller gives up.
type stuck struct{}

func (stuck) Look(ctx context.Context) ([]rules.Member, rules.Terms, error) {
	<-ctx.Done()
	return nil, rules.Terms{}, ctx.Err()
}
func (stuck) Grow(ctx context.Context, _ journal.Step) error   { return errors.New("unused") }
func (stuck) Remove(ctx context.Context, _ journal.Step) error { return errors.New("unused") }

// ticking is a world whose time is the bubble's.
type ticking struct{ *world }

func (w ticking) Look(ctx context.Context) ([]rules.Member, rules.Terms, error) {
	w.see(func() { w.pass(time.Now().UTC().Sub(w.now)) })
	return w.world.Look(ctx)
}

// see looks at the world, or changes it, while the loop does not.
func (w *world) see(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// size is the pool's, as seen from outside.
func (w *world) size() (n int) {
	w.see(func() { n = w.capacity() })
	return n
}

// began and ticks count what the journal holds.
func (w *world) began() (n int) {
	w.see(func() { n = len(w.steps) })
	return n
}

func (w *world) ticks() (n int) {
	w.see(func() { n = len(w.journal.ticks) })
	return n
}

// newService starts a Scaler in a bubble; stop ends it and waits.
func newService(t *testing.T, w *world, wake <-chan struct{}, units map[string]Unit, set ...rules.Scale) (s *Scaler, stop func()) {
	t.Helper()
	s = New(Options{
		Querier: w, Journal: w.journal, Roster: NewRoster(), Wake: wake, Version: "test",
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Registerer: prometheus.NewRegistry(),
	})
	s.Apply(units, set)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	return s, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestAProviderThatHangsHoldsUpItsOwnPoolOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		w.now = time.Now().UTC()
		s, stop := newService(t, w, nil, map[string]Unit{"web": {Pool: ticking{w}, Traffic: w}, "cloud": {Pool: stuck{}}}, *shareRule())
		defer stop()
		time.Sleep(time.Minute)
		if n := w.size(); n != 2 {
			t.Errorf("the pool beside the hanging one has %d members", n)
		}
		if got := s.Neglected(time.Now()); strings.Join(got, " ") != "cloud" {
			t.Errorf("not judged for three intervals: %v, want cloud alone", got)
		}
	})
}

func TestAScrapeIsJudgedAtOnceAndAtMostOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		w.now = time.Now().UTC()
		wake := make(chan struct{})
		_, stop := newService(t, w, wake, map[string]Unit{"web": {Pool: ticking{w}, Traffic: w}}, *shareRule())
		defer stop()
		time.Sleep(2*time.Minute + 300*time.Millisecond)
		w.see(func() { w.load = 60 })
		began := w.began()
		wake <- struct{}{}
		synctest.Wait()
		if w.began() != began+1 || w.steps[began].Verb != journal.Grow {
			t.Fatalf("a scrape that crosses was not acted on at once: %v", w.steps[began:])
		}
		ticks := w.ticks()
		for range 50 {
			wake <- struct{}{}
			time.Sleep(100 * time.Millisecond)
		}
		if n := w.ticks() - ticks; n > 6 {
			t.Errorf("judged %d times in 5 s", n)
		}
	})
}

func TestAPoolAtRestIsJudgedEveryFifteenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		w.now = time.Now().UTC()
		_, stop := newService(t, w, nil, map[string]Unit{"web": {Pool: ticking{w}, Traffic: w}}, *shareRule())
		defer stop()
		time.Sleep(2 * time.Minute)
		ticks := w.ticks()
		time.Sleep(5 * time.Minute)
		if n := w.ticks() - ticks; n < 19 || n > 21 {
			t.Errorf("kept %d ticks in five minutes, want one every 15 s", n)
		}
	})
}

func TestAJournalThatCannotBeWrittenStopsAllAction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		w.now = time.Now().UTC()
		w.journal.full = true
		s, stop := newService(t, w, nil, map[string]Unit{"web": {Pool: ticking{w}, Traffic: w}}, *shareRule())
		defer stop()
		time.Sleep(time.Minute)
		if w.size() != 0 {
			t.Error("acted without a journal")
		}
		if got := s.Neglected(time.Now()); len(got) != 1 {
			t.Error("nothing says that the pool is not looked after")
		}
		w.see(func() { w.journal.full = false })
		time.Sleep(time.Minute)
		if n := w.size(); n != 2 {
			t.Errorf("the journal is back, and the pool has %d members", n)
		}
	})
}

func TestOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		w.now = time.Now().UTC()
		s, stop := newService(t, w, nil, map[string]Unit{"web": {Pool: ticking{w}, Traffic: w}}, *shareRule())
		defer stop()
		h := s.Handler(func(*http.Request) string { return "alice" })
		post := func(path, body string, want int) string {
			t.Helper()
			r := httptest.NewRequest(http.MethodPost, "/api/flyball/v1/"+path, strings.NewReader(body))
			res := httptest.NewRecorder()
			h.ServeHTTP(res, r)
			if res.Code != want {
				t.Errorf("%s %s: %d %s, want %d", path, body, res.Code, res.Body, want)
			}
			return res.Body.String()
		}
		size := func(want int) {
			t.Helper()
			time.Sleep(3 * time.Minute)
			if n := w.size(); n != want {
				t.Errorf("%d members, want %d", n, want)
			}
		}
		size(2)
		post("pools/web/set", `{"size":5,"for":"10m","reason":"sale"}`, 200)
		size(5)
		post("stop-all", `{"reason":"maintenance"}`, 200)
		w.see(func() { w.load = 110 })
		size(5)
		post("resume-all", ``, 200)
		size(8)
		w.see(func() { w.load = 1 })
		time.Sleep(10 * time.Minute)
		size(2) // the floor's time is over
		post("pools/web/pause", `{"for":"1h"}`, 200)
		w.see(func() { w.load = 60 })
		size(2)
		post("pools/web/resume", ``, 200)
		size(5)
		post("pools/web/resume", ``, 409)
		post("pools/web/set", `{"size":9}`, 422)
		post("pools/web/set", `{"size":0}`, 422)
		post("pools/web/set", `{"sice":3}`, 400)
		post("pools/web/set", `{"size":3,"for":"3"}`, 400)
		if got := post("pools/wob/pause", ``, 404); !strings.Contains(got, `no pool`) {
			t.Errorf("an unknown pool: %s", got)
		}
	})
}

func TestAReloadTakesOverWithoutForgetting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		w.now = time.Now().UTC()
		units := map[string]Unit{"web": {Pool: ticking{w}, Traffic: w}}
		s, stop := newService(t, w, nil, units, *shareRule())
		defer stop()
		time.Sleep(2 * time.Minute)
		tight := *shareRule()
		tight.Min = 4
		s.Apply(units, []rules.Scale{tight})
		time.Sleep(time.Minute)
		if n := w.size(); n != 4 {
			t.Errorf("%d members under the new rule, want 4", n)
		}
		s.Apply(units, nil)
		time.Sleep(time.Minute)
		if st, err := s.Status(); err != nil || len(st.Pools) != 1 || st.Pools[0].Decision != nil || len(st.Pools[0].Members) != 4 {
			t.Errorf("a pool without a rule is watched: %+v, %v", st, err)
		}
	})
}
