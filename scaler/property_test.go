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
// failing and lost calls, dying and sick members, silent queries, and kill -9 at
// any boundary. All the while the pool keeps to its bounds and to one step at a
// time; once the faults stop, it comes to the size that the load wants.
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
	r := shareRule()
	l := w.life(r)
	for range 120 {
		if w.chance(0.05) {
			w.load = w.rand.Float64() * 130
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
	if n := w.capacity(); n > r.Max {
		t.Errorf("seed %d: %d members, max %d: %s", seed, n, r.Max, w.names())
	}
	if len(w.journal.open) > 1 {
		t.Errorf("seed %d: %d steps in flight", seed, len(w.journal.open))
	}
	names := map[string]bool{}
	for _, s := range w.steps {
		for _, n := range s.Names {
			if names[n] {
				t.Errorf("seed %d: %s was asked for twice", seed, n)
			}
			names[n] = true
		}
	}
	for _, m := range w.members {
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
	w.failing, w.lost, w.dying, w.sick, w.silent, w.crash = 0, 0, 0, 0, 0, 0
	for range 150 {
		l = w.turn(t, l, r)
		w.pass(4 * time.Second)
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
