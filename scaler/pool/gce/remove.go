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

// mostAtOnce is how many instances Google ends by one request.
const mostAtOnce = 1000

// Remove asks the group to end the step's victims, which lowers its target size by
// as many. Those that are going already, or are no more, are left alone: Google ends
// what it was asked to, the hard way after 90 s. In mode floor it sets the least size
// of Google's autoscaler.
func (p *Pool) Remove(ctx context.Context, s journal.Step) error {
	return p.act(ctx, "remove from pool "+p.name, func(now *snapshot) error { return p.remove(ctx, s, now) })
}

func (p *Pool) remove(ctx context.Context, s journal.Step, now *snapshot) error {
	if p.cfg.Mode == modeFloor {
		if floorOf(now) <= s.To {
			return nil
		}
		return p.setFloor(ctx, s, now)
	}
	p.bury(s.Victims)
	victims, refused := p.victims(ctx, now, s.Victims)
	errs := []error{refused}
	part := 0
	for some := range slices.Chunk(victims, mostAtOnce) {
		errs = append(errs, p.end(ctx, s, part, some))
		part++
	}
	return errors.Join(errs...)
}

// victims are the members of those IDs that are not going yet, with an error if
// Flyball runs on one: that is never ended.
func (p *Pool) victims(ctx context.Context, s *snapshot, ids []rules.MemberID) (out []*compute.ManagedInstance, refused error) {
	for _, m := range s.members {
		switch {
		case isGoing(m) || !slices.Contains(ids, idOf(m)):
		case p.here(ctx, m):
			refused = fmt.Errorf("end %s: %w: end it yourself, or run Flyball elsewhere", nameOf(m), ErrSelf)
		default:
			out = append(out, m)
		}
	}
	return out, refused
}

// end asks for the end of some members.
func (p *Pool) end(ctx context.Context, s journal.Step, part int, ms []*compute.ManagedInstance) error {
	about := pending{what: "end members", since: p.now()}
	var instances, names []string
	for _, m := range ms {
		about.victims = append(about.victims, idOf(m))
		instances = append(instances, fmt.Sprintf("zones/%s/instances/%s", zoneOf(m.Instance), nameOf(m)))
		names = append(names, nameOf(m))
	}
	p.changed()
	defer p.changed()
	op, err := p.place.end(ctx, p.requestID(s, part), instances)
	if err != nil {
		p.heed(err)
		return p.explain(fmt.Sprintf("end %d members of %s", len(ms), p.where()), err)
	}
	p.mark(about.victims)
	p.log.Info("members asked to end", "members", names, "operation", op.Name)
	if err := p.await(ctx, op, about); err != nil {
		p.unmark(about.victims)
		return fmt.Errorf("end members of %s: %w", p.where(), err)
	}
	return nil
}

// mark remembers members that were asked to end, whatever lists still say.
func (p *Pool) mark(ids []rules.MemberID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		p.ended[id] = p.now()
	}
}

func (p *Pool) unmark(ids []rules.MemberID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		delete(p.ended, id)
	}
}

// isOver reports whether a member has ended, or was asked to.
func isOver(m rules.Member) bool { return m.State == rules.Dead || m.State == rules.Leaving }
