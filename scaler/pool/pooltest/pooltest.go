// Package pooltest is what every [scaler.Pool] must do, as a test: providers,
// their decorators and [Fake], the pool in memory, all pass [Run]. One whose terms
// take no names, or no victims, is held to what fits it.
package pooltest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
)

// Harness is one pool, empty, and the means to disturb it.
type Harness struct {
	Pool scaler.Pool
	// Least is how many members a pool has that nobody has asked for any yet, where
	// the provider knows no empty one.
	Least int
	// Settle passes the time that must pass between two changes of the size; nil:
	// none must.
	Settle func(t *testing.T)
	// Pace is how often is looked whether something has come about, which may take
	// 4,000 times as long; default 5 ms.
	Pace time.Duration
	// Again returns the pool as a new program would find it, after a restart.
	Again func(t *testing.T) scaler.Pool
	// Kill ends a member without asking.
	Kill func(t *testing.T, m rules.Member)
	// Stubborn makes members that are started from now on ignore the wish to end;
	// nil where that cannot be arranged.
	Stubborn func(t *testing.T)
	// Booted waits until a stubborn member has come to be so; nil: it is at once.
	Booted func(t *testing.T, m rules.Member)
	// Retry passes the time that must pass after a failure; nil: none must.
	Retry func(t *testing.T)
	// Refused is a name that Grow refuses, beside which others are made.
	Refused string
	// DryRun: the pool says yes and does nothing.
	DryRun bool
}

// Until waits for a condition that another process brings about, or, in a
// synctest bubble, the passing of time.
func Until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	Harness{}.until(t, what, ok)
}

// until waits at the harness's own pace.
func (h Harness) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	pace := h.Pace
	if pace <= 0 {
		pace = 5 * time.Millisecond
	}
	tick := time.NewTicker(pace)
	defer tick.Stop()
	end := time.NewTimer(4000 * pace)
	defer end.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("%s did not come about", what)
		}
	}
}

// Look returns the members that p lists.
func Look(t *testing.T, p scaler.Pool) []rules.Member {
	t.Helper()
	ms, _, err := p.Look(t.Context())
	if err != nil {
		t.Fatalf("Look: %v", err)
	}
	if !slices.IsSortedFunc(ms, func(a, b rules.Member) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	}) {
		t.Errorf("Look lists members unsorted: %v", namesOf(ms))
	}
	return ms
}

// Grow makes names exist.
func Grow(t *testing.T, p scaler.Pool, names ...string) []rules.Member {
	t.Helper()
	if err := p.Grow(t.Context(), growth(names...)); err != nil {
		t.Fatalf("Grow(%v): %v", names, err)
	}
	return Look(t, p)
}

func growth(names ...string) journal.Step {
	return journal.Step{ID: "grow", Verb: journal.Grow, Names: names, To: len(names)}
}

func removal(ms ...rules.Member) journal.Step {
	s := journal.Step{ID: "remove", Verb: journal.Remove}
	for _, m := range ms {
		s.Victims = append(s.Victims, m.ID)
	}
	return s
}

func namesOf(ms []rules.Member) []string {
	var ns []string
	for _, m := range ms {
		ns = append(ns, m.Name)
	}
	return ns
}

func wantNames(t *testing.T, ms []rules.Member, want ...string) {
	t.Helper()
	if got := namesOf(ms); !slices.Equal(got, want) {
		t.Fatalf("members are %v, want %v", got, want)
	}
}

func find(ms []rules.Member, id rules.MemberID) (rules.Member, bool) {
	i := slices.IndexFunc(ms, func(m rules.Member) bool { return m.ID == id })
	if i < 0 {
		return rules.Member{}, false
	}
	return ms[i], true
}

func lives(m rules.Member) bool {
	return m.State == rules.Booting || m.State == rules.Ready || m.State == rules.Unhealthy
}

func startsEmpty(t *testing.T, h Harness) {
	if ms := Look(t, h.Pool); len(ms) != h.Least {
		t.Errorf("Look of a new pool lists %v, want %d members", namesOf(ms), h.Least)
	}
}

