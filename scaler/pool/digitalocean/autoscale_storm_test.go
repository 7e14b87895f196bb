package digitalocean

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
	"flyball/scaler/pool/emulate"
	"flyball/scaler/pool/pooltest"
)

// The sizes that a storm asks for, and how many storms there are.
const (
	stormLeast = 1
	stormMost  = 6
	storms     = 20
)

// steer takes one step towards a size, as the loop does: from what is listed, if that
// is believed. It returns whether the pool has come there.
func steer(ctx context.Context, p scaler.Pool, size int) bool {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	ms, terms, err := p.Look(ctx)
	if err != nil || terms.Drift != "" {
		return false
	}
	var stay []rules.MemberID
	for _, m := range ms {
		if m.State != rules.Leaving {
			stay = append(stay, m.ID)
		}
	}
	step := journal.Step{ID: "storm", Verb: journal.Grow, To: size}
	switch {
	case size > len(stay):
		_ = p.Grow(ctx, step) // what came of it shows on the next looks
	case size < len(stay):
		step.Verb, step.Victims = journal.Remove, stay[size:]
		_ = p.Remove(ctx, step)
	}
	return len(stay) == size && len(ms) == size
}

// storm asks for sizes at random while everything fails at random and the program is
// started anew at random, and then once more while nothing does.
func storm(c *cloud, r *rand.Rand, pool func() scaler.Pool) {
	faults := []string{"error_500", "error_503", "too_many", "lost_before", "lost_after", "slow", "duplicate", "list_lag", "partial_list", "slow_boot"}
	p, size := pool(), 1
	for range 60 {
		switch r.IntN(6) {
		case 0:
			size = stormLeast + r.IntN(stormMost-stormLeast+1)
		case 1:
			c.world.Plant(emulate.Fault{Name: faults[r.IntN(len(faults))], Share: 0.1 + 0.8*r.Float64(), Times: 1 + r.IntN(3)})
		case 2:
			c.restart()
			p = pool()
		}
		steer(c.t.Context(), p, size)
		time.Sleep(time.Duration(1+r.IntN(240)) * time.Second)
		staying := 0
		for _, d := range c.do.Droplets() {
			if !d.Ending {
				staying++
			}
		}
		if staying > stormMost {
			c.t.Errorf("there are %d members, and never more than %d were asked for", staying, stormMost)
		}
	}
	c.world.Heal()
	for range 120 {
		if steer(c.t.Context(), p, size) {
			return
		}
		time.Sleep(15 * time.Second)
	}
	c.t.Errorf("half an hour after all was well the members are %s, want %d", states(pooltest.Look(c.t, p)), size)
}

func TestStormsLeaveASizedPoolAtItsSize(t *testing.T) {
	for _, tt := range []struct {
		name string
		pool func(*cloud) func() scaler.Pool
	}{
		{"autoscale pool", func(c *cloud) func() scaler.Pool {
			c.withAutoscale(fixed(1))
			return func() scaler.Pool { return c.autoscale() }
		}},
		{"node pool", func(c *cloud) func() scaler.Pool {
			c.withNodes(1)
			return func() scaler.Pool { return c.nodes() }
		}},
	} {
		for seed := range uint64(storms) {
			t.Run(fmt.Sprintf("%s %d", tt.name, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newCloud(t, emulate.DigitalOceanOptions{})
					storm(c, rand.New(rand.NewPCG(seed, 6)), tt.pool(c))
				})
			})
		}
	}
}
