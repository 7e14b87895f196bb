package pool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
	"flyball/scaler/pool/pooltest"
)

// hiding leaves members out of its list.
type hiding struct {
	*pooltest.Fake
	hidden []string
}

func (h *hiding) Look(ctx context.Context) ([]rules.Member, rules.Terms, error) {
	ms, terms, err := h.Fake.Look(ctx)
	return slices.DeleteFunc(ms, func(m rules.Member) bool { return slices.Contains(h.hidden, m.Name) }), terms, err
}

// lookingFor returns a pool of members that are hidden at will, and its file.
func lookingFor(t *testing.T, terms rules.Terms) (*hiding, func() *drift, *Metrics) {
	t.Helper()
	h := &hiding{Fake: pooltest.NewFake(time.Now, terms)}
	file := filepath.Join(t.TempDir(), "pools", "web", "drift.state")
	m := NewMetrics(prometheus.NewRegistry())
	return h, func() *drift {
		d := newDrift(h, "web", file, Env{Metrics: m}.withDefaults())
		d.begun = time.Now().Add(-lag) // it runs for a while
		return d
	}, m
}

func TestAfterARestartAMemberThatCameJustNowIsNotTakenForGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, again, _ := lookingFor(t, terms)
		d := again()
		pooltest.Grow(t, d, numbered(5)...)
		time.Sleep(10 * time.Minute) // of the bubble
		pooltest.Grow(t, d, "web-06")
		h.hidden = []string{"web-06"} // the list lags, and who knew better was killed
		d = again()
		d.begun = time.Now()
		time.Sleep(20 * time.Second)
		if got := told(t, d); !strings.Contains(got, "web-06 came less than 1m0s ago") {
			t.Errorf("drift %q", got)
		}
		h.hidden = []string{"web-02"}
		if got := told(t, d); got != "" {
			t.Errorf("one that was there for long is gone: drift %q", got)
		}
		h.hidden = []string{"web-06"}
		time.Sleep(lag)
		if got := told(t, d); got != "" {
			t.Errorf("after %s: drift %q", lag, got)
		}
	})
}

// told is the drift that a look tells.
func told(t *testing.T, p scaler.Pool) string {
	t.Helper()
	_, terms, err := p.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return terms.Drift
}

func numbered(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("web-%02d", i+1))
	}
	return out
}

func TestAListThatLacksHalfIsNotBelievedUntilItIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, again, m := lookingFor(t, terms)
		d := again()
		pooltest.Grow(t, d, numbered(6)...)
		for _, tt := range []struct {
			hidden int
			drift  bool
		}{{2, false}, {0, false}, {3, true}, {0, false}, {6, true}, {4, true}, {0, false}, {1, false}} {
			if tt.hidden == 0 {
				d = again() // nothing of it is in the memory alone
			}
			h.hidden = numbered(tt.hidden)
			got := told(t, d)
			if (got != "") != tt.drift {
				t.Errorf("%d of 6 hidden: drift %q, want any: %v", tt.hidden, got, tt.drift)
			}
			if tt.drift && !strings.Contains(got, fmt.Sprintf("%d of 6 members vanished", tt.hidden)) {
				t.Errorf("drift %q does not say how many are missed", got)
			}
		}
		if n := testutil.ToFloat64(m.drift.WithLabelValues("web", driftDoubted)); n != 2 {
			t.Errorf("a list was doubted %v times, want twice", n)
		}
	})
}

func TestAListThatSaysTheSameForLongIsBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, again, m := lookingFor(t, terms)
		d := again()
		pooltest.Grow(t, d, numbered(4)...)
		h.hidden = numbered(2)
		for at := time.Duration(0); at < disbelief; at += 15 * time.Second {
			if told(t, d) == "" {
				t.Fatalf("the list is believed after %s", at)
			}
			if at == time.Minute {
				d = again() // a restart forgets nothing but how often it was looked
			}
			time.Sleep(15 * time.Second) // of the bubble
		}
		if got := told(t, d); got != "" {
			t.Errorf("after %s: drift %q", disbelief, got)
		}
		if n := testutil.ToFloat64(m.drift.WithLabelValues("web", driftVanished)); n != 2 {
			t.Errorf("%v members were told to have vanished, want 2", n)
		}
		h.hidden = nil
		if got := told(t, d); got != "" {
			t.Errorf("members that are back are drift: %q", got)
		}
		if n := testutil.ToFloat64(m.drift.WithLabelValues("web", driftAppeared)); n != 2 {
			t.Errorf("%v members were told to have come, want 2", n)
		}
	})
}

func TestAListThatChangesIsBelievedNoSooner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, again, _ := lookingFor(t, terms)
		d := again()
		pooltest.Grow(t, d, numbered(4)...)
		for i := range 100 {
			h.hidden = []string{numbered(4)[i/10%2], "web-03"}
			if told(t, d) == "" {
				t.Fatalf("a list that says now this, now that is believed after %d looks", i)
			}
			time.Sleep(15 * time.Second) // of the bubble
		}
	})
}

func TestFewLooksDoNotMakeAListBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, again, _ := lookingFor(t, terms)
		d := again()
		pooltest.Grow(t, d, numbered(2)...)
		h.hidden = numbered(2)
		for i := range doubtedLooks - 1 {
			if told(t, d) == "" {
				t.Errorf("believed after %d looks in %s", i+1, time.Duration(i)*time.Hour)
			}
			time.Sleep(time.Hour) // of the bubble
		}
		if got := told(t, d); got != "" {
			t.Errorf("drift %q", got)
		}
	})
}

func TestWhatWeEndedIsNoDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, again, m := lookingFor(t, terms)
		d := again()
		ms := pooltest.Grow(t, d, numbered(4)...)
		h.Set(func(k *pooltest.Knobs) { k.RemoveLost = errors.New("the answer was lost") })
		if err := d.Remove(t.Context(), journal.Step{Victims: ids(ms[:3])}); err == nil {
			t.Error("no error")
		}
		d = again() // who was asked to end is kept before it is asked
		if got := told(t, d); got != "" {
			t.Errorf("drift %q", got)
		}
		for _, what := range []string{driftVanished, driftAppeared, driftDoubted} {
			if n := testutil.ToFloat64(m.drift.WithLabelValues("web", what)); n != 0 {
				t.Errorf("%s was counted %v times", what, n)
			}
		}
	})
}

func TestAPoolThatChoosesItsVictimsMissesNobodyAboveItsSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, again, _ := lookingFor(t, rules.Terms{})
		d := again()
		if err := d.Grow(t.Context(), journal.Step{To: 6}); err != nil {
			t.Fatal(err)
		}
		all := pooltest.Look(t, d)
		if err := d.Remove(t.Context(), journal.Step{To: 2}); err != nil {
			t.Fatal(err)
		}
		if got := told(t, d); got != "" {
			t.Errorf("the provider ended what it was to end: drift %q", got)
		}
		h.hidden = []string{all[0].Name, all[1].Name}
		if told(t, d) == "" {
			t.Error("none of two are listed, and the list is believed")
		}
	})
}

func TestAnEmptyFolderAdoptsWhoIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, again, m := lookingFor(t, terms)
		pooltest.Grow(t, h.Fake, numbered(5)...)
		d := again()
		if got := told(t, d); got != "" {
			t.Errorf("drift %q", got)
		}
		pooltest.Grow(t, h.Fake, "web-99") // by somebody else
		told(t, d)
		if n := testutil.ToFloat64(m.drift.WithLabelValues("web", driftAppeared)); n != 1 {
			t.Errorf("%v members were told to have come, want 1", n)
		}
	})
}

func TestAFileThatCannotBeUnderstoodIsAsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, again, _ := lookingFor(t, terms)
		d := again()
		pooltest.Grow(t, d, numbered(4)...)
		if err := os.WriteFile(d.file, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		h.hidden = numbered(3)
		if got := told(t, again()); got != "" {
			t.Errorf("drift %q", got)
		}
	})
}

// TestDriftIsToldExactlyWhenManyVanish plays what may happen to a pool in any order,
// restarts included, beside a model of who is missed.
func TestDriftIsToldExactlyWhenManyVanish(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) { playDrift(t, rand.New(rand.NewPCG(seed, 1))) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func playDrift(t *testing.T, dice *rand.Rand) {
	h, again, _ := lookingFor(t, terms)
	d := again()
	made, there := 0, map[string]bool{} // as a list last believed had them
	for range 120 {
		switch dice.IntN(6) {
		case 0: // we grow
			var names []string
			for range 1 + dice.IntN(4) {
				made++
				names = append(names, fmt.Sprintf("web-%d", made))
			}
			if err := d.Grow(t.Context(), journal.Step{Names: names}); err != nil {
				t.Fatal(err)
			}
		case 1: // we end some of those we see
			ms, _, _ := d.Look(t.Context())
			ms = ms[:dice.IntN(len(ms)+1)]
			if err := d.Remove(t.Context(), journal.Step{Victims: ids(ms)}); err != nil {
				t.Fatal(err)
			}
			for _, m := range ms {
				delete(there, m.Name)
			}
		case 2: // the list lacks some
			ms, _, _ := h.Fake.Look(t.Context())
			h.hidden = nil
			for _, m := range ms {
				if dice.IntN(2) == 0 {
					h.hidden = append(h.hidden, m.Name)
				}
			}
		case 3:
			h.hidden = nil
		case 4:
			d = again()
		}
		ms, terms, err := d.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		lacking := len(there)
		for _, m := range ms {
			if there[m.Name] {
				lacking--
			}
		}
		want := lacking >= 2 && 3*lacking > len(there) || len(ms) == 0 && lacking > 0
		if got := terms.Drift != ""; got != want {
			t.Fatalf("%d of %d lack in a list of %d: drift %q", lacking, len(there), len(ms), terms.Drift)
		}
		if !want {
			clear(there)
			for _, m := range ms {
				there[m.Name] = true
			}
		}
		time.Sleep(time.Second) // of the bubble: fewer than five minutes in all
	}
}
