package gce

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/api/compute/v1"

	"flyball/rules"
	"flyball/scaler/journal"
)

// Grow asks the group for members of the step's names that do not exist. A group
// that fails for want of capacity to make those it was asked for before is asked for
// no more until they have come or were handed back: an error that wraps
// [scaler.ErrNoCapacity]. In mode floor it sets the least size of Google's
// autoscaler; in mode only_scale_out it refuses.
func (p *Pool) Grow(ctx context.Context, s journal.Step) error {
	return p.act(ctx, "grow pool "+p.name, func(now *snapshot) error { return p.grow(ctx, s, now) })
}

// act does something to the group by a fresh look, one at a time, unless somebody
// else resizes it.
func (p *Pool) act(ctx context.Context, what string, do func(now *snapshot) error) error {
	if err := take(ctx, p.acting); err != nil {
		return err
	}
	defer give(p.acting)
	now, err := p.known(ctx, true)
	if err == nil {
		if why := p.fight(now); why != "" {
			err = fmt.Errorf("%w: %s", ErrDrift, why)
		}
	}
	if err == nil {
		err = do(now)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (p *Pool) grow(ctx context.Context, s journal.Step, now *snapshot) error {
	switch p.cfg.Mode {
	case modeOnlyScaleOut:
		return fmt.Errorf("%w: Google's autoscaler adds members in mode only_scale_out: raise its least size, or declare mode: direct", ErrDrift)
	case modeFloor:
		if floorOf(now) >= s.To {
			return nil
		}
		if err := p.confess(); err != nil {
			return err
		}
		return p.setFloor(ctx, s, now)
	}
	names, refused := p.missing(now, s.Names)
	if len(names) == 0 {
		return refused
	}
	if err := p.hindrance(now); err != nil {
		return errors.Join(refused, err)
	}
	return errors.Join(refused, p.create(ctx, s, names))
}

// missing are the names of which there are no members, with an error for those that
// no member can have now.
func (p *Pool) missing(s *snapshot, names []string) (out []string, refused error) {
	var errs []error
	there := p.members(s)
	for _, name := range names {
		i := slices.IndexFunc(there, func(m rules.Member) bool { return m.Name == name })
		switch {
		case !resource.MatchString(name):
			errs = append(errs, fmt.Errorf("make %s: an instance cannot be called so: small letters, digits and hyphens, at most 63", name))
		case i < 0 && !slices.Contains(out, name):
			out = append(out, name)
		case i >= 0 && isOver(there[i]):
			errs = append(errs, fmt.Errorf("make %s: %w", name, ErrEnded))
		}
	}
	return out, errors.Join(errs...)
}

// hindrance is why nothing more is asked for now: a growth failed that was not told
// yet, or the group lacks capacity, or a member was not made in time.
func (p *Pool) hindrance(s *snapshot) error {
	if err := p.confess(); err != nil {
		return err
	}
	if err := p.noRoom(s); err != nil {
		return err
	}
	return p.late(s)
}

// noRoom is an error if the group lacks capacity for what it was asked for: any quota
// counts for all of it, what is sold out for its zone.
func (p *Pool) noRoom(s *snapshot) error {
	short := map[string]bool{} // zones
	for _, m := range s.members {
		f, failing := attempted(m)
		if !failing || !inTheMaking(m) || !f.class.none() {
			continue
		}
		short[zoneOf(m.Instance)] = true
		if f.class != stockOut || len(short) >= zones(s.group) {
			return unmadeFor(m, f)
		}
	}
	return nil
}

// late is an error if a member was not made in time for another reason, which is told
// once.
func (p *Pool) late(s *snapshot) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range s.members {
		name := nameOf(m)
		f, failing := attempted(m)
		if !failing || !inTheMaking(m) || f.class.none() || p.told[name] || s.at.Sub(p.making[name]) < p.cfg.ProvisionTimeout {
			continue
		}
		p.told[name] = true
		return unmadeFor(m, f)
	}
	return nil
}

func unmadeFor(m *compute.ManagedInstance, f failure) error {
	return fmt.Errorf("make %s, which was asked for before: %w", nameOf(m), f)
}

// zones counts the zones that a group makes members in.
func zones(g *compute.InstanceGroupManager) int {
	if g.DistributionPolicy == nil {
		return 1
	}
	return max(1, len(g.DistributionPolicy.Zones))
}

// create asks for members. What an operation comes to that takes long is seen by looks,
// and told by the next growth.
func (p *Pool) create(ctx context.Context, s journal.Step, names []string) error {
	p.want(names)
	defer p.changed()
	op, err := p.place.create(ctx, p.requestID(s, 0), names)
	if err != nil {
		p.heed(err)
		return p.explain(fmt.Sprintf("ask %s for %d members", p.where(), len(names)), err)
	}
	p.log.Info("members asked for", "members", names, "operation", op.Name)
	if err := p.await(ctx, op, pending{what: "make members", since: p.now(), grows: true, names: names}); err != nil {
		return fmt.Errorf("make members of %s: %w", p.where(), err)
	}
	return nil
}

// want remembers names that lists may show late.
func (p *Pool) want(names []string) {
	p.changed()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range names {
		p.wanted[n] = p.now()
	}
}

// floorOf is the least size of Google's autoscaler.
func floorOf(s *snapshot) int {
	if s.native == nil || s.native.AutoscalingPolicy == nil {
		return 0
	}
	return int(s.native.AutoscalingPolicy.MinNumReplicas)
}

// setFloor sets the least size of Google's autoscaler to the step's.
func (p *Pool) setFloor(ctx context.Context, s journal.Step, now *snapshot) error {
	name := now.native.Name
	if policy := now.native.AutoscalingPolicy; policy != nil && int64(s.To) > policy.MaxNumReplicas {
		return fmt.Errorf("set the least size to %d: Google's autoscaler %s has a greatest size of %d: raise it, or lower the rule's max",
			s.To, name, policy.MaxNumReplicas)
	}
	p.changed()
	defer p.changed()
	op, err := p.place.patch(ctx, p.requestID(s, 0), &compute.Autoscaler{
		Name: name,
		AutoscalingPolicy: &compute.AutoscalingPolicy{
			MinNumReplicas: int64(s.To), ForceSendFields: []string{"MinNumReplicas"},
		},
	})
	if err != nil {
		p.heed(err)
		return p.explain(fmt.Sprintf("set the least size of autoscaler %s of %s to %d", name, p.where(), s.To), err)
	}
	p.log.Info("least size of Google's autoscaler set", "autoscaler", name, "to", s.To)
	return p.await(ctx, op, pending{what: "set the least size", since: p.now(), grows: s.Verb == journal.Grow})
}
