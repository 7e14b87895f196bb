package container

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"flyball/scaler/journal"
)

// Grow makes a member for each of the step's names, a few at a time. A name whose
// member lives is done already. What fails is in the error; the others exist. An
// image that takes longer to fetch than the step may last is fetched on, and the
// step fails until it is there.
func (p *Pool) Grow(ctx context.Context, s journal.Step) error {
	if err := p.take(ctx); err != nil {
		return err
	}
	defer p.give()
	cs, err := p.list(ctx)
	if err != nil {
		return fmt.Errorf("grow pool %s: %w", p.name, err)
	}
	todo, errs := p.missing(s.Names, cs)
	if len(todo) > 0 {
		if err := p.prepare(ctx); err != nil {
			return errors.Join(append(errs, fmt.Errorf("grow pool %s: %w", p.name, err))...)
		}
	}
	err = each(len(todo), func(i int) error {
		if err := p.start(ctx, todo[i]); err != nil {
			return fmt.Errorf("start %s: %w", todo[i].name, err)
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

// candidate is a member to be.
type candidate struct {
	name string
	id   string // of a container that was made and not started; "" if there is none
}

// missing picks the names that have no member yet, and says what is wrong with others.
func (p *Pool) missing(names []string, cs []container.Summary) ([]candidate, []error) {
	var todo []candidate
	var errs []error
	room := p.cfg.Most - len(cs)
	for _, name := range names {
		i := slices.IndexFunc(cs, func(c container.Summary) bool { return c.Labels[labelMember] == name })
		var err error
		switch {
		case !memberName.MatchString(name):
			err = fmt.Errorf("%q is no name for a member: use letters, digits and dashes, at most 63", name)
		case i >= 0 && neverRan(cs[i].State):
			todo = append(todo, candidate{name, cs[i].ID})
		case i >= 0:
			err = p.lives(cs[i])
		case room < 1:
			err = fmt.Errorf("%w: most is %d, and there are %d", ErrFull, p.cfg.Most, p.cfg.Most-room)
		default:
			room--
			todo = append(todo, candidate{name: name})
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("start %s: %w", name, err))
		}
	}
	return todo, errs
}

// lives is nil if a member lives and was not asked to end.
func (p *Pool) lives(c container.Summary) error {
	n, err := p.noted(c.ID)
	if err == nil && (!n.Asked.IsZero() || hasEnded(c.State) || c.State == container.StateRemoving) {
		err = ErrEnded
	}
	return err
}

// prepare sees to what all new members need: an engine whose containers can be
// reached, and the image.
func (p *Pool) prepare(ctx context.Context) error {
	f, err := p.learn(ctx)
	if err != nil {
		return err
	}
	if f.hidden && !p.cfg.Publish && !p.inside {
		return fmt.Errorf("members of the engine at %s cannot be reached by their own addresses, for it is %s: write publish: true", p.cfg.Socket, f.kind)
	}
	return p.haveImage(ctx)
}

// start makes and starts one container. One that could not be started is removed,
// if not here then by the next look.
func (p *Pool) start(ctx context.Context, c candidate) error {
	if c.id == "" {
		id, done, err := p.create(ctx, c.name)
		if err != nil || done {
			return err
		}
		c.id = id
	}
	p.point("created")
	if _, err := p.engine.ContainerStart(ctx, c.id, client.ContainerStartOptions{}); err != nil {
		if err := p.undo(ctx, c.id, explain("start container", err)); err != nil {
			return err
		}
	}
	p.point("started")
	p.log.Info("member started", "member", c.name, "container", short(c.id), "image", p.cfg.Image)
	return nil
}

// undo removes a container whose start failed; nil if it runs, for the answer may
// have been lost.
func (p *Pool) undo(ctx context.Context, id string, failure error) error {
	res, err := p.engine.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	switch {
	case err != nil:
		return failure
	case res.Container.State != nil && res.Container.State.Running:
		return nil
	}
	return errors.Join(failure, p.discard(ctx, id))
}

// create makes a container; done means that the member is there already. The name
// may be taken by what an earlier call did whose answer was lost.
func (p *Pool) create(ctx context.Context, name string) (id string, done bool, err error) {
	o, err := p.options(name)
	if err != nil {
		return "", false, err
	}
	res, err := p.engine.ContainerCreate(ctx, o)
	if err == nil {
		for _, w := range res.Warnings {
			p.log.Warn("engine warns of a new container", "member", name, "warning", w)
		}
		return res.ID, false, nil
	}
	there, lookErr := p.engine.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	if lookErr != nil || there.Container.Config == nil || there.Container.State == nil {
		return "", false, explain("make container", err)
	}
	if err := p.mayUse(name, there.Container); err != nil {
		return "", false, err
	}
	if neverRan(there.Container.State.Status) {
		return there.Container.ID, false, nil
	}
	return "", true, p.lives(container.Summary{ID: there.Container.ID, State: there.Container.State.Status})
}

// mayUse is nil if a container that has a member's name is that member.
func (p *Pool) mayUse(name string, c container.InspectResponse) error {
	labels := c.Config.Labels
	switch {
	case isOurs(labels, []string{c.Name}, p.name, p.owner) && labels[labelMember] == name:
		return nil
	case labels[labelPool] == p.name && labels[labelOwner] != "" && labels[labelOwner] != p.owner:
		return fmt.Errorf("%w: another Flyball made it: to take its members over, write owner: %s; else call one of the two pools differently", ErrTaken, labels[labelOwner])
	default:
		return fmt.Errorf("%w: rename or remove it, or call the pool differently", ErrTaken)
	}
}

// discard removes a container that does not run; the engine refuses one that does.
// Its anonymous volumes go with it. One that is gone is done already.
func (p *Pool) discard(ctx context.Context, id string) error {
	_, err := p.engine.ContainerRemove(ctx, id, client.ContainerRemoveOptions{RemoveVolumes: true})
	if err == nil || errdefs.IsNotFound(err) {
		p.point("discarded")
		return nil
	}
	return explain("remove container", err)
}
