package digitalocean

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"flyball/rules"
)

// errDoubt means that it is not known whether a Droplet was made.
var errDoubt = errors.New("it is not known whether it was made")

// doubtTime is how long lists may lag: a name of which it is not known whether it was
// made is looked for until it is found, or is not found after that time.
const doubtTime = 40 * time.Second

// doubt is a name of which it is not known whether a Droplet of it was made. It is a
// member that boots, so that nobody asks for another one in its place, until it is
// found, or known never to have been made. Then it leaves, for one look, so that who
// compares lists does not take it for one that vanished.
type doubt struct {
	offer   offer
	version string
	since   time.Time
	asked   time.Time // when it was looked for last
	never   time.Time // when it was known that it was not made; zero: it is not known
	told    bool      // and was listed so
	why     string    // it was not
}

// doubt remembers names of which it is not known whether they were made.
func (m making) doubt(names []string, o offer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range names {
		m.doubts[n] = &doubt{offer: o, version: m.version, since: m.now().UTC()}
	}
}

// resolve looks for those that lists should have by now. The caller has the turn.
func (p *droplets) resolve(ctx context.Context) {
	_ = each(p.unresolved(), func(name string) error { // said in the log; the next look asks again
		if _, err := p.find(ctx, name); err != nil && !errors.Is(err, ErrTaken) && !errors.Is(err, ErrEnded) {
			p.log.Warn("it is not known yet whether a Droplet was made", "member", name, "err", err)
		}
		return nil
	})
}

// unresolved forgets the doubts that are over and told, and picks those to ask about.
func (p *droplets) unresolved() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var due []string
	now := p.now()
	for name, x := range p.doubts {
		switch {
		case x.told:
			delete(p.doubts, name)
		case x.never.IsZero() && now.Sub(x.since) >= doubtTime && now.Sub(x.asked) >= birthPause:
			due = append(due, name)
		}
	}
	slices.Sort(due)
	due = due[:min(len(due), chunk)]
	for _, name := range due {
		p.doubts[name].asked = now
	}
	return due
}

// claim takes a Droplet for the member that was in doubt; the caller has the lock.
func (p *droplets) claim(d godo.Droplet) {
	b := &birth{Droplet: d, made: p.now(), offer: p.shelf.all[0]}
	if x := p.doubts[d.Name]; x != nil {
		b.offer, b.version = x.offer, x.version
	}
	p.births[d.ID] = b
	delete(p.doubts, d.Name)
	p.log.Info("member was made before, and is found again", "member", d.Name, "droplet", d.ID)
}

// refute has a Droplet that was accepted and is not to be found leave, unless there is
// another one of its name; the caller has the lock.
func (p *droplets) refute(b *birth) {
	for _, other := range p.births {
		if other.Name == b.Name {
			return
		}
	}
	for _, other := range p.seen {
		if other.Name == b.Name {
			return
		}
	}
	now := p.now().UTC()
	p.doubts[b.Name] = &doubt{offer: b.offer, version: b.version, since: b.made.UTC(), never: now, why: "accepted, and never made"}
}

// inDoubt counts the names that may have been made; the caller has the lock.
func (p *droplets) inDoubt() int {
	n := 0
	for _, x := range p.doubts {
		if x.never.IsZero() {
			n++
		}
	}
	return n
}

// withDoubts adds the names that are in doubt to members, as those that boot, and
// those that were never made as those that leave. They have no Droplet's number, and
// are known by their names. The caller has the lock.
func (p *droplets) withDoubts(ms []rules.Member) []rules.Member {
	for name, x := range p.doubts {
		m := rules.Member{
			ID: rules.MemberID(name), Name: name, State: rules.Booting, Since: x.since, Born: x.since, Version: x.version,
			Note: "asked for without an answer: it is not known whether it was made",
		}
		if !x.never.IsZero() {
			m.State, m.Since, m.Note = rules.Leaving, x.never, x.why
			x.told = true
		}
		ms = append(ms, m)
	}
	slices.SortStableFunc(ms, func(a, b rules.Member) int { return strings.Compare(a.Name, b.Name) })
	return ms
}