func growsByNames(t *testing.T, h Harness) {
	ms := Grow(t, h.Pool, "web-2", "web-1")
	wantNames(t, ms, "web-1", "web-2")
	addrs := map[string]bool{}
	for _, m := range ms {
		if !lives(m) || m.ID == "" || m.Born.IsZero() || m.Since.IsZero() {
			t.Errorf("member %+v does not say who and since when it is", m)
		}
		addrs[m.Addr] = true
	}
	if len(addrs) != 2 {
		t.Errorf("two members have the addresses %v", addrs)
	}
}

func doesNothingTwice(t *testing.T, h Harness) {
	first := Grow(t, h.Pool, "web-1")
	second := Grow(t, h.Pool, "web-1", "web-2")
	wantNames(t, second, "web-1", "web-2")
	if first[0].ID != second[0].ID {
		t.Errorf("web-1 was made twice: %s and %s", first[0].ID, second[0].ID)
	}
	for range 2 {
		if err := h.Pool.Remove(t.Context(), removal(second[0])); err != nil {
			t.Errorf("Remove: %v", err)
		}
	}
	h.until(t, "the end of web-1", func() bool { return len(Look(t, h.Pool)) == 1 })
	if err := h.Pool.Remove(t.Context(), removal(second[0])); err != nil {
		t.Errorf("Remove of a member that is gone: %v", err)
	}
}

func makesTheOthers(t *testing.T, h Harness) {
	if h.Refused == "" {
		t.Skip("no name is refused")
	}
	err := h.Pool.Grow(t.Context(), growth("web-1", h.Refused, "web-2"))
	if err == nil {
		t.Error("Grow hides that a name was refused")
	}
	wantNames(t, Look(t, h.Pool), "web-1", "web-2")
	if h.Retry != nil {
		h.Retry(t)
	}
	wantNames(t, Grow(t, h.Pool, "web-1", "web-2", "web-3"), "web-1", "web-2", "web-3")
}

func removesVictims(t *testing.T, h Harness) {
	ms := Grow(t, h.Pool, "web-1", "web-2", "web-3")
	if err := h.Pool.Remove(t.Context(), removal(ms[1])); err != nil {
		t.Fatalf("Remove: %v", err)
	}
	h.until(t, "the end of web-2", func() bool {
		m, there := find(Look(t, h.Pool), ms[1].ID)
		if there && m.State != rules.Leaving {
			t.Fatalf("a member that was asked to end is %s", m.State)
		}
		return !there
	})
	left := Look(t, h.Pool)
	wantNames(t, left, "web-1", "web-3")
	for _, m := range left {
		if !lives(m) {
			t.Errorf("%s is %s", m.Name, m.State)
		}
	}
}

func reportsTheDead(t *testing.T, h Harness) {
	ms := Grow(t, h.Pool, "web-1", "web-2")
	h.Kill(t, ms[0])
	h.until(t, "the death of web-1", func() bool {
		m, there := find(Look(t, h.Pool), ms[0].ID)
		if !there {
			t.Fatal("a dead member is not listed")
		}
		return m.State == rules.Dead
	})
	if err := h.Pool.Grow(t.Context(), growth("web-1")); err == nil {
		t.Error("Grow took a dead member for a living one, or put another in its place")
	}
	if err := h.Pool.Remove(t.Context(), removal(ms[0])); err != nil {
		t.Fatalf("Remove of a dead member: %v", err)
	}
	h.until(t, "forgetting", func() bool { return len(Look(t, h.Pool)) == 1 })
}

func reusesNames(t *testing.T, h Harness) {
	old := Grow(t, h.Pool, "web-1")[0]
	if err := h.Pool.Remove(t.Context(), removal(old)); err != nil {
		t.Fatalf("Remove: %v", err)
	}
	h.until(t, "the end", func() bool { return len(Look(t, h.Pool)) == 0 })
	now := Grow(t, h.Pool, "web-1")[0]
	if now.ID == old.ID {
		t.Errorf("two members bear the ID %s", old.ID)
	}
	if err := h.Pool.Remove(t.Context(), removal(old)); err != nil {
		t.Fatalf("Remove, repeated: %v", err)
	}
	if m, there := find(Look(t, h.Pool), now.ID); !there || !lives(m) {
		t.Error("a repeated Remove ended a new member of the same name")
	}
}

