package digitalocean

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/digitalocean/godo"

	"flyball/scaler"
	"flyball/scaler/journal"
)

var (
	// ErrEnded means that a member of that name has ended, or is about to, and is not
	// removed yet.
	ErrEnded = errors.New("a member of that name has ended and is not removed yet")
	// ErrTaken means that the name is that of a Droplet which is no member.
	ErrTaken = errors.New("the name is taken by a Droplet that is no member of this pool")
)

// chunk is how many Droplets DigitalOcean makes at once.
const chunk = 10

// Grow asks for a Droplet for each of the step's names, ten at a time. A name whose
// member lives is done already. One of which it is not known whether it was made, as
// all are in the first step of a program, is looked for by its name before it is asked
// for. What fails is in the error; what was accepted stays, and its making is watched
// by later looks.
func (p *droplets) Grow(ctx context.Context, s journal.Step) error {
	if err := p.take(ctx); err != nil {
		return err
	}
	defer p.give()
	ds, err := p.known(ctx)
	if err != nil {
		return fmt.Errorf("grow pool %s: %w", p.name, err)
	}
	todo, errs := p.missing(s.Names, ds)
	todo, err = p.findDoubtful(ctx, todo)
	errs = append(errs, err, p.make(ctx, todo))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("grow pool %s: %w", p.name, err)
	}
	return nil
}

// missing picks the names that have no member yet, and says what is wrong with others.
func (p *droplets) missing(names []string, ds []godo.Droplet) ([]string, []error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var todo []string
	var errs []error
	all := p.whole(ds)
	for _, name := range names {
		i := slices.IndexFunc(all, func(d godo.Droplet) bool { return d.Name == name })
		var err error
		switch {
		case !memberName.MatchString(name) || !numbered(p.name, name):
			err = fmt.Errorf("%q is no name for a member: it has to be %s- and a number", name, p.name)
		case i >= 0:
			err = p.lives(all[i])
		default:
			todo = append(todo, name)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("make %s: %w", name, err))
		}
	}
	return todo, errs
}

// lives is nil if a member lives and was not asked to end; the caller has the lock.
func (p *droplets) lives(d godo.Droplet) error {
	b := p.births[d.ID]
	if p.endings[d.ID] != nil || bears(d, leavingTag) || isOff(d) || b != nil && b.failed != "" {
		return ErrEnded
	}
	return nil
}

// findDoubtful looks by their names for the Droplets of which it is not known whether
// they were made, and returns the names that are to be made.
func (p *droplets) findDoubtful(ctx context.Context, names []string) ([]string, error) {
	p.mu.Lock()
	var doubtful []string
	for _, n := range names {
		if _, doubt := p.doubts[n]; doubt || !p.grown {
			doubtful = append(doubtful, n)
		}
	}
	p.mu.Unlock()
	todo := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(doubtful, n) })
	found := make(chan string, len(doubtful))
	err := each(doubtful, func(n string) error {
		isThere, err := p.find(ctx, n)
		if err != nil {
			return fmt.Errorf("make %s: %w", n, err)
		}
		if !isThere {
			found <- n
		}
		return nil
	})
	close(found)
	for n := range found {
		todo = append(todo, n)
	}
	p.mu.Lock()
	p.grown = p.grown || err == nil
	p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !slices.Contains(todo, n) }), err
}

// find looks for a Droplet by its name, and takes it for a member if it is one, or was
// made by a call whose answer was lost.
func (p *droplets) find(ctx context.Context, name string) (bool, error) {
	ds, _, err := p.account.write.Droplets.ListByName(ctx, name, &godo.ListOptions{PerPage: pageSize})
	if err != nil {
		return false, explain("look for it first", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	ds = slices.DeleteFunc(ds, func(d godo.Droplet) bool {
		_, gone := p.gone[d.ID]
		return gone || d.Name != name
	})
	if i := slices.IndexFunc(ds, p.isOurs); i >= 0 {
		p.claim(ds[i])
		return true, p.lives(ds[i])
	}
	if x := p.doubts[name]; x != nil && x.never.IsZero() {
		if age := p.now().Sub(x.since); age < doubtTime {
			return false, fmt.Errorf("%w: its making was asked for %s ago, without an answer: it is asked for again after %s", errDoubt, age.Round(time.Second), doubtTime)
		}
		x.never, x.why = p.now().UTC(), "asked for without an answer, and never made"
		p.log.Warn("a Droplet that was asked for without an answer was never made", "member", name, "asked", x.since)
	}
	if len(ds) > 0 {
		return false, fmt.Errorf("%w: droplet %d", ErrTaken, ds[0].ID)
	}
	return false, nil
}

// make asks for Droplets of those names.
func (p *droplets) make(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	image, err := p.account.image(ctx, p.spec.Image, p.spec.Regions)
	if err != nil {
		return err
	}
	userData, version, err := p.template.get(nameOf(image))
	if err != nil {
		return err
	}
	defer p.account.fleet.changed()
	m := making{droplets: p, image: image, userData: userData, version: version}
	names, short := p.within(names)
	errs := []error{short}
	for part := range slices.Chunk(names, chunk) {
		err := m.ask(ctx, part)
		errs = append(errs, err)
		if code := statusOf(err); errors.Is(err, errSpent) || ctx.Err() != nil || code >= 400 && code < 500 {
			break // the next ones would fare no better
		}
	}
	return errors.Join(errs...)
}

// within cuts names down to the headroom of the account; the error says what is left
// out. A limit that is not known cuts nothing.
func (p *droplets) within(names []string) ([]string, error) {
	known, headroom := p.account.fleet.headroom()
	headroom = max(0, headroom-p.unlisted())
	if known.droplets == 0 || len(names) <= headroom {
		return names, nil
	}
	if headroom == 0 { // the limit may have been raised since
		return names[:1], left(names[1:], known.droplets)
	}
	return names[:headroom], left(names[headroom:], known.droplets)
}

// left says which names the account's limit leaves no room for.
func left(names []string, limit int) error {
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("make %v: %w: the account may have %d Droplets: ask DigitalOcean for more, or end others", names, scaler.ErrNoCapacity, limit)
}
