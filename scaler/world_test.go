package scaler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flyball/rules"
	"flyball/scaler/journal"
)

// A world is a pool, its traffic, its load and a journal, in simulated time. It
// fails, dies and loses answers as its knobs say, by its seed alone.
type world struct {
	mu      sync.Mutex // held by what the loop calls; a test that looks on holds it, too
	rand    *rand.Rand
	now     time.Time
	members []rules.Member // as the provider has them
	out     map[rules.MemberID]bool
	known   map[rules.MemberID]bool
	load    float64
	boot    time.Duration

	// chances, of 1
	failing float64 // a call fails before it does anything
	lost    float64 // a call fails after it did what it was asked
	dying   float64 // a member dies, at each judgement
	sick    float64 // a member turns unhealthy, or well
	silent  float64 // a query answers nothing
	sold    float64 // a growth is obeyed in half, or not at all, for want of capacity
	drifts  float64 // the list shows every other member for a while, and says so
	crash   float64 // Flyball is killed, before or after any call
	kill    int     // and so it is at this boundary from now; 0: not

	refuses  bool      // every growth, as of an image that is not there
	nameless bool      // it takes a size and no names, and names members as it likes
	serial   int       // of the last that it named
	keeps    string    // name of the member that is never to be ended
	version  string    // of members made from now on
	drift    time.Time // until when the list lies

	journal *memoryJournal
	steps   []journal.Step // in the order they began
	ended   map[rules.MemberID]bool
}

func newWorld(seed uint64) *world {
	w := &world{
		rand: rand.New(rand.NewPCG(seed, 7)), now: noon, out: map[rules.MemberID]bool{}, known: map[rules.MemberID]bool{},
		boot: 20 * time.Second, load: 1, ended: map[rules.MemberID]bool{},
	}
	w.journal = &memoryJournal{w: w, memory: map[string]string{}, orders: map[string]journal.Standing{}, open: map[string]journal.Entry{}}
	return w
}

var (
	errFault = errors.New("the provider is on fire")
	errKill  = errors.New("kill -9")
)

func (w *world) chance(p float64) bool { return p > 0 && w.rand.Float64() < p }

// call is one call to the outside: it may fail, be lost, or be the last.
func (w *world) call(f func()) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.boundary()
	if w.chance(w.failing) {
		return errFault
	}
	f()
	w.boundary()
	if w.chance(w.lost) {
		return errFault
	}
	return nil
}

// boundary is a place where Flyball may be killed.
func (w *world) boundary() {
	if w.kill > 0 {
		w.kill--
		if w.kill == 0 {
			panic(errKill)
		}
	}
	if w.chance(w.crash) {
		panic(errKill)
	}
}

// pass lets time go by: members boot, die, fall sick and end.
func (w *world) pass(d time.Duration) {
	w.now = w.now.Add(d)
	if w.chance(w.drifts) {
		w.drift = w.now.Add(20 * time.Second)
	}
	for i := range w.members {
		m := &w.members[i]
		switch {
		case m.State == rules.Booting && w.now.Sub(m.Since) >= w.boot:
			m.State, m.Since = rules.Ready, w.now
		case m.State == rules.Ready && w.chance(w.dying) && !m.Kept:
			m.State, m.Since = rules.Dead, w.now
		case m.State == rules.Ready && w.chance(w.sick):
			m.State, m.Since = rules.Unhealthy, w.now
		case m.State == rules.Unhealthy && w.chance(10*w.sick+0.05):
			m.State, m.Since = rules.Ready, w.now
		}
	}
	w.members = slices.DeleteFunc(w.members, func(m rules.Member) bool {
		return m.State == rules.Leaving && w.now.Sub(m.Since) > 3*time.Second
	})
}

// capacity counts the members that live and were not asked to drain.
func (w *world) capacity() int {
	n := 0
	m, _, err := w.journal.recall("web")
	if err != nil {
		panic(err)
	}
	for _, x := range w.members {
		_, draining := m.DrainingSince(x.ID)
		if (x.State == rules.Ready || x.State == rules.Booting || x.State == rules.Unhealthy) && !draining {
			n++
		}
	}
	return n
}

// Look, Grow and Remove make the world a Pool.
func (w *world) Look(context.Context) (ms []rules.Member, t rules.Terms, err error) {
	err = w.call(func() {
		t, ms = can, slices.Clone(w.members)
		t.Version, t.Names = w.version, !w.nameless
		if w.now.Before(w.drift) {
			t.Drift = "half of the members are not listed"
			ms = slices.DeleteFunc(ms, func(m rules.Member) bool { return strings.HasSuffix(m.Name, "1") || strings.HasSuffix(m.Name, "4") })
		}
	})
	return ms, t, err
}

