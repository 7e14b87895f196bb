package chaos

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flyball/rules"
	"flyball/scaler/journal"
	"flyball/scaler/pool/emulate"
)

// scene plays something in a bubble, with Flyball running over a pool of a kind.
func scene(t *testing.T, kind string, play func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, kind, 1)
		l := w.begin()
		play(w)
		l.stop()
		if t.Failed() {
			t.Log(w.story())
		}
	})
}

// until waits until a condition holds, for an hour at most.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for range 3600 {
		if ok() {
			return
		}
		time.Sleep(time.Second)
	}
	w.t.Fatalf("it did not come about that %s: %s", what, w.wrong())
}

// wants sets the load so that one size is right, and waits until the pool has it.
func (w *world) wants(size int) {
	w.t.Helper()
	w.set(func() { w.load = (float64(size) - 0.3) * share })
	w.until(fmt.Sprintf("there are %d", size), func() bool { return w.wrong() == "" })
}

// TestKilledAtEveryBoundaryOfGrowingAndShrinking kills Flyball at each boundary in
// turn, before and after every call that changes something at the cloud, in the journal
// or at the balancer. (The runs of chaos kill it at all others, too.)
func TestKilledAtEveryBoundaryOfGrowingAndShrinking(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			stride := 1
			if *howMany == 0 { // a sample, of fewer where a try takes long
				stride = 9
				if raceEnabled {
					stride = 31
				}
				if kind == "autoscale" {
					stride *= 4
				}
			}
			for at := 1; at > 0 && !t.Failed(); at += stride {
				synctest.Test(t, func(t *testing.T) { at = killedAt(t, kind, at) })
			}
		})
	}
}

// killedAt grows and shrinks a pool and kills Flyball once on the way; it returns the
// boundary, or less than 0 if there was none so late.
func killedAt(t *testing.T, kind string, at int) int {
	t.Helper()
	w := newWorld(t, kind, 1)
	l := w.begin()
	w.wants(2)
	w.until("nothing is done", func() bool { return w.excuse() == "" })
	time.Sleep(12 * time.Minute) // a pool that was just set may not take another size yet
	w.set(func() { w.load = 4.7 * share })
	w.reaper.sharpen(0, at)
	calm := &tally{}
	l = w.pass(l, calm)
	w.until("it grows", func() bool { l = w.revive(l, calm); return w.goal() == 5 && w.wrong() == "" })
	w.set(func() { w.load = 1.7 * share })
	w.until("it shrinks", func() bool { l = w.revive(l, calm); return w.wrong() == "" })
	w.reaper.sharpen(0, 0)
	l.stop()
	w.settle()
	if t.Failed() {
		t.Logf("killed at boundary %d", at)
	}
	if w.reaper.kills == 0 {
		if at < 20 {
			t.Errorf("only %d boundaries were seen", at)
		}
		return -1000
	}
	return at
}

func TestTwoFlyballsOfOnePoolKeepItsBoundsAndLeaveNoDouble(t *testing.T) {
	for _, kind := range []string{"droplets", "zonal"} {
		t.Run(kind, func(t *testing.T) {
			scene(t, kind, func(w *world) {
				other := w.twin()
				l := other.begin()
				dice := rand.New(rand.NewPCG(1, 2))
				for range 20 {
					load := dice.Float64() * most * share
					w.set(func() { w.load = load })
					other.set(func() { other.load = load })
					for range 60 {
						time.Sleep(time.Second)
						// Each may have asked for all that lacks before it sees what the other did.
						if names := len(w.cloud.ours()); names > 2*most {
							t.Fatalf("there are %d machines", names)
						}
					}
				}
				l.stop() // somebody noticed
				w.wants(3)
				time.Sleep(5 * time.Minute)
				w.settle()
				if wrong := w.wrong(); wrong != "" {
					t.Error(wrong)
				}
			})
		})
	}
}

