package digitalocean

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/digitalocean/godo"

	"flyball/rules"
	"flyball/scaler/journal"
)

// ErrSelf means that this very program runs on the member, which is never ended.
var ErrSelf = errors.New("the program that scales runs on it")

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
		if e != nil && e.isDue(d, now, p.spec.Grace) {
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
			return fmt.Errorf("end %s: %w", d.Name, err)
		}
		return nil
	})
}
