package scaler

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flyball/rules"
	"flyball/scaler/journal"
)

// serving counts the members that are ready and in rotation.
func (w *world) serving() int {
	n := 0
	for _, m := range w.members {
		if m.State == rules.Ready && w.known[m.ID] && !w.out[m.ID] {
			n++
		}
	}
	return n
}

// rollSteadily rolls a pool at its max under a steady load, while Flyball is
// killed and the provider and the balancer fail now and then.
func rollSteadily(t *testing.T, seed uint64, nameless bool) {
	t.Helper()
	w, r := newWorld(seed), shareRule()
	w.nameless, w.version, w.load, r.Max = nameless, "v1", 51, 4
	l := w.life(r)
	for range 60 {
		l = w.turn(t, l, r)
		w.pass(2 * time.Second)
	}
	w.failing, w.lost, w.crash = 0.05, 0.05, 0.02
	w.version = "v2"
	w.order(true)
	for range 600 {
		l = w.turn(t, l, r)
		w.check(t, seed, r)
		if n := w.serving(); n < 4 {
			t.Fatalf("seed %d: %d members serve: %s", seed, n, w.names())
		}
		w.pass(2 * time.Second)
		if w.journal.orders["pool/web"].Roll == nil {
			break
		}
	}
	w.failing, w.lost, w.crash = 0, 0, 0
	for range 30 { // the last one drains
		l = w.turn(t, l, r)
		w.pass(2 * time.Second)
	}
	retired := 0
	for i, s := range w.steps {
		if s.Verb == journal.Withdraw && s.Reason == rules.Rolling {
			retired++
			if len(s.Victims) != 1 {
				t.Errorf("seed %d: step %d takes out %v at once", seed, i, s.Victims)
			}
		}
	}
	for _, m := range w.members {
		if m.Version != "v2" {
			t.Errorf("seed %d: %s is of %s", seed, m.Name, m.Version)
		}
	}
	if w.journal.orders["pool/web"].Roll != nil || retired != 4 {
		t.Errorf("seed %d: the roll took %d out: %+v", seed, retired, l.memory.Roll)
	}
}

func TestARollKeepsAsManyServingAndGoesOnAfterEveryKill(t *testing.T) {
	for seed := range uint64(40) {
		rollSteadily(t, seed, seed%4 == 3)
	}
}

// An image that is not there is not asked for all night, and who has nothing to
// give is waited for.
func TestARollWhoseNewMembersCannotBeMadeIsTakenBackAndOneWithoutCapacityWaits(t *testing.T) {
	for _, c := range []struct {
		name    string
		broken  func(*world)
		mended  func(*world)
		ends    bool
		replace int
		tells   string
	}{
		{"refused", func(w *world) { w.refuses = true }, func(w *world) { w.refuses = false }, true, 0, "0 of 4 replaced by version v2: 5 new members in a row did not come; the last: the provider is on fire"},
		{"sold out", func(w *world) { w.sold = 1 }, func(w *world) { w.sold = 0 }, false, 4, "waits: the provider has no capacity and is left alone until"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, r := newWorld(1), shareRule()
			w.version, w.load = "v1", 51
			l := w.life(r)
			turns := func(n int) {
				for range n {
					l = w.turn(t, l, r)
					w.pass(2 * time.Second)
				}
			}
			turns(60)
			c.broken(w)
			w.version = "v2"
			w.order(true)
			turns(600)
			if roll := l.kept.Out.Roll; roll == nil || !strings.Contains(roll.String(), c.tells) {
				t.Errorf("it tells %v, want %q", roll, c.tells)
			}
			if ended := w.journal.orders["pool/web"].Roll == nil; ended != c.ends {
				t.Errorf("the order is taken back: %t", ended)
			}
			c.mended(w)
			turns(1200)
			replaced := 0
			for _, m := range w.members {
				if m.Version == "v2" {
					replaced++
				}
			}
			if replaced != c.replace || w.capacity() != 4 {
				t.Errorf("%d were replaced, want %d: %s", replaced, c.replace, w.names())
			}
		})
	}
}

// A pool whose provider names members itself is not counted twice while they boot.
func TestAPoolWithoutNamesGrowsByWhatItLacksAndNoMore(t *testing.T) {
	w, r := newWorld(2), shareRule()
	w.nameless = true
	l := w.life(r)
	for i := range 200 {
		w.load = []float64{20, 80, 50, 100}[i/50]
		l = w.turn(t, l, r)
		w.check(t, 2, r)
		w.pass(4 * time.Second)
	}
	if n := w.capacity(); n != 8 {
		t.Errorf("%d members for a load of 100, want 8: %s", n, w.names())
	}
	for _, tick := range w.journal.ticks {
		if coming := tick.Out.Members.Booting; coming > 4 {
			t.Errorf("%d are on their way", coming)
		}
	}
}

