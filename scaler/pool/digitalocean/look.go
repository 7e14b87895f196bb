package digitalocean

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/digitalocean/godo"

	"flyball/rules"
)

// followTime is what a look spends on what was asked before; the rest waits for the
// next one.
const followTime = 2 * time.Second

// Look lists the members, and goes on with what was asked before: it sees what became
// of those that were made, and brings those that were asked to end nearer to it.
func (p *droplets) Look(ctx context.Context) ([]rules.Member, rules.Terms, error) {
	ds, err := p.list(ctx)
	if err != nil {
		return nil, rules.Terms{}, fmt.Errorf("look at pool %s: %w", p.name, err)
	}
	if p.takeIfFree() {
		within, cancel := context.WithTimeout(ctx, followTime)
		p.resolve(within)
		p.follow(within, ds)
		if !p.dry {
			_ = p.advanceAll(within, p.everyone(ds)) // said in the log; the next look goes on
		}
		cancel()
		p.give()
	}
	ms := p.members(ds)
	return ms, p.terms(ctx, ms, p.everyone(ds)), nil
}

// terms are what the provider does for the pool of these members, of which ds are Droplets.
func (p *droplets) terms(ctx context.Context, ms []rules.Member, ds []godo.Droplet) rules.Terms {
	t := rules.Terms{Names: true, Victims: true, Lag: int(doubtTime / time.Second), Currency: "USD"}
	known, headroom := p.account.fleet.headroom()
	if _, version, err := p.template.get(nameOf(imageOf(p.spec.Image, p.spec.Regions, known.images))); err != nil {
		p.log.WarnContext(ctx, "the template of new members is not known", "err", err)
	} else if known.imagesRead || byNumber(p.spec.Image) {
		t.Version = version
	}
	t.Price = known.prices[p.spec.Sizes[0]]
	t.Cost = t.Price * float64(len(ms)-len(ds))
	for _, d := range ds {
		t.Cost += cmp.Or(known.prices[d.SizeSlug], t.Price)
	}
	if known.droplets > 0 {
		staying := 0
		for _, m := range ms {
			if m.State != rules.Leaving {
				staying++
			}
		}
		t.Most = max(1, staying+max(0, headroom-p.unlisted()))
	}
	return t
}

// unlisted counts the members that were made, or may have been, and are not in the
// list yet.
func (p *droplets) unlisted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.inDoubt()
	for _, b := range p.births {
		if !b.listed {
			n++
		}
	}
	return n
}

// members are the pool's Droplets as members, those that are not listed yet, or are
// in doubt, included.
func (p *droplets) members(ds []godo.Droplet) []rules.Member {
	p.mu.Lock()
	defer p.mu.Unlock()
	ms := []rules.Member{}
	for i, d := range p.whole(ds) { // by name, the elder first
		m := p.member(d)
		if i > 0 && m.Name == ms[i-1].Name && m.State != rules.Leaving {
			p.duplicate(d.ID, &m, ms[i-1])
		}
		m.Since = p.sinceWhen(d.ID, m)
		ms = append(ms, m)
	}
	return p.withDoubts(ms)
}

// everyone is whole, for who has no lock.
func (p *droplets) everyone(ds []godo.Droplet) []godo.Droplet {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.whole(ds)
}

// whole are the Droplets that are listed and not gone, and those that were made and
// are not listed yet, by name and age; the caller has the lock.
func (p *droplets) whole(ds []godo.Droplet) []godo.Droplet {
	all := slices.DeleteFunc(slices.Clone(ds), func(d godo.Droplet) bool {
		_, gone := p.gone[d.ID]
		return gone
	})
	for id, b := range p.births {
		if !slices.ContainsFunc(all, func(d godo.Droplet) bool { return d.ID == id }) {
			all = append(all, b.Droplet)
		}
	}
	slices.SortFunc(all, func(a, b godo.Droplet) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return all
}

// member is a Droplet as a member, but since when it is so; the caller has the lock.
func (p *droplets) member(d godo.Droplet) rules.Member {
	m := rules.Member{
		ID: rules.MemberID(strconv.Itoa(d.ID)), Name: d.Name, Addr: addrOf(d, p.cfg.Address, p.cfg.Port),
		Born: bornAt(d), Note: whereOf(d), Version: versionOf(d),
	}
	b, note := p.births[d.ID], ""
	switch e := p.endings[d.ID]; {
	case e != nil:
		m.State, note = rules.Leaving, e.note()
	case bears(d, leavingTag):
		m.State = rules.Leaving
	case isOff(d):
		m.State, note = rules.Dead, "turned off, not by Flyball"
	case d.Status == statusNew && b != nil && b.failed != "":
		m.State, note = rules.Dead, b.failed
	case d.Status == statusNew && !m.Born.IsZero() && p.now().Sub(m.Born) > p.spec.BootTimeout:
		m.State, note = rules.Dead, fmt.Sprintf("is new for longer than %s", p.spec.BootTimeout)
	case d.Status == statusActive:
		m.State = rules.Ready
	default:
		m.State = rules.Booting
	}
	if b != nil && m.Version == "" { // its tags come later
		m.Version = b.version
	}
	if d.ID == p.self() {
		m.Kept, m.Note = true, m.Note+", Flyball runs on it"
	}
	if note != "" {
		m.Note += ", " + note
	}
	return m
}

// sinceWhen is when a member came to be what it is; the caller has the lock.
func (p *droplets) sinceWhen(id int, m rules.Member) time.Time {
	was, seen := p.since[id]
	if seen && was.state == m.State {
		return was.at
	}
	at := p.now().UTC()
	switch e := p.endings[id]; {
	case m.State == rules.Leaving && e != nil:
		at = e.asked
	case !seen && (m.State == rules.Booting || m.State == rules.Ready) && !m.Born.IsZero():
		at = m.Born
	}
	p.since[id] = stateSince{m.State, at}
	return at
}

// duplicate makes the younger of two members of one name one that leaves: it is not
// capacity, and the loop asks for its end again, and so removes it. The caller has
// the lock.
func (p *droplets) duplicate(id int, m *rules.Member, elder rules.Member) {
	m.State = rules.Leaving
	m.Note += fmt.Sprintf(", made twice: %s is droplet %s, and this one is removed", m.Name, elder.ID)
	if p.since[id].state != rules.Leaving {
		p.log.Warn("a member was made twice; the younger is removed", "member", m.Name, "elder", elder.ID, "younger", m.ID)
	}
}
