package pooltest

import (
	"slices"
	"strconv"
	"sync"
	"testing"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
)

// sized is what a pool is held to that takes no names, or no victims: it is told a
// size instead. Who comes and who goes, and whether the dead are replaced, is then
// the provider's choice.
func sized(terms rules.Terms) []check {
	checks := []check{
		{"starts empty", startsEmpty},
		{"grows to a size", growsToASize},
		{"does nothing twice", staysAtItsSize},
	}
	if terms.Victims {
		checks = append(checks, check{"removes victims and nobody else", removesVictimsOfASize})
	} else {
		checks = append(checks, check{"removes to a size", removesToASize})
	}
	return append(checks,
		check{"neither shrinks to grow nor grows to shrink", keepsItsDirection},
		check{"knows its members after a restart", knowsItsSize},
		check{"is safe for concurrent use", isConcurrentAboutItsSize},
		check{"ends with its context", endsWithContext},
	)
}

func termsOf(t *testing.T, p scaler.Pool) rules.Terms {
	t.Helper()
	_, terms, err := p.Look(t.Context())
	if err != nil {
		t.Fatalf("Look: %v", err)
	}
	return terms
}

// growthTo grows an empty pool to a size, by names where it takes any.
func growthTo(terms rules.Terms, size int) journal.Step {
	s := journal.Step{ID: "grow", Verb: journal.Grow, To: size}
	for i := range size {
		if terms.Names {
			s.Names = append(s.Names, "web-"+strconv.Itoa(i+1))
		}
	}
	return s
}

// removalTo shrinks a pool to a size, by victims where it takes any.
func removalTo(terms rules.Terms, ms []rules.Member, size int) journal.Step {
	s := journal.Step{ID: "remove", Verb: journal.Remove, To: size}
	if terms.Victims {
		s.Victims = removal(ms[:max(0, len(ms)-size)]...).Victims
	}
	return s
}

// living lists the members that live and were not asked to end.
func living(t *testing.T, p scaler.Pool) []rules.Member {
	t.Helper()
	return slices.DeleteFunc(Look(t, p), func(m rules.Member) bool { return !lives(m) })
}

// grown grows a pool and waits until all its members are listed.
func (h Harness) grown(t *testing.T, p scaler.Pool, size int) []rules.Member {
	t.Helper()
	if err := p.Grow(t.Context(), growthTo(termsOf(t, p), size)); err != nil {
		t.Fatalf("Grow to %d: %v", size, err)
	}
	return h.atSize(t, p, size)
}

// atSize waits until a pool has so many living members and no others.
func (h Harness) atSize(t *testing.T, p scaler.Pool, size int) []rules.Member {
	t.Helper()
	var ms []rules.Member
	h.until(t, "a pool of "+strconv.Itoa(size), func() bool {
		ms = Look(t, p)
		return len(ms) == size && len(living(t, p)) == size
	})
	return ms
}

func (h Harness) settle(t *testing.T) {
	t.Helper()
	if h.Settle != nil {
		h.Settle(t)
	}
}

func idsOf(ms []rules.Member) []rules.MemberID { return removal(ms...).Victims }

func growsToASize(t *testing.T, h Harness) {
	ms := h.grown(t, h.Pool, h.Least+2)
	ids, addrs := map[rules.MemberID]bool{}, map[string]bool{}
	h.until(t, "members that say who, where and since when they are", func() bool {
		clear(addrs)
		for _, m := range Look(t, h.Pool) {
			if m.ID == "" || m.Name == "" || m.Born.IsZero() || m.Since.IsZero() || m.Addr == "" {
				return false
			}
			ids[m.ID], addrs[m.Addr] = true, true
		}
		return true
	})
	if len(ids) != len(ms) || len(addrs) != len(ms) {
		t.Errorf("%d members have %d IDs and %d addresses", len(ms), len(ids), len(addrs))
	}
}

func staysAtItsSize(t *testing.T, h Harness) {
	size := h.Least + 2
	for range 2 { // the second before the first can be seen
		if err := h.Pool.Grow(t.Context(), growthTo(termsOf(t, h.Pool), size)); err != nil {
			t.Fatalf("Grow to %d: %v", size, err)
		}
	}
	first := h.atSize(t, h.Pool, size)
	h.settle(t)
	second := h.grown(t, h.Pool, size)
	h.settle(t)
	third := h.atSize(t, h.Pool, size)
	if !slices.Equal(idsOf(first), idsOf(second)) || !slices.Equal(idsOf(first), idsOf(third)) {
		t.Errorf("asked for the same again, the members %v became %v, then %v", namesOf(first), namesOf(second), namesOf(third))
	}
}

