package rules

import (
	"slices"
	"time"
)

// census is a pool's members sorted by what they count for.
type census struct {
	warm, young []Member // ready for longer than the warm-up, and for less
	unhealthy   []Member
	booting     []Member
	draining    []Member
	dead        []Member
	leaving     []Member
	expected    int     // asked for and not listed
	owed        int     // to be replaced, and gone
	surge       *Member // of a roll, one more than wanted: nil is none. Ready, it is among the others, too
}

// Overlay returns the members with those draining that the memory knows to be
// out of rotation, whatever the provider calls them, unless they are dead or leaving.
func (m Memory) Overlay(members []Member) []Member {
	out := slices.Clone(members)
	for i, x := range out {
		if since, ok := m.DrainingSince(x.ID); ok && x.State != Dead && x.State != Leaving {
			out[i].State, out[i].Since = Draining, since
		}
	}
	return out
}

// take sorts the members.
func take(members []Member, m Memory, warmup time.Duration, now time.Time) census {
	c := census{expected: m.expected(), owed: m.Owed}
	c.surge = m.surging()
	if c.surge != nil {
		c.expected--
	}
	for _, x := range m.Overlay(members) {
		if m.IsSurge(x) {
			c.surge = &x
			if x.State != Ready {
				continue
			}
		}
		switch x.State {
		case Ready:
			if now.Sub(x.Since) < warmup {
				c.young = append(c.young, x)
			} else {
				c.warm = append(c.warm, x)
			}
		case Unhealthy:
			c.unhealthy = append(c.unhealthy, x)
		case Dead:
			if _, gone := m.DrainingSince(x.ID); gone { // it ended while it drained, or its replacement was asked for
				c.leaving = append(c.leaving, x)
			} else {
				c.dead = append(c.dead, x)
			}
		case Draining:
			c.draining = append(c.draining, x)
		case Leaving:
			c.leaving = append(c.leaving, x)
		default:
			c.booting = append(c.booting, x)
		}
	}
	return c
}

// size counts the members that are capacity, will be, or are to be replaced: what
// a wish is compared with. The one that a roll makes beyond the wish is not.
func (c census) size() int {
	n := len(c.warm) + len(c.young) + len(c.unhealthy) + len(c.dead) + c.owed + c.coming()
	if c.surge != nil && c.surge.State == Ready {
		n--
	}
	return n
}

// kept counts those of the size that are never ended.
func (c census) kept() int {
	n := 0
	for _, m := range slices.Concat(c.warm, c.young, c.unhealthy, c.dead, c.booting) {
		if m.Kept {
			n++
		}
	}
	return n
}

// extra is how many members there are, or will be, beyond the size.
func (c census) extra() int {
	if c.surge != nil {
		return 1
	}
	return 0
}

// coming counts capacity on its way, once.
func (c census) coming() int { return len(c.booting) + c.expected }

// count is the census as a decision shows it.
func (c census) count() Count {
	out := Count{
		Ready: len(c.warm) + len(c.young), Booting: c.coming(), Draining: len(c.draining),
		Unhealthy: len(c.unhealthy), Dead: len(c.dead) + c.owed, Leaving: len(c.leaving),
	}
	if c.surge == nil {
		return out
	}
	switch c.surge.State {
	case Booting:
		out.Booting++
	case Unhealthy:
		out.Unhealthy++
	case Dead:
		out.Dead++
	}
	return out
}

// correlated reports whether more than a third of the members, and at least two,
// turned unhealthy within one warm-up. Then it is not the members: it is what
// they share (the database, the network, the probe).
func (c census) correlated(warmup time.Duration) bool {
	since := make([]time.Time, len(c.unhealthy))
	for i, m := range c.unhealthy {
		since[i] = m.Since
	}
	slices.SortFunc(since, time.Time.Compare)
	most, first := 0, 0
	for last := range since {
		for since[last].Sub(since[first]) > warmup {
			first++
		}
		most = max(most, last-first+1)
	}
	alive := len(c.warm) + len(c.young) + len(c.unhealthy) + len(c.booting)
	return most >= 2 && 3*most > alive
}
