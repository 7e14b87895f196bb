package gce

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"flyball/rules"
	"flyball/scaler/journal"
	"flyball/scaler/pool/emulate"
)

// TestAfterAnyTroubleThereIsOneMemberOfEachNameAndNoOther drives a pool as a loop does
// that dies at any step and does it again, and plants trouble; what is wanted is a set
// of names. Whatever happens, no name is had twice, and when the trouble is over, the
// group has what is wanted, soon.
func TestAfterAnyTroubleThereIsOneMemberOfEachNameAndNoOther(t *testing.T) {
	runs := 30
	if testing.Short() {
		runs = 10
	}
	for seed := range uint64(runs) {
		g := zonalGroup()
		if seed%2 == 1 {
			g = regionalGroup()
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, g, func(c *cloud) { (&trouble{cloud: c, dice: rand.New(rand.NewPCG(seed, 1))}).run() })
		})
	}
}

// trouble is one run.
type trouble struct {
	*cloud
	dice   *rand.Rand
	wanted []string
	named  int
	last   *journal.Step // that was cut off
}

func (r *trouble) run() {
	faults := []string{
		"error_500", "error_503", "too_many", "lost_before", "lost_after", "slow", "duplicate", "list_lag", "partial_list", "sold_out",
		"limit", "half_create", "accepted_then_gone", "pending_event", "slow_boot",
	}
	for range 40 {
		if r.dice.IntN(3) == 0 {
			r.world.Plant(emulate.Fault{Name: faults[r.dice.IntN(len(faults))], Share: 0.5, Times: 1 + r.dice.IntN(5)})
		}
		if r.dice.IntN(4) == 0 {
			r.want(r.dice.IntN(8))
		}
		r.judge()
		if r.dice.IntN(5) == 0 {
			r.pool = r.again()
		}
		time.Sleep(time.Duration(1+r.dice.IntN(20)) * time.Second)
		r.once()
	}
	r.world.Heal()
	for range 60 { // a member that cannot be made is replaced after 5 minutes
		time.Sleep(15 * time.Second)
		r.judge()
	}
	r.settled()
}

// want changes how many members are wanted; names are never used again.
func (r *trouble) want(n int) {
	for len(r.wanted) < n {
		r.named++
		r.wanted = append(r.wanted, fmt.Sprintf("web-%d", r.named))
	}
	r.wanted = r.wanted[len(r.wanted)-n:]
}

// judge does a step that was cut off again, or the next one.
func (r *trouble) judge() {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	ms, _, err := r.pool.Look(ctx)
	cancel()
	if err != nil {
		return
	}
	step := r.last
	if step == nil {
		step = r.plan(ms)
	}
	if r.last = nil; step == nil {
		return
	}
	ctx, cancel = context.WithTimeout(r.Context(), time.Duration(1+r.dice.IntN(30))*time.Second)
	defer cancel()
	if step.Verb == journal.Grow {
		err = r.pool.Grow(ctx, *step)
	} else {
		err = r.pool.Remove(ctx, *step)
	}
	if err != nil && r.dice.IntN(2) == 0 {
		r.last = step // it died before it wrote how the step ended
	}
}

// plan is what brings the group nearer to what is wanted.
func (r *trouble) plan(ms []rules.Member) *journal.Step {
	grow, remove := r.step(journal.Grow), r.step(journal.Remove)
	there := map[string]bool{}
	for _, m := range ms {
		there[m.Name] = true
		i := slices.Index(r.wanted, m.Name)
		switch {
		case m.State == rules.Dead && i >= 0:
			r.named++
			r.wanted[i] = fmt.Sprintf("web-%d", r.named)
			remove.Victims = append(remove.Victims, m.ID)
		case i < 0 && m.State != rules.Leaving:
			remove.Victims = append(remove.Victims, m.ID)
		}
	}
	for _, n := range r.wanted {
		if !there[n] {
			grow.Names = append(grow.Names, n)
		}
	}
	switch {
	case len(remove.Victims) > 0:
		return &remove
	case len(grow.Names) > 0:
		return &grow
	}
	return nil
}

// once fails the test if a name is had twice.
func (r *trouble) once() {
	seen := map[string]bool{}
	for _, i := range r.gce.Instances() {
		if i.Status != "" && i.Status != "STOPPING" && seen[i.Name] {
			r.Fatalf("%s is there twice", i.Name)
		}
		seen[i.Name] = true
	}
}

// settled fails the test unless the group has what is wanted.
func (r *trouble) settled() {
	var have []string
	for _, i := range r.gce.Instances() {
		have = append(have, i.Name)
		if i.Status != "RUNNING" {
			r.Errorf("%s is %s, %s", i.Name, i.Status, i.Action)
		}
	}
	slices.Sort(have)
	want := slices.Sorted(slices.Values(r.wanted))
	if !slices.Equal(have, want) || r.gce.Target("web") != len(want) {
		r.Errorf("the group has %v of %d, want %v", have, r.gce.Target("web"), want)
	}
}