func removesToASize(t *testing.T, h Harness) {
	size := h.Least + 1
	before := h.grown(t, h.Pool, size+2)
	h.settle(t)
	for range 2 {
		if err := h.Pool.Remove(t.Context(), journal.Step{ID: "remove", Verb: journal.Remove, To: size}); err != nil {
			t.Fatalf("Remove to %d: %v", size, err)
		}
	}
	for _, m := range h.atSize(t, h.Pool, size) {
		if _, there := find(before, m.ID); !there {
			t.Errorf("%s was made where some were to be removed", m.Name)
		}
	}
	h.settle(t)
	if err := h.Pool.Remove(t.Context(), journal.Step{ID: "remove", Verb: journal.Remove, To: size}); err != nil {
		t.Errorf("Remove, repeated when it was done: %v", err)
	}
	h.settle(t)
	h.atSize(t, h.Pool, size)
}

func removesVictimsOfASize(t *testing.T, h Harness) {
	before := h.grown(t, h.Pool, h.Least+3)
	h.settle(t)
	victim := before[1]
	want := slices.Delete(slices.Clone(before), 1, 2)
	step := removal(victim)
	step.To = len(want)
	for range 2 { // the second may find it leaving, or gone
		if err := h.Pool.Remove(t.Context(), step); err != nil {
			t.Fatalf("Remove: %v", err)
		}
	}
	h.until(t, "the end of "+victim.Name, func() bool {
		m, there := find(Look(t, h.Pool), victim.ID)
		if there && m.State != rules.Leaving {
			t.Fatalf("a member that was asked to end is %s", m.State)
		}
		return !there
	})
	if err := h.Pool.Remove(t.Context(), step); err != nil {
		t.Errorf("Remove of a member that is gone: %v", err)
	}
	h.settle(t)
	if left := h.atSize(t, h.Pool, len(want)); !slices.Equal(idsOf(left), idsOf(want)) {
		t.Errorf("%v are left of %v without %s", namesOf(left), namesOf(before), victim.Name)
	}
}

// keepsItsDirection: a step that is done late, or again, may find another size than
// that it was made for.
func keepsItsDirection(t *testing.T, h Harness) {
	terms := termsOf(t, h.Pool)
	before := h.grown(t, h.Pool, h.Least+2)
	h.settle(t)
	if err := h.Pool.Grow(t.Context(), growthTo(terms, h.Least+1)); err != nil {
		t.Errorf("Grow of a pool that is larger: %v", err)
	}
	h.settle(t)
	if err := h.Pool.Remove(t.Context(), journal.Step{ID: "remove", Verb: journal.Remove, To: h.Least + 4}); err != nil {
		t.Errorf("Remove from a pool that is smaller: %v", err)
	}
	h.settle(t)
	if after := h.atSize(t, h.Pool, len(before)); !slices.Equal(idsOf(after), idsOf(before)) {
		t.Errorf("members were %v and are %v", namesOf(before), namesOf(after))
	}
}

func knowsItsSize(t *testing.T, h Harness) {
	size := h.Least + 2
	before := h.grown(t, h.Pool, size)
	h.settle(t)
	again := h.Again(t)
	after := h.grown(t, again, size)
	for i, m := range after {
		if m.ID != before[i].ID || m.Name != before[i].Name || !m.Born.Equal(before[i].Born) {
			t.Errorf("member %+v was %+v", m, before[i])
		}
	}
	if err := again.Remove(t.Context(), removalTo(termsOf(t, again), after, h.Least+1)); err != nil {
		t.Fatalf("Remove: %v", err)
	}
	h.atSize(t, again, h.Least+1)
}

func isConcurrentAboutItsSize(t *testing.T, h Harness) {
	terms, size := termsOf(t, h.Pool), h.Least+2
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := h.Pool.Grow(t.Context(), growthTo(terms, size)); err != nil {
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
	ms := h.atSize(t, h.Pool, size)
	h.settle(t)
	for range 4 {
		wg.Go(func() {
			if err := h.Pool.Remove(t.Context(), removalTo(terms, ms, size-1)); err != nil {
				t.Errorf("Remove: %v", err)
			}
		})
	}
	wg.Wait()
	h.atSize(t, h.Pool, size-1)
}
