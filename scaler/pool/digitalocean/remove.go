package digitalocean

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/digitalocean/godo"

	"flyball/rules"
	"flyball/scaler/journal"
)

// ErrSelf means that this very program runs on the member, which is never ended.
var ErrSelf = errors.New("the program that scales runs on it")

// ending is how far the end of a member has come. What was asked is asked again from
// time to time until the Droplet is gone.
type ending struct {
	asked   time.Time // when it was first asked to end
	shut    time.Time // when it was told to shut down
	cut     time.Time // when it was powered off
	deleted time.Time // when its deletion was accepted: it is gone, and listed for a while
	next    time.Time // when something is done again
	refused int       // how often in a row something else was under way
}

// note says how far it is.
func (e *ending) note() string {
	switch {
	case !e.deleted.IsZero():
		return "deleted"
	case !e.cut.IsZero():
		return "powered off"
	case !e.shut.IsZero():
		return "shutting down"
	default:
		return "asked to end"
	}
}

// Remove asks the step's victims to end: the wish is put on them as a tag before
// anything else is done, so that it outlives this program and its folder. They lose
// the traffic's tag, are shut down, powered off after their grace, and deleted, by
// this call and the looks after it. Who is gone, or no member, is left alone.
func (p *droplets) Remove(ctx context.Context, s journal.Step) error {
	if err := p.take(ctx); err != nil {
		return err
	}
	defer p.give()
	ds, err := p.known(ctx)
	if err != nil {
		return fmt.Errorf("shrink pool %s: %w", p.name, err)
	}
	victims, errs := p.victims(s.Victims, ds)
	if err := p.wish(ctx, victims); err != nil {
		return fmt.Errorf("shrink pool %s: %w", p.name, errors.Join(append(errs, err)...))
	}
	errs = append(errs, p.advanceAll(ctx, victims))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("shrink pool %s: %w", p.name, err)
	}
	return nil
}

// victims picks the members that are to end.
func (p *droplets) victims(ids []rules.MemberID, ds []godo.Droplet) ([]godo.Droplet, []error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []godo.Droplet
	var errs []error
	for _, d := range p.whole(ds) {
		switch {
		case !slices.Contains(ids, rules.MemberID(strconv.Itoa(d.ID))):
		case d.ID == p.self():
			errs = append(errs, fmt.Errorf("end %s: %w: end it yourself, or run Flyball elsewhere", d.Name, ErrSelf))
		default:
			out = append(out, d)
		}
	}
	return out, errs
}

// wish makes it durable that members are to end, and takes their requests from them.
func (p *droplets) wish(ctx context.Context, ds []godo.Droplet) error {
	var fresh, served []int
	for _, d := range ds {
		if !bears(d, leavingTag) {
			fresh = append(fresh, d.ID)
		}
		if p.spec.TrafficTag != "" && bears(d, p.spec.TrafficTag) {
			served = append(served, d.ID)
		}
	}
	if err := p.account.fleet.tag(ctx, leavingTag, true, fresh...); err != nil {
		return err
	}
	p.mu.Lock()
	for _, d := range ds {
		if p.endings[d.ID] == nil {
			p.endings[d.ID] = &ending{asked: p.now().UTC()}
			p.log.Info("member asked to end", "member", d.Name, "droplet", d.ID)
		}
	}
	p.mu.Unlock()
	return p.account.fleet.tag(ctx, p.spec.TrafficTag, false, served...)
}

// advanceAll brings those that were asked to end nearer to it. The caller has the
// turn. What has to wait, for something else is under way in a Droplet or calls are
// short, is no error: the next look tries again.
func (p *droplets) advanceAll(ctx context.Context, ds []godo.Droplet) error {
	var due []godo.Droplet
	now := p.now()
	p.mu.Lock()
	for _, d := range ds {
		e := p.endings[d.ID]
		if e == nil && bears(d, leavingTag) { // asked to by a program before this one
			e = &ending{asked: now.UTC()}
			p.endings[d.ID] = e
		}
		if e != nil && !now.Before(e.next) {
			due = append(due, d)
		}
	}
	p.mu.Unlock()
	if len(due) == 0 {
		return nil
	}
	defer p.account.fleet.changed()
	return each(due, func(d godo.Droplet) error {
		if err := p.advance(ctx, d); err != nil {
			p.log.Warn("a member that was asked to end is not ended yet", "member", d.Name, "droplet", d.ID, "err", err)
			return fmt.Errorf("end %s: %w", d.Name, err)
		}
		return nil
	})
}

// advance does the next thing to one that is to end.
func (p *droplets) advance(ctx context.Context, d godo.Droplet) error {
	p.mu.Lock()
	known := p.endings[d.ID]
	if known == nil { // gone since, a list says
		p.mu.Unlock()
		return nil
	}
	e := *known
	p.mu.Unlock()
	now := p.now()
	var err error
	switch {
	case !e.deleted.IsZero() || d.Status != statusActive || !e.cut.IsZero() && now.Sub(e.cut) >= p.spec.Grace:
		if _, err = p.account.write.Droplets.Delete(ctx, d.ID); err == nil {
			e.deleted = now
		}
	case e.shut.IsZero():
		if _, _, err = p.account.write.DropletActions.Shutdown(ctx, d.ID); err == nil {
			e.shut = now
		}
	case now.Sub(e.shut) >= p.spec.Grace:
		p.log.Warn("member ended the hard way", "member", d.Name, "droplet", d.ID, "after", now.Sub(e.shut))
		if _, _, err = p.account.write.DropletActions.PowerOff(ctx, d.ID); err == nil {
			e.cut = now
		}
	default:
		return nil
	}
	return p.advanced(d, e, err)
}

// How far apart the same is asked of a Droplet again, and up to eight times as far
// while something else is under way in it. A part of it is chance, so that those of
// one step do not ask together.
const (
	askPause    = 2 * time.Second
	deletePause = 10 * time.Second
)

// advanced remembers how far the end of a Droplet is.
func (p *droplets) advanced(d godo.Droplet, e ending, err error) error {
	code := statusOf(err)
	if e.refused++; code != 422 {
		e.refused = 0
	}
	pause := askPause << min(e.refused, 3)
	if !e.deleted.IsZero() {
		pause = deletePause
	}
	e.next = p.now().Add(pause + rand.N(pause))
	p.mu.Lock()
	defer p.mu.Unlock()
	if code == 404 {
		delete(p.endings, d.ID)
		delete(p.births, d.ID)
		p.gone[d.ID] = p.now()
		p.log.Info("member is gone", "member", d.Name, "droplet", d.ID)
		return nil
	}
	p.endings[d.ID] = &e
	if err == nil || code == 422 || errors.Is(err, errSpent) {
		return nil
	}
	return explain("ask for its end", err)
}
