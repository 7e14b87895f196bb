package digitalocean

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/digitalocean/godo"
)

// birth is a Droplet that was made here, until the list shows it active: a yes to its
// making is no success. So is one that a list lacks which had it before.
type birth struct {
	godo.Droplet // as the API said last
	offer        offer
	version      string
	action       int // its making; 0 is unknown
	made         time.Time
	listed       bool
	asked        time.Time // when it was asked about last
	missed       int       // how often it was not found
	failed       string    // why it will not be; "" if it may
	vanished     bool      // it was there before
}

// A new Droplet is asked about by itself if it is not listed so long after it was
// made, or not active so much longer; not more often than the pause, and not more of
// them at one look. It is given up if it was not found so many times.
const (
	listedWithin = 10 * time.Second
	activeWithin = 90 * time.Second
	birthPause   = 15 * time.Second
	birthsAtOnce = 5
	mostMissed   = 2
)

// follow sees what became of the Droplets that were made. The caller has the turn.
func (p *droplets) follow(ctx context.Context, ds []godo.Droplet) {
	_ = each(p.overdue(ds), func(b *birth) error { // said in the log; the next look asks again
		if err := p.ask(ctx, b); err != nil {
			p.log.Warn("what became of a new Droplet is not known", "member", b.Name, "droplet", b.ID, "err", err)
		}
		return nil
	})
}

// overdue takes over what a list says of births, and picks those to ask about.
func (p *droplets) overdue(ds []godo.Droplet) []*birth {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range ds {
		b := p.births[d.ID]
		if b == nil {
			continue
		}
		b.Droplet, b.listed = d, true
		if d.Status != statusNew && bears(d, markTag) && bears(d, p.spec.Tag) {
			delete(p.births, d.ID)
			if b.vanished {
				continue
			}
			p.shelf.sold(b.offer)
			p.log.Info("member is up", "member", d.Name, "droplet", d.ID, "after", p.now().Sub(b.made))
		}
	}
	now := p.now()
	var due []*birth
	for id, b := range p.births {
		if b.listed && now.Sub(b.made) > 2*p.spec.BootTimeout { // its tags say what it is
			delete(p.births, id)
			continue
		}
		late := !b.listed && now.Sub(b.made) >= listedWithin || now.Sub(b.made) >= activeWithin
		if late && b.failed == "" && now.Sub(b.asked) >= birthPause {
			due = append(due, b)
		}
	}
	slices.SortFunc(due, func(a, b *birth) int { return cmp.Or(a.asked.Compare(b.asked), cmp.Compare(a.ID, b.ID)) })
	due = due[:min(len(due), birthsAtOnce)]
	for _, b := range due {
		b.asked = now
	}
	return due
}

// ask asks about one: whether it is there at all if it is not listed, and how its
// making goes if it is.
func (p *droplets) ask(ctx context.Context, b *birth) error {
	p.mu.Lock()
	id, action, listed := b.ID, b.action, b.listed
	p.mu.Unlock()
	if !listed {
		d, _, err := p.account.read.Droplets.Get(ctx, id)
		if err == nil {
			p.mu.Lock()
			b.Droplet, b.missed = *d, 0
			p.mu.Unlock()
		}
		return p.missed(b, "ask for Droplet", err)
	}
	if action == 0 {
		return nil
	}
	a, _, err := p.account.read.DropletActions.Get(ctx, id, action)
	if err == nil && a.Status == "errored" {
		p.fail(b, "DigitalOcean could not make it")
	}
	if statusOf(err) == 404 {
		return nil // the list will say it
	}
	return p.missed(b, "ask for the making of a Droplet", err)
}

// missed counts that a Droplet was not found; what was accepted is gone if that
// happens again.
func (p *droplets) missed(b *birth, what string, err error) error {
	if err == nil {
		return nil
	}
	if statusOf(err) != 404 {
		return explain(what, err)
	}
	p.mu.Lock()
	b.missed++
	gone := b.missed >= mostMissed || b.vanished // of which the list says the same
	if gone {
		delete(p.births, b.ID)
		p.gone[b.ID] = p.now()
	}
	if gone && !b.vanished {
		p.refute(b)
	}
	p.mu.Unlock()
	if gone && b.vanished {
		p.log.Info("a Droplet that the list lacks is gone", "member", b.Name, "droplet", b.ID)
	} else if gone {
		p.shelf.refused(b.offer, p.now())
		p.log.Warn("DigitalOcean accepted a Droplet and did not make it", "member", b.Name, "droplet", b.ID, "size", b.offer.size, "region", b.offer.region)
	}
	return nil
}

func (p *droplets) fail(b *birth, why string) {
	p.mu.Lock()
	b.failed = why
	p.mu.Unlock()
	p.shelf.refused(b.offer, p.now())
	p.log.Warn("a Droplet was accepted and failed", "member", b.Name, "droplet", b.ID, "why", why)
}
