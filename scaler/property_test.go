package scaler

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"flyball/rules"
	"flyball/scaler/journal"
)

// TestThePoolStaysLawfulAndConverges runs thousands of seeded lives: random load,
// failing and lost calls, dying and sick members, silent queries, rolls, sold-out
// sizes, lists that lie, and kill -9 at any boundary. All the while the pool keeps
// to its bounds and to one step at a time; once the faults stop, it comes to the
// size that the load wants, and to the version that was rolled out.
func TestThePoolStaysLawfulAndConverges(t *testing.T) {
	const lots = 4
	for lot := range uint64(lots) {
		t.Run(fmt.Sprint(lot), func(t *testing.T) {
			t.Parallel()
			for seed := lot; seed < runs(t); seed += lots {
				liveAndCalm(t, seed)
				if t.Failed() {
					return
				}
			}
		})
	}
}

// runs is how many seeds are tried: thousands, and fewer where each takes ten
// times as long. FLYBALL_RUNS asks for another number.
func runs(t *testing.T) uint64 {
	if n, err := strconv.ParseUint(os.Getenv("FLYBALL_RUNS"), 10, 64); err == nil {
		return n
	}
	if testing.Short() || raceEnabled {
		return 60
	}
	return 3000
}

// liveAndCalm is one seeded life, and the calm after it.
func liveAndCalm(t *testing.T, seed uint64) {
	t.Helper()
	w := newWorld(seed)
	w.failing, w.lost = w.rand.Float64()*0.2, w.rand.Float64()*0.1
	w.dying, w.sick = w.rand.Float64()*0.02, w.rand.Float64()*0.02
	w.silent, w.crash = w.rand.Float64()*0.2, w.rand.Float64()*0.03
	rolls := 0.0
	if seed%3 == 0 {
		rolls = 0.05
	}
	if seed%5 == 0 {
		w.sold = 0.1
	}
	if seed%7 == 0 {
		w.drifts = 0.02
	}
	w.nameless = seed%4 == 1 && seed%5 > 0
	if seed%6 == 2 {
		w.keeps = "web-2"
	}
	r := shareRule()
	l := w.life(r)
	for i := range 120 {
		if w.chance(0.05) {
			w.load = w.rand.Float64() * 130
		}
		if w.chance(rolls) {
			w.version = fmt.Sprint("v", i/40)
			w.order(w.chance(0.8))
		}
		l = w.turn(t, l, r)
		w.check(t, seed, r)
		w.pass(time.Duration(1+w.rand.IntN(5)) * time.Second)
	}
	w.calm(t, l, r, seed)
}

// check holds the world against the rule.
func (w *world) check(t *testing.T, seed uint64, r *rules.Scale) {
	t.Helper()
	m, _, err := w.journal.recall("web")
	if err != nil {
		t.Fatal(err)
	}
	most := r.Max
	if m.Roll != nil && m.Roll.Surge != "" {
		most++
	}
	if n := w.capacity(); n > most {
		t.Errorf("seed %d: %d members, at most %d: %s", seed, n, most, w.names())
	}
	if len(w.journal.open) > 1 {
		t.Errorf("seed %d: %d steps in flight", seed, len(w.journal.open))
	}
	names := map[string]bool{}
	for i, s := range w.steps {
		if spends := s.Verb == journal.Grow || s.Verb == journal.Swap || s.Verb == journal.Remove; spends && w.journal.terms[i].Drift != "" {
			t.Errorf("seed %d: %s while the list was not believed", seed, s.Verb)
		}
		for _, n := range s.Names {
			if names[n] {
				t.Errorf("seed %d: %s was asked for twice", seed, n)
			}
			names[n] = true
		}
	}
	for _, m := range w.members {
		if m.Kept && (m.State == rules.Leaving || w.out[m.ID]) {
			t.Errorf("seed %d: %s is kept, is %s, out of rotation %t", seed, m.Name, m.State, w.out[m.ID])
		}
		if m.State == rules.Leaving && !w.out[m.ID] && w.known[m.ID] {
			t.Errorf("seed %d: %s was ended in rotation", seed, m.Name)
		}
	}
	if b := w.journal.memory["web"]; len(b) > 4096 {
		t.Errorf("seed %d: the memory has %d bytes", seed, len(b))
	}
}

