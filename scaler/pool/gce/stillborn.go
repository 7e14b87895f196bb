package gce

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"flyball/rules"
	"flyball/scaler"
)

// A member whose operation failed counts as dead until it is removed, or for so long;
// then it is listed as leaving for a while, so that nobody misses it, and no more.
const (
	stillbornFor = 15 * time.Minute
	leavesFor    = 2 * time.Minute
)

// untoldFor is how long a growth that failed after its step is told by the next.
const untoldFor = 5 * time.Minute

// A stillborn is a member that was asked for by an operation which failed when its
// step was over. The group knows nothing of it.
type stillborn struct {
	since time.Time
	why   error
}

// An untold failure is one of growth, found by a look.
type untold struct {
	at  time.Time
	err error
}

// miscarry notes that members do not come: they are listed as dead, so that the rules
// replace them under their limits, and do not count them as coming. The next growth
// is told why; want of capacity has the first word. p.mu is held.
func (p *Pool) miscarry(names []string, why error) {
	now := p.now()
	for _, name := range names {
		p.stillborn[name] = stillborn{now, why}
	}
	if !errors.Is(p.failed.err, scaler.ErrNoCapacity) || now.Sub(p.failed.at) >= untoldFor {
		p.failed = untold{now, why}
	}
}

// confess is a failure that no growth was told of yet, once.
func (p *Pool) confess() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.failed
	p.failed = untold{}
	if f.err == nil || p.now().Sub(f.at) >= untoldFor {
		return nil
	}
	return fmt.Errorf("make what was asked for before: %w", f.err)
}

// unborn are the stillborn as members, and those that are no more are forgotten. p.mu
// is held.
func (p *Pool) unborn() (out []rules.Member) {
	now := p.now()
	for name, s := range p.stillborn {
		m := rules.Member{ID: rules.MemberID(nameless + name), Name: name, State: rules.Dead, Since: s.since, Born: s.since, Note: "not made: " + s.why.Error()}
		switch age := now.Sub(s.since); {
		case age >= stillbornFor+leavesFor:
			delete(p.stillborn, name)
			continue
		case age >= stillbornFor:
			m.State, m.Since = rules.Leaving, s.since.Add(stillbornFor)
		}
		out = append(out, m)
	}
	return out
}

// bury forgets the stillborn among victims.
func (p *Pool) bury(victims []rules.MemberID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name := range p.stillborn {
		if slices.Contains(victims, rules.MemberID(nameless+name)) {
			delete(p.stillborn, name)
		}
	}
}
