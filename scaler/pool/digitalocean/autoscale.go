package digitalocean

import (
	"context"
	"fmt"
	"time"

	"flyball/scaler"
	"flyball/scaler/journal"
)

var _ scaler.Pool = (*autoscale)(nil)

// Autoscale Pools of a fixed size, as DigitalOcean keeps them.
const (
	leastInstances = 1
	mostInstances  = 1000
	fixedCooldown  = 10 * time.Minute // between two changes of the members
)

// autoscale is a pool whose members a Droplet Autoscale Pool makes and ends: Flyball
// sets its fixed size and nothing else. Whom it ends is its own choice, it drains
// nobody, and it replaces members itself.
//
// A size is written only right after the pool was read, whole, and only if it begins
// at once: what is asked for during the cool-down would come minutes later, when
// nobody wants it any more.
type autoscale struct {
	sized
	pool    *memo[autoscalePool]
	members *memo[[]autoscaleMember]
}

func newAutoscale(b base) *autoscale {
	return &autoscale{sized: newSized(b), pool: newMemo[autoscalePool](), members: newMemo[[]autoscaleMember]()}
}

// Grow sets the size to the step's To, if it is smaller.
func (p *autoscale) Grow(ctx context.Context, s journal.Step) error {
	return p.resize(ctx, s.To, func(now int) bool { return now < s.To })
}

// Remove sets the size to the step's To, if it is larger. A pool of which it was just
// read that it has no more is not asked again.
func (p *autoscale) Remove(ctx context.Context, s journal.Step) error {
	if pool, ok := p.pool.young(p.now(), poolAge); ok && pool.unsteered() == "" && pool.target() <= s.To {
		return ctx.Err()
	}
	return p.resize(ctx, s.To, func(now int) bool { return now > s.To })
}

// resize sets the size, if the one that is read before lies on the side that the step
// comes from: a step that is done late never moves a pool the other way.
func (p *autoscale) resize(ctx context.Context, to int, from func(now int) bool) error {
	if err := p.take(ctx); err != nil {
		return err
	}
	defer p.give()
	what := fmt.Sprintf("set the size of the Autoscale Pool to %d", to)
	pool, err := p.readPool(ctx, p.account.write)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if why := pool.unsteered(); why != "" {
		return fmt.Errorf("%s: %s", what, why)
	}
	if !from(pool.target()) {
		return p.stuck(ctx, pool)
	}
	if to < leastInstances || to > mostInstances {
		return fmt.Errorf("%s: it can have %d to %d members: write min and max of the rule accordingly", what, leastInstances, mostInstances)
	}
	last, err := p.lastChange(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if until := last.CreatedAt.Add(fixedCooldown); last.Reason != "" && p.now().Before(until) {
		return fmt.Errorf("%s: it went from %d to %d at %s and takes another size after %s, for its cool-down is %s: nothing was asked for",
			what, last.CurrentInstanceCount, last.DesiredInstanceCount, clock(last.CreatedAt), clock(until), fixedCooldown)
	}
	defer p.forget()
	return p.writeSize(ctx, pool, to)
}

func clock(t time.Time) string { return t.UTC().Format(time.TimeOnly) }

// forget has the next look read anew.
func (p *autoscale) forget() {
	p.pool.forget()
	p.members.forget()
	p.touch()
}

// stuck says why a pool that was told its size does not come to it, if it says so.
func (p *autoscale) stuck(ctx context.Context, pool autoscalePool) error {
	if pool.Status != poolError {
		return nil
	}
	last, err := p.lastChange(ctx)
	if err != nil || last.Status != poolError {
		return err
	}
	return fmt.Errorf("grow the Autoscale Pool to %d: %w: it answers: %s", pool.target(), scaler.ErrNoCapacity, last.ErrorReason)
}

// writeSize writes the pool whole, with another size.
func (p *autoscale) writeSize(ctx context.Context, pool autoscalePool, to int) error {
	what := fmt.Sprintf("set the size of the Autoscale Pool to %d", to)
	body, err := pool.sized(to)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	now, err := p.askPool(ctx, p.account.write, "PUT", body)
	switch {
	case isOverLimit(err) || isSoldOut(err):
		return fmt.Errorf("%w: %w", scaler.ErrNoCapacity, explain(what, err))
	case err != nil:
		return explain(what, err)
	case now.target() != to:
		return fmt.Errorf("%s: DigitalOcean answers with %d: look at the pool in its control panel", what, now.target())
	}
	p.log.Info("size of the Autoscale Pool is set", "from", pool.target(), "to", to)
	return nil
}