// A sold-out size is asked for every five minutes and more, not every second.
func TestALackOfCapacityIsNotHammeredAndLetsAllElseGoOn(t *testing.T) {
	w, r := newWorld(1), shareRule()
	w.load = 51
	l := w.life(r)
	for range 60 {
		l = w.turn(t, l, r)
		w.pass(2 * time.Second)
	}
	w.sold, w.load = 1, 110
	begun := len(w.steps)
	for i := range 1800 { // an hour
		w.load = 90 + float64(i%20)
		l = w.turn(t, l, r)
		w.pass(2 * time.Second)
	}
	grown := 0
	for _, s := range w.steps[begun:] {
		if s.Verb == journal.Grow {
			grown++
		}
	}
	if n := w.capacity(); grown < 3 || grown > 5 || n <= 4 {
		t.Errorf("asked %d times within the hour, %d members", grown, n)
	}
	if line := l.kept.Out.Line(); !strings.Contains(line, "provider_backoff until") || !strings.Contains(line, "the size is sold out: no capacity") {
		t.Errorf("not in the provider's words: %s", line)
	}
	before := w.capacity()
	w.load = 30
	for range 200 {
		l = w.turn(t, l, r)
		w.pass(2 * time.Second)
	}
	if n := w.capacity(); n >= before {
		t.Errorf("%d members of %d are left for a load of 30", n, before)
	}
}

func TestTheOrderRollIsRefusedWhereItCannotBeginAndIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		w.now = time.Now().UTC()
		watched := *shareRule()
		watched.Pool, watched.Mode = "watched", rules.Observe
		s, stop := newService(t, w, nil, map[string]Unit{"web": {Pool: ticking{w}, Traffic: w}, "bare": {Pool: ticking{w}}, "watched": {Pool: ticking{w}}}, *shareRule(), watched)
		defer stop()
		h := s.Handler(func(*http.Request) string { return "alice" })
		post := func(path string, want int, text string) {
			t.Helper()
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/api/flyball/v1/pools/"+path, strings.NewReader(`{"reason":"image"}`)))
			if rec.Code != want || !strings.Contains(rec.Body.String(), text) {
				t.Errorf("%s: %d %s, want %d %s", path, rec.Code, rec.Body, want, text)
			}
		}
		time.Sleep(2 * time.Minute)
		post("nope/roll", 404, "no pool")
		post("bare/roll", 409, "has no scale rule")
		post("watched/roll", 409, "mode: act")
		post("web/roll", 409, "does not tell by which template")
		post("web/roll/stop", 409, "is not being rolled")
		post("nope/roll/stop", 404, "no pool")
		w.see(func() { w.version = "v2" })
		time.Sleep(time.Minute)
		post("web/roll", 200, `"why":"image"`)
		post("web/roll", 409, "being rolled already")
		time.Sleep(3 * time.Second)
		st, err := s.Status()
		if err != nil || st.Pools[2].Roll == nil || st.Pools[2].Decision.Roll == nil || st.Pools[2].Terms.Version != "v2" {
			t.Errorf("the roll is not told: %+v, %v", st.Pools[2], err)
		}
		post("web/roll/stop", 200, "alice")
		time.Sleep(5 * time.Minute)
		w.see(func() { w.version = "v3" })
		time.Sleep(time.Minute)
		post("web/roll", 200, `"by":"alice"`)
		time.Sleep(10 * time.Minute)
		post("web/roll", 409, "are of the present version v3")
		if o, err := w.journal.Orders(); err != nil || o["pool/web"].Roll != nil {
			t.Errorf("the order stands after the roll's end: %+v, %v", o["pool/web"], err)
		}
	})
}

func TestAStepOfMoreThanAHundredBooksWhatItAsksFor(t *testing.T) {
	m := rules.Memory{Resizes: []rules.Resize{{At: noon, By: 150}}}
	d := rules.Decision{Pool: "web", Verdict: rules.ScaleOut, Size: 10, To: 160}
	step := plan(situation{d: d, terms: can, steady: true, now: noon}, &m)
	if len(step.Names) != 100 || step.To != 110 || m.Resizes[0].By != 100 {
		t.Errorf("asks for %d, to %d, books %v", len(step.Names), step.To, m.Resizes)
	}
}