func TestTheFloorBeatsTheCeilingAndTheCeilingBeatsTheSignals(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		what  string
		size  int
		load  float64
		quota int
		floor int
		want  int
	}{
		{"signals", 3, 4.7, 0, 0, 5},
		{"max over signals", 7, 20, 0, 0, 8},
		{"quota over signals", 3, 7.7, 5, 0, 5},
		{"the smallest of max and quota", 7, 20, 9, 0, 8},
		{"min over signals", 1, 0.1, 0, 0, 2},
		{"min over quota", 1, 0.1, 1, 0, 2},
		{"an operator's floor over signals", 3, 0.1, 0, 5, 5},
	} {
		t.Run(tt.what, func(t *testing.T) {
			in := rules.Inputs{Terms: rules.Terms{Names: true, Victims: true, Most: tt.quota}}
			r := rules.Reading{Seen: map[string]time.Time{}, Newest: now}
			for i := range tt.size {
				name := fmt.Sprintf("web-%d", i+1)
				in.Members = append(in.Members, rules.Member{ID: rules.MemberID(name), Name: name, State: rules.Ready, Since: now.Add(-time.Hour)})
				r.Points = append(r.Points, rules.Point{Member: name, Value: tt.load * share / float64(tt.size)})
				r.Seen[name] = now
			}
			in.Answers = []rules.Answer{{Reading: r}}
			if tt.floor > 0 {
				in.Floor = &rules.Order{By: "alice", At: now, Size: tt.floor}
			}
			rule := *shareRule()
			rule.Out.Limit.LargerOf = []rules.Amount{{Members: 20}}
			if d, _ := rules.Decide(rule, in, rules.Memory{}, now); d.To != tt.want {
				t.Errorf("to %d for %s, %v, want %d", d.To, d.Reason, d.Limits, tt.want)
			}
		})
	}
}

func TestTheLastMemberThatServesIsNotTheVictim(t *testing.T) {
	scene(t, "tagged", func(w *world) {
		w.wants(3)
		first := w.oldest()
		w.cloud.world.Plant(emulate.Fault{Name: "slow_boot"})
		for _, m := range w.cloud.ours() { // all but the oldest stop, and what replaces them boots slowly
			if m.name != first {
				w.cloud.stop(m.name)
			}
		}
		w.set(func() { w.load = 6.7 * share })
		w.until("growth is asked for", func() bool { return len(w.cloud.ours()) >= 6 })
		w.set(func() { w.load = 1.7 * share }) // it falls while the others boot
		w.until("there are two", func() bool {
			for _, m := range w.cloud.machines() {
				if m.name == first && (!m.tagged || m.ending) && w.serving() < 2 {
					t.Fatalf("%s is taken, and %d serve", first, w.serving())
				}
			}
			return w.wrong() == ""
		})
	})
}

// oldest is the member whose number is the smallest.
func (w *world) oldest() string {
	ms := w.cloud.ours()
	return slices.MinFunc(ms, func(a, b machine) int { return strings.Compare(a.name, b.name) }).name
}

// serving counts the machines that serve, get requests, and are not asked to end.
func (w *world) serving() int {
	n := 0
	for _, m := range w.cloud.ours() {
		if m.serving && m.tagged {
			n++
		}
	}
	return n
}

func TestADrainEndsWithItsDeadlineAndNoSooner(t *testing.T) {
	scene(t, "droplets", func(w *world) {
		w.wants(3)
		w.engage() // in requests that never end
		w.set(func() { w.load = 1.7 * share })
		var withdrawn time.Time
		w.until("somebody is withdrawn", func() bool { withdrawn = w.stepAt(journal.Withdraw); return !withdrawn.IsZero() })
		var removed time.Time
		w.until("and removed", func() bool { removed = w.stepAt(journal.Remove); return !removed.IsZero() })
		if took := removed.Sub(withdrawn); took < w.cloud.config.Drain || took > w.cloud.config.Drain+5*time.Second {
			t.Errorf("it was removed %s after it was withdrawn, and may drain for %s", took, w.cloud.config.Drain)
		}
	})
}

// engage gives each member a request that does not end.
func (w *world) engage() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.members {
		w.open[m.ID] = 1
	}
}

// stepAt is when the first step of a verb with victims began; zero: none did.
func (w *world) stepAt(v journal.Verb) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.verbs[v]
}

func TestLoadThatComesBackTakesADrainingMemberBack(t *testing.T) {
	for _, kind := range []string{"droplets", "tagged", "zonal"} {
		t.Run(kind, func(t *testing.T) {
			scene(t, kind, func(w *world) {
				w.wants(3)
				before := w.cloud.ours()
				w.engage()
				w.set(func() { w.load = 1.7 * share })
				w.until("somebody drains", func() bool { return !w.stepAt(journal.Withdraw).IsZero() })
				time.Sleep(2 * time.Second)
				w.set(func() { w.load = 2.7 * share })
				w.until("there are three again", func() bool { return w.excuse() == "" && w.wrong() == "" })
				if after := w.cloud.ours(); !slices.EqualFunc(before, after, func(a, b machine) bool { return a.id == b.id }) {
					t.Errorf("there were %v, and now there are %v", before, after)
				}
			})
		})
	}
}