// calm lets the faults stop and the load stand still, and wants the right size,
// every ready member in rotation, and no step open.
func (w *world) calm(t *testing.T, l *loop, r *rules.Scale, seed uint64) {
	t.Helper()
	w.failing, w.lost, w.dying, w.sick, w.silent, w.crash, w.sold, w.drifts = 0, 0, 0, 0, 0, 0, 0, 0
	for i, m := range w.members {
		if m.Kept && m.State == rules.Unhealthy { // nobody replaces it
			w.members[i].State, w.members[i].Since = rules.Ready, w.now
		}
	}
	if m, _, _ := w.journal.recall("web"); m.Failed["capacity"].Until.After(w.now) {
		w.pass(30 * time.Minute)
	}
	for i := range 150 {
		l = w.turn(t, l, r)
		w.pass(4 * time.Second)
		if i == 50 && w.version != "" {
			w.order(true)
			l = w.rollOut(t, l, r, seed)
		}
	}
	want := min(max(int(w.load/14)+1, r.Min), r.Max)
	n := w.capacity()
	if n != want && n != want+1 && !(n == want-1 && n >= r.Min) {
		t.Errorf("seed %d: settled at %d members for a load of %.1f, want %d: %s", seed, n, w.load, want, w.names())
	}
	if len(w.members) != n {
		t.Errorf("seed %d: %d members exist, %d count: %s", seed, len(w.members), n, w.names())
	}
	if len(w.journal.open) > 0 {
		t.Errorf("seed %d: a step is open", seed)
	}
	for _, m := range w.members {
		if m.State != rules.Ready || !w.known[m.ID] || w.out[m.ID] {
			t.Errorf("seed %d: %s is %s, known %t, out of rotation %t", seed, m.Name, m.State, w.known[m.ID], w.out[m.ID])
		}
	}
}

// order orders a roll, or stops the one that stands.
func (w *world) order(begin bool) {
	o := &rules.Order{By: "alice", At: w.now}
	if !begin {
		o.Until = w.now
	}
	_ = w.journal.SetOrder("pool/web", journal.RollOrder, o, w.now) // keeps it in memory
}

// rollOut lets a roll go on until it ends, and wants all members to be of the version.
func (w *world) rollOut(t *testing.T, l *loop, r *rules.Scale, seed uint64) *loop {
	t.Helper()
	for range 300 {
		l = w.turn(t, l, r)
		w.check(t, seed, r)
		w.pass(4 * time.Second)
		if w.journal.orders["pool/web"].Roll == nil {
			break
		}
	}
	m, _, _ := w.journal.recall("web")
	if m.Roll == nil || m.Roll.Ended.IsZero() || m.Roll.Why != "" {
		t.Errorf("seed %d: the roll did not come to its end: %+v, %s", seed, m.Roll, w.names())
	}
	for _, x := range w.members {
		if x.Version != w.version && !x.Kept && x.State != rules.Leaving && !w.out[x.ID] {
			t.Errorf("seed %d: %s is of version %q, not %q", seed, x.Name, x.Version, w.version)
		}
	}
	return l
}

func (w *world) names() string {
	var out []string
	for _, m := range w.members {
		out = append(out, fmt.Sprintf("%s:%s:%t", m.Name, m.State, w.out[m.ID]))
	}
	return fmt.Sprint(out)
}

// TestEveryTickDecidesAgainToTheSame replays what the journal kept.
func TestEveryTickDecidesAgainToTheSame(t *testing.T) {
	w, r := newWorld(3), shareRule()
	w.dying, w.silent, w.failing = 0.01, 0.1, 0.1
	l := w.life(r)
	for i := range 300 {
		w.load = float64(20 + 40*(i/100))
		l = w.turn(t, l, r)
		w.pass(2 * time.Second)
	}
	if len(w.journal.ticks) < 100 {
		t.Fatalf("only %d ticks were kept", len(w.journal.ticks))
	}
	for _, tick := range w.journal.ticks {
		d, _ := rules.Decide(*r, tick.In, tick.Before, tick.Out.At)
		if got, want := mustJSON(t, d), mustJSON(t, tick.Out); got != want {
			t.Fatalf("decided again:\n%s\nthen:\n%s", got, want)
		}
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestKilledAtEveryBoundaryOfAStep kills Flyball at each boundary of growing and of
// shrinking in turn, and wants the same end as without: nobody orphaned, nobody
// doubled, the step closed.
func TestKilledAtEveryBoundaryOfAStep(t *testing.T) {
	for _, load := range []float64{60, 1} {
		for boundary := 1; ; boundary++ {
			w, r := newWorld(1), shareRule()
			w.load = 30
			l := w.life(r)
			for range 60 {
				l = w.turn(t, l, r)
				w.pass(2 * time.Second)
			}
			w.load = load
			killed := (&killer{at: boundary}).run(t, w, l, r)
			if !killed {
				if boundary < 10 {
					t.Fatalf("load %g: only %d boundaries were seen", load, boundary)
				}
				break
			}
		}
	}
}

// A killer kills once, at a numbered boundary.
type killer struct{ at int }

func (k *killer) run(t *testing.T, w *world, l *loop, r *rules.Scale) (killed bool) {
	t.Helper()
	w.kill = k.at
	begun := len(w.steps)
	for range 60 {
		before := l
		l = w.turn(t, l, r)
		killed = killed || l != before
		w.check(t, uint64(k.at), r)
		w.pass(2 * time.Second)
		if k.at > 0 && !killed && len(w.steps) > begun+6 {
			break
		}
	}
	w.kill = 0
	w.calm(t, l, r, uint64(k.at))
	grown := map[string]int{}
	for _, s := range w.steps {
		if s.Verb == journal.Grow || s.Verb == journal.Swap {
			for _, n := range s.Names {
				grown[n]++
			}
		}
	}
	for _, m := range w.members {
		if grown[m.Name] != 1 {
			t.Errorf("boundary %d: %s was asked for %d times", k.at, m.Name, grown[m.Name])
		}
	}
	return killed
}