func TestPlansOfPoolsThatDriftRollOrTakeNoNames(t *testing.T) {
	keep := rules.Decision{Pool: "web", Verdict: rules.Keep, Size: 2, To: 2}
	in := rules.Decision{Pool: "web", Verdict: rules.ScaleIn, Size: 4, To: 3}
	out := rules.Decision{Pool: "web", Verdict: rules.ScaleOut, Size: 2, To: 4}
	roll := in
	roll.Reason, roll.Victims = rules.Rolling, []rules.MemberID{"web-2"}
	sized := func(s *situation) { s.terms.Names, s.terms.Victims = false, false }
	keeps := func(s *situation) { s.members[0].Kept, s.listed[0].Kept = true, true }
	v2 := func(s *situation) { s.members[0].Version, s.members[1].Version = "v2", "v2" }
	for _, c := range []struct {
		name    string
		d       rules.Decision
		members string
		edit    func(*situation)
		want    string
		to      int
	}{
		{"nobody is ended while there is drift", keep, "web-1:ready:0 web-2:ready:0 web-3:draining:0", func(s *situation) { s.terms.Drift = "half is missing" }, " ", 2},
		{"who is ready is let in all the same", keep, "web-1:ready:0 web-2:ready", func(s *situation) { s.terms.Drift = "half is missing" }, "admit / web-2", 2},
		{"the oldest of an older template goes first", in, "web-1:ready:0 web-2:ready:0 web-3:ready:0 web-4:ready:0", v2, "withdraw / web-3", 3},
		{"the sick go before an older template", in, "web-1:unhealthy:0 web-2:ready:0 web-3:ready:0 web-4:ready:0", v2, "withdraw / web-1", 3},
		{"a roll says who goes", roll, "web-1:ready:0 web-2:ready:0 web-3:ready:0 web-4:ready:0", nil, "withdraw / web-2", 3},
		{"a size counts who drains", out, "web-1:ready:0 web-2:ready:0 web-3:unhealthy:0", func(s *situation) { s.terms.Names = false }, "grow web-4 web-5", 5},
		{"a provider that picks who ends is told the size, and nobody is withdrawn", in, "web-1:ready:0 web-2:ready:0 web-3:ready:0 web-4:ready:0", sized, "remove", 3},
		{"a roll tells it no name either", roll, "web-1:ready:0 web-2:ready:0 web-3:ready:0 web-4:ready:0", sized, "remove", 3},
		{"it is not told of who leaves", keep, "web-1:ready:0 web-2:ready:0 web-3:leaving:0", sized, " ", 2},
		{"who drains there comes back", keep, "web-1:ready:0 web-2:ready:0 web-3:draining:0", sized, "admit / web-3", 2},
		{"who is kept is no victim", in, "web-1:ready:0 web-2:ready:0 web-3:ready:0 web-4:ready:0", keeps, "withdraw / web-2", 3},
		{"who is kept and drains comes back", keep, "web-1:draining:0 web-2:ready:0 web-3:ready:0", keeps, "admit / web-1", 2},
		{"who is kept is not asked to end", keep, "web-1:leaving:0 web-2:ready:0 web-3:leaving:0", keeps, "remove / web-3", 2},
		{"who is not counted has all its time to drain", keep, "web-1:ready:-1 web-2:ready:-1 web-3:draining:-1", nil, " ", 2},
		{"who is not counted is let in once", keep, "web-1:ready:-1 web-2:ready:-1 web-3:ready", nil, "admit / web-3", 2},
		{"a size is lowered by who ends", keep, "web-1:ready:0 web-2:ready:0 web-3:draining:0 web-4:draining:5", func(s *situation) { s.terms.Names = false }, "remove / web-3", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := rules.Memory{}
			members := crew(c.members)
			for _, x := range members {
				if x.State == rules.Draining {
					m.Withdraw([]rules.MemberID{x.ID}, x.Since)
				}
			}
			terms := can
			terms.Version = "v2"
			listed := slices.Clone(members)
			for i, x := range listed {
				if x.State == rules.Draining {
					listed[i].State = rules.Ready
				}
			}
			s := situation{d: c.d, members: members, listed: listed, drain: time.Hour, counted: true, met: all(members), steady: true, now: noon, terms: terms}
			if c.edit != nil {
				c.edit(&s)
			}
			step := plan(s, &m)
			if got := sketch(step); strings.TrimSpace(got) != strings.TrimSpace(c.want) || step.To != c.to {
				t.Errorf("planned %q to %d, want %q to %d", got, step.To, c.want, c.to)
			}
		})
	}
}

func TestNamesAreSortedByTheirNumber(t *testing.T) {
	got := []string{"web-10", "web-2", "web", "web-1", "api-3", "web-99999999999999999999"}
	slices.SortFunc(got, byNumber)
	if want := "[api-3 web web-1 web-2 web-10 web-99999999999999999999]"; fmt.Sprint(got) != want {
		t.Errorf("sorted %v, want %s", got, want)
	}
}
