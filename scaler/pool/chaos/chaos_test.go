package chaos

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flyball/scaler/pool/emulate"
)

var (
	howMany = flag.Int("chaos.runs", 0, "how many runs of chaos are done; 0: FLYBALL_CHAOS, or a sample")
	oneSeed = flag.Int64("chaos.seed", -1, "seed of the first run")
	oneKind = flag.String("chaos.kind", "", "of the pools; all, if it is not said")
)

// runs is how many runs are done.
func runs() int {
	if *howMany > 0 {
		return *howMany
	}
	if n, err := strconv.Atoi(os.Getenv("FLYBALL_CHAOS")); err == nil && n > 0 {
		return n
	}
	if raceEnabled || testing.Short() {
		return 36
	}
	return 120
}

// tally counts what befell in all runs.
type tally struct {
	mu       sync.Mutex
	befallen map[string]int
	kills    int
	wipes    int
	judged   int
	asked    int
	steps    int
	waited   int // the most judgements at one time that nothing excused
}

// TestChaos lets everything fail that can, and then nothing; see the package's comment.
func TestChaos(t *testing.T) {
	const lots = 4
	first := uint64(max(*oneSeed, 0))
	sum := &tally{befallen: map[string]int{}}
	began := time.Now()
	t.Run("runs", func(t *testing.T) {
		for lot := range uint64(lots) {
			t.Run(fmt.Sprint(lot), func(t *testing.T) {
				t.Parallel()
				for seed := first + lot; seed < first+uint64(runs()); seed += lots {
					if !run(t, sum, kindOf(seed), seed) {
						return
					}
				}
			})
		}
	})
	t.Logf("%d runs in %s: %d judgements, %d steps, %d requests, %d kills, %d empty data folders, at most %d judgements without an excuse; faults befallen: %v",
		runs(), time.Since(began).Round(time.Second), sum.judged, sum.steps, sum.asked, sum.kills, sum.wipes, sum.waited, sum.befallen)
	for _, name := range emulate.Names() {
		if *oneSeed < 0 && !t.Failed() && sum.befallen[name] == 0 {
			t.Errorf("the fault %s befell in no run", name)
		}
	}
}

func kindOf(seed uint64) string {
	if *oneKind != "" {
		return *oneKind
	}
	ks := kinds()
	return ks[seed%uint64(len(ks))]
}

// run is one run in a bubble of its own.
func run(t *testing.T, sum *tally, kind string, seed uint64) bool {
	t.Helper()
	return t.Run(fmt.Sprintf("%s-%d", kind, seed), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, kind, seed)
			w.live(sum)
			sum.add(w)
			if t.Failed() {
				t.Logf("again: go test ./scaler/pool/chaos -run Chaos -chaos.runs 1 -chaos.seed %d -chaos.kind %s -v", seed, kind)
			}
		})
	})
}

func (s *tally) add(w *world) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kills += w.reaper.kills
	s.judged += w.judged
	s.asked += len(w.cloud.world.Requests())
	s.steps += w.ledger.begun()
}

// live is a run: a storm, and the calm after it.
func (w *world) live(sum *tally) {
	l := w.begin()
	time.Sleep(time.Duration(30+w.dice.IntN(90)) * time.Second) // a pool that is under way
	w.reaper.sharpen(w.dice.Float64()*0.004, 0)
	strikes := 25
	if raceEnabled && *howMany == 0 {
		strikes = 10
	}
	for range strikes {
		w.strike()
		l = w.pass(l, sum)
	}
	w.reaper.sharpen(0, 0)
	for _, name := range emulate.Names() {
		n := w.cloud.world.Befallen(name)
		sum.mu.Lock()
		sum.befallen[name] += n
		sum.mu.Unlock()
	}
	w.cloud.world.Heal()
	w.set(func() { w.silent = false })
	l = w.pass(l, sum)
	w.calm(sum)
	l.stop()
	w.settle()
}

// pass lets some time pass; Flyball lives on.
func (w *world) pass(l *life, sum *tally) *life {
	for range 5 + w.dice.IntN(40) {
		time.Sleep(time.Second)
		w.hold()
		l = w.revive(l, sum)
	}
	return l
}

// revive begins Flyball anew if it was killed, once in a while without its data.
func (w *world) revive(l *life, sum *tally) *life {
	select {
	case <-l.dead:
	default:
		return l
	}
	<-l.over
	if w.mayWipe() {
		w.forget()
		sum.mu.Lock()
		sum.wipes++
		sum.mu.Unlock()
	}
	time.Sleep(time.Duration(w.dice.IntN(20)) * time.Second)
	return w.begin()
}

// strike plants a fault, changes the load, or does something to a machine.
func (w *world) strike() {
	names := emulate.Names()
	if w.dice.IntN(2) == 0 {
		w.plant(emulate.Fault{Name: names[w.dice.IntN(len(names))], Share: 0.2 + 0.8*w.dice.Float64(), Times: 1 + w.dice.IntN(3)})
	}
	if w.dice.IntN(4) == 0 {
		w.set(func() { w.load = w.dice.Float64() * 1.3 * most * share })
	}
	w.set(func() { w.silent = w.dice.IntN(12) == 0 })
	if w.dice.IntN(15) == 0 {
		w.harm()
	}
}

func (w *world) plant(f emulate.Fault) {
	if breaks := f.Name == "never_ready" || f.Name == "failed_boot"; w.cloud.blind && breaks { // who ends is not ours to say
		return
	}
	if f.Name == "never_ready" { // few are replaced for their health in an hour
		f.Times = 1
		w.cloud.world.Heal(f.Name)
	}
	if f.Name == "list_lag" || f.Name == "partial_list" {
		if time.Since(w.wiped) < liesApart { // nor lie the lists that who knows nothing reads first
			return
		}
		w.set(func() { w.broken = time.Now() })
	}
	w.cloud.world.Plant(f)
}

// harm is what others, or fate, do to a machine.
func (w *world) harm() {
	name := w.cloud.somebody(w.dice)
	if name == "" || w.cloud.blind {
		return
	}
	do := []func(string) bool{w.cloud.stop, w.cloud.destroy}
	if !w.killed { // several that fall sick at once are left alone, for as long as they are
		do = append(do, w.cloud.kill)
	}
	i := w.dice.IntN(len(do))
	w.killed = w.killed || i == 2
	do[i](name)
	w.set(func() { w.broken = time.Now() })
}

// beyond are requests beyond the cloud's limits.
func (w *world) beyond() []string {
	var out []string
	for _, r := range w.cloud.world.Requests() {
		if (r.Status == http.StatusTooManyRequests || r.Status == http.StatusForbidden) && r.Fault == "" {
			out = append(out, fmt.Sprintf("%s %s %s", r.At.Format(time.TimeOnly), r.Method, r.URL))
		}
	}
	return slices.Compact(out)
}