func TestAMemberIsNotEndedWhileTheBalancerMaySendItRequests(t *testing.T) {
	scene(t, "tagged", func(w *world) {
		id := w.cloud.account.AddBalancer("fra1", edgeTag)
		w.wants(6)
		w.until("the balancer sends requests to all", func() bool { return len(w.sentTo(id)) == 6 })
		w.set(func() { w.load = 1.7 * share })
		w.until("there are two", func() bool {
			serving := map[string]bool{}
			for _, m := range w.cloud.machines() {
				serving[m.name] = m.serving
			}
			for _, name := range w.sentTo(id) {
				if !serving[name] {
					t.Fatalf("the balancer sends requests to %s, which does not serve any more", name)
				}
			}
			return w.wrong() == ""
		})
	})
}

// sentTo are the names of those to whom a balancer sends requests.
func (w *world) sentTo(id string) []string {
	var out []string
	for _, b := range w.cloud.account.Backends(id) {
		if b.Healthy {
			out = append(out, b.Name)
		}
	}
	return out
}

func TestAPoolThatPicksWhoEndsSaysThatNobodyDrains(t *testing.T) {
	for kind, want := range map[string]bool{"autoscale": true, "droplets": false, "zonal": false} {
		t.Run(kind, func(t *testing.T) {
			scene(t, kind, func(w *world) {
				w.wants(4)
				w.wants(2)
				w.mu.Lock()
				defer w.mu.Unlock()
				got := slices.ContainsFunc(w.shrunk.Limits, func(l rules.Applied) bool { return l.Name == rules.NoDrain })
				if w.shrunk.Verdict != rules.ScaleIn || got != want {
					t.Errorf("the decision %+v says no_drain: %v, want %v", w.shrunk, got, want)
				}
			})
		})
	}
}

func TestPricesAreReadDailyAndWithoutThemThePoolGoesOn(t *testing.T) {
	scene(t, "droplets", func(w *world) {
		w.wants(2)
		price := w.price()
		if price <= 0 {
			t.Fatalf("the price is %v", price)
		}
		time.Sleep(23*time.Hour + 50*time.Minute)
		if n := w.asked(http.MethodGet, "/v2/sizes"); n != 1 {
			t.Errorf("prices were read %d times within a day, want once", n)
		}
		w.cloud.world.Plant(emulate.Fault{Name: "error_503", On: "GET /v2/sizes"})
		time.Sleep(20 * time.Minute)
		w.wants(4)
		if got := w.price(); got != price {
			t.Errorf("the price was %v, and is %v since it cannot be read", price, got)
		}
		read := w.asked(http.MethodGet, "/v2/sizes")
		w.cloud.world.Heal()
		time.Sleep(6 * time.Minute)
		if n := w.asked(http.MethodGet, "/v2/sizes") - read; n < 1 {
			t.Error("a day later it is not read, though it can be")
		}
	})
}

func (w *world) price() float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.terms.Price
}

// asked counts requests.
func (w *world) asked(method, path string) (n int) {
	for _, r := range w.cloud.world.Requests() {
		if r.Method == method && strings.Contains(r.URL, path+"?") {
			n++
		}
	}
	return n
}

// Who was made by a call without an answer is listed late, and nobody is bought in its
// place meanwhile, whether Flyball begins anew or not.
func TestWhoMayHaveBeenMadeIsWaitedForAsLongAsListsLag(t *testing.T) {
	group := "POST /compute/v1/projects/shop-12345/%s/instanceGroupManagers/web/createInstances"
	for kind, create := range map[string]string{
		"droplets": "POST /v2/droplets",
		"tagged":   "POST /v2/droplets",
		"zonal":    fmt.Sprintf(group, "zones/europe-west3-a"),
		"regional": fmt.Sprintf(group, "regions/europe-west3"),
	} {
		for _, anew := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, anew %t", kind, anew), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { waitsForThoseInDoubt(t, kind, create, anew) })
			})
		}
	}
}

// waitsForThoseInDoubt loses the answer to a create of four, and looks for three minutes
// that there are never more than there may be.
func waitsForThoseInDoubt(t *testing.T, kind, create string, anew bool) {
	t.Helper()
	w := newWorld(t, kind, 1)
	l := w.begin()
	w.wants(least)
	w.until("nothing is done", func() bool { return w.excuse() == "" })
	w.plant(emulate.Fault{Name: "list_lag"})
	w.plant(emulate.Fault{Name: "lost_after", On: create, Times: 1})
	w.set(func() { w.load = 5.7 * share })
	for w.cloud.world.Befallen("lost_after") == 0 {
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond) // its step has ended, and nobody has looked since
	if anew {
		l.stop()
		l = w.begin()
	}
	for range 180 {
		time.Sleep(time.Second)
		w.hold()
	}
	w.cloud.world.Heal()
	w.wants(6)
	l.stop()
}
