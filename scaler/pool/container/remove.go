package container

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"flyball/rules"
	"flyball/scaler/journal"
)

// Remove asks the step's victims to end: the image's stop signal, once, and when it
// is asked again after the grace, SIGKILL. Containers of the dead are removed.
// A victim that is not known, or no member of this pool, is left alone.
func (p *Pool) Remove(ctx context.Context, s journal.Step) error {
	if err := p.take(ctx); err != nil {
		return err
	}
	defer p.give()
	cs, err := p.list(ctx)
	if err != nil {
		return fmt.Errorf("remove from pool %s: %w", p.name, err)
	}
	cs = slices.DeleteFunc(cs, func(c container.Summary) bool { return !slices.Contains(s.Victims, rules.MemberID(c.ID)) })
	if err := p.wish(cs); err != nil {
		return fmt.Errorf("remove from pool %s: %w", p.name, err)
	}
	return each(len(cs), func(i int) error {
		if err := p.remove(ctx, cs[i]); err != nil {
			return fmt.Errorf("end %s: %w", cs[i].Labels[labelMember], err)
		}
		return nil
	})
}

// wish makes it durable that members are to end, before they hear of it: a crash
// in between leaves members that are asked again, and not ones whose end looks
// like a failure.
func (p *Pool) wish(cs []container.Summary) error {
	defer p.point("asked")
	return p.amend(func(notes map[string]note) (changed bool) {
		for _, c := range cs {
			if n := notes[c.ID]; n.Asked.IsZero() && !hasEnded(c.State) && !neverRan(c.State) {
				n.Asked = p.now()
				notes[c.ID], changed = n, true
				p.log.Info("member asked to end", "member", c.Labels[labelMember], "container", short(c.ID))
			}
		}
		return changed
	})
}

func (p *Pool) remove(ctx context.Context, c container.Summary) error {
	n, err := p.noted(c.ID)
	if hasEnded(c.State) || neverRan(c.State) {
		if err == nil && n.Asked.IsZero() && hasEnded(c.State) {
			p.log.Warn("member had ended without being asked to", "member", c.Labels[labelMember], "container", short(c.ID), "status", c.Status)
		}
		return p.discard(ctx, c.ID)
	}
	switch {
	case err != nil || c.State == container.StateRemoving:
		return err
	case !n.Told:
		return p.tell(ctx, c)
	case p.now().Sub(n.Asked) < p.cfg.Grace:
		return nil
	}
	p.log.Warn("member ended the hard way", "member", c.Labels[labelMember], "container", short(c.ID), "after", p.now().Sub(n.Asked))
	if c.State == container.StatePaused { // else the signal would wait
		if _, err := p.engine.ContainerUnpause(ctx, c.ID, client.ContainerUnpauseOptions{}); err != nil {
			p.log.Warn("member cannot be unpaused", "member", c.Labels[labelMember], "err", err)
		}
	}
	return p.signal(ctx, c.ID, "SIGKILL")
}

// tell sends the wish, once: to many programs a second one means to drop everything.
func (p *Pool) tell(ctx context.Context, c container.Summary) error {
	res, err := p.engine.ContainerInspect(ctx, c.ID, client.ContainerInspectOptions{})
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return explain("ask for the stop signal", err)
	}
	stop := "SIGTERM"
	if conf := res.Container.Config; conf != nil && conf.StopSignal != "" {
		stop = conf.StopSignal
	}
	if err := p.signal(ctx, c.ID, stop); err != nil {
		return err
	}
	p.point("told")
	return p.amend(func(notes map[string]note) bool {
		n := notes[c.ID]
		n.Told = true
		notes[c.ID] = n
		return true
	})
}

// An engine that could not send a signal is asked so often, so far apart, whether
// the container has ended: podman learns of an end a moment after its kill does.
const (
	endTries = 5
	endPause = 100 * time.Millisecond
)

// signal sends to a container's first process. One that has ended meanwhile got it.
func (p *Pool) signal(ctx context.Context, id, sig string) error {
	_, err := p.engine.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: sig})
	if err == nil {
		return nil
	}
	for range endTries {
		res, lookErr := p.engine.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if errdefs.IsNotFound(lookErr) || lookErr == nil && res.Container.State != nil && hasEnded(res.Container.State.Status) {
			return nil
		}
		select {
		case <-time.After(endPause):
		case <-ctx.Done():
			return explain("send signal "+sig, err)
		}
	}
	return explain("send signal "+sig, err)
}