func (w *world) Grow(_ context.Context, s journal.Step) error {
	if w.chance(w.sold) {
		_ = w.call(func() { w.make(s.Names[:len(s.Names)/2]) }) // what it did stays, whatever it answers
		return fmt.Errorf("make %d members: the size is sold out: %w", len(s.Names), ErrNoCapacity)
	}
	if w.refuses {
		return errFault
	}
	return w.call(func() {
		if w.nameless {
			s.Names = nil
			for range s.To - rules.Provided(w.members) {
				w.serial++
				s.Names = append(s.Names, fmt.Sprint("node-", w.serial))
			}
		}
		w.make(s.Names)
	})
}

func (w *world) make(names []string) {
	for _, n := range names {
		if !slices.ContainsFunc(w.members, func(m rules.Member) bool { return m.Name == n }) {
			w.members = append(w.members, rules.Member{ID: rules.MemberID(n), Name: n, State: rules.Booting, Since: w.now, Born: w.now, Version: w.version, Kept: n == w.keeps})
		}
	}
}

func (w *world) Remove(_ context.Context, s journal.Step) error {
	return w.call(func() {
		for i := range w.members {
			if m := &w.members[i]; slices.Contains(s.Victims, m.ID) && m.State != rules.Leaving {
				if m.State == rules.Dead {
					m.Since = w.now.Add(-time.Hour)
				} else {
					m.Since = w.now
				}
				m.State = rules.Leaving
			}
		}
	})
}

// Admit, Withdraw and Open make the world a Traffic.
func (w *world) Admit(_ context.Context, ms []rules.Member) error {
	return w.call(func() {
		for _, m := range ms {
			w.known[m.ID], w.out[m.ID] = true, false
		}
	})
}

func (w *world) Withdraw(_ context.Context, ms []rules.Member) error {
	return w.call(func() {
		for _, m := range ms {
			w.known[m.ID], w.out[m.ID] = true, true
		}
	})
}

func (w *world) Open(context.Context) (open map[rules.MemberID]int, err error) {
	err = w.call(func() {
		open = map[rules.MemberID]int{}
		for id := range w.known {
			open[id] = 0
		}
	})
	return open, err
}

// Query answers the load, shared evenly among the members in rotation.
func (w *world) Query(_ context.Context, _ rules.Query, at time.Time) (rules.Reading, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.chance(w.silent) {
		return rules.Reading{}, rules.ErrNoData
	}
	var in []string
	for _, m := range w.members {
		if m.State == rules.Ready && !w.out[m.ID] {
			in = append(in, m.Name)
		}
	}
	r := rules.Reading{Seen: map[string]time.Time{}}
	for _, n := range in {
		r.Points = append(r.Points, rules.Point{Member: n, Value: w.load / float64(len(in))})
		r.Seen[n], r.Newest = at, at
	}
	if len(in) == 0 {
		return r, rules.ErrNoData
	}
	return r, nil
}

var can = rules.Terms{Names: true, Victims: true}

// life starts Flyball over the world, as after a restart.
func (w *world) life(r *rules.Scale) *loop {
	s := New(Options{
		Querier: w, Journal: w.journal, Roster: NewRoster(),
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Registerer: prometheus.NewRegistry(),
	})
	s.Apply(map[string]Unit{"web": {Pool: w, Traffic: w, Drain: 10 * time.Second}}, []rules.Scale{*r})
	return s.loops["web"]
}

// turn is one judgement of a life that may be killed in it; it returns the loop to
// go on with.
func (w *world) turn(t *testing.T, l *loop, r *rules.Scale) *loop {
	t.Helper()
	killed := func() (killed bool) {
		defer func() {
			if e := recover(); e != nil {
				if e != any(errKill) {
					panic(e)
				}
				killed = true
			}
		}()
		_ = l.turn(t.Context(), w.now) // faults are what this world is for
		return false
	}()
	if killed {
		return w.life(r)
	}
	return l
}

// shareRule wants 14 of the load for each of 2 to 8 members.
func shareRule() *rules.Scale {
	return &rules.Scale{
		Pool: "web", Rule: "web.scale.yaml:2", Mode: rules.Act, Min: 2, Max: 8,
		Signals: []rules.Signal{{Name: "requests", Query: rules.PromQL{Pool: "web", Expr: "requests"}, Scope: rules.PerMember, Share: 14}},
		Out:     rules.Pace{Limit: rules.Limit{LargerOf: []rules.Amount{{Percent: 100}, {Members: 4}}, Every: time.Minute}},
		In:      rules.Pace{Window: time.Minute, Limit: rules.Limit{LargerOf: []rules.Amount{{Percent: 25}, {Members: 1}}, Every: 30 * time.Second}},
		Warmup:  20 * time.Second, Missing: rules.Missing{Coverage: 0.8, Stale: 15 * time.Second, Hold: time.Minute},
	}
}