func endsTheStubborn(t *testing.T, h Harness) {
	if h.Stubborn == nil {
		t.Skip("cannot be arranged")
	}
	h.Stubborn(t)
	m := Grow(t, h.Pool, "web-1")[0]
	if h.Booted != nil {
		h.Booted(t, m)
	}
	if err := h.Pool.Remove(t.Context(), removal(m)); err != nil {
		t.Fatalf("Remove: %v", err)
	}
	if ms := Look(t, h.Pool); len(ms) != 1 || ms[0].State != rules.Leaving {
		t.Fatalf("after Remove the members are %v, want one that is leaving", ms)
	}
	h.until(t, "the end", func() bool {
		if err := h.Pool.Remove(t.Context(), removal(m)); err != nil {
			t.Fatalf("Remove: %v", err)
		}
		return len(Look(t, h.Pool)) == 0
	})
}

func knowsItsMembers(t *testing.T, h Harness) {
	before := Grow(t, h.Pool, "web-1", "web-2", "web-3")
	h.Kill(t, before[2])
	h.until(t, "the death of web-3", func() bool { return Look(t, h.Pool)[2].State == rules.Dead })
	again := h.Again(t)
	after := Look(t, again)
	wantNames(t, after, "web-1", "web-2", "web-3")
	for i, m := range after {
		if m.ID != before[i].ID || m.Addr != before[i].Addr || !m.Born.Equal(before[i].Born) {
			t.Errorf("member %+v was %+v", m, before[i])
		}
	}
	if after[2].State != rules.Dead {
		t.Errorf("the dead member is %s", after[2].State)
	}
	if got := Grow(t, again, "web-1", "web-2"); got[0].ID != before[0].ID {
		t.Error("a member was doubled")
	}
	if err := again.Remove(t.Context(), removal(after...)); err != nil {
		t.Fatalf("Remove: %v", err)
	}
	h.until(t, "the end of all", func() bool { return len(Look(t, again)) == 0 })
}

func isConcurrent(t *testing.T, h Harness) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := h.Pool.Grow(t.Context(), growth("web-1", "web-2", "web-3")); err != nil {
				t.Errorf("Grow: %v", err)
			}
		})
		wg.Go(func() {
			if _, _, err := h.Pool.Look(t.Context()); err != nil {
				t.Errorf("Look: %v", err)
			}
		})
	}
	wg.Wait()
	ms := Look(t, h.Pool)
	wantNames(t, ms, "web-1", "web-2", "web-3")
	for range 4 {
		wg.Go(func() {
			if err := h.Pool.Remove(t.Context(), removal(ms...)); err != nil {
				t.Errorf("Remove: %v", err)
			}
		})
	}
	wg.Wait()
	h.until(t, "the end of all", func() bool { return len(Look(t, h.Pool)) == 0 })
}

func endsWithContext(t *testing.T, h Harness) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := h.Pool.Look(ctx)
	grow := growth("web-1")
	grow.To += h.Least
	for verb, err := range map[string]error{
		"Look":   err,
		"Grow":   h.Pool.Grow(ctx, grow),
		"Remove": h.Pool.Remove(ctx, removal(rules.Member{ID: "x"})),
	} {
		if !h.DryRun && !errors.Is(err, context.Canceled) {
			t.Errorf("%s after the end of its context: %v", verb, err)
		}
	}
	if ms := Look(t, h.Pool); len(ms) != h.Least {
		t.Errorf("members were made, or ended, after the end of the context: there are %v, want %d", namesOf(ms), h.Least)
	}
}

func doesNothing(t *testing.T, h Harness) {
	before := Look(t, h.Pool)
	if err := h.Pool.Grow(t.Context(), growth("web-1")); err != nil {
		t.Errorf("Grow: %v", err)
	}
	if err := h.Pool.Remove(t.Context(), removal(before...)); err != nil {
		t.Errorf("Remove: %v", err)
	}
	if after := Look(t, h.Pool); !slices.Equal(namesOf(after), namesOf(before)) {
		t.Errorf("members were %v and are %v", namesOf(before), namesOf(after))
	}
}
