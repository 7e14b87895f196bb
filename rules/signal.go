package rules

import (
	"math"
	"slices"
	"time"
)

// mostSize caps what arithmetic on readings may want: an infinite reading wants
// as many as the limits allow, not an overflow.
const mostSize = 1_000_000

// hear judges one signal: what it read, from how much of the pool, and what size
// it wants.
func (j *judgement) hear(s Signal, a Answer) Judged {
	h := heard{s: s, a: a, now: j.now, c: j.c, n: j.n, stale: j.r.Missing.Stale}
	if s.Stale > 0 {
		h.stale = s.Stale
	}
	h.listen(j.in.Up, j.r.Missing.Stale)
	out := Judged{
		Name: s.Name, Rule: s.Rule, Unit: s.Unit, Age: h.age(), Coverage: h.coverage(), Wants: j.n,
	}
	out.Reason, out.Because = h.wrong(j.r.Missing.Coverage)
	out.Unlabelled = out.Reason == LowCoverage && h.unlabelled()
	if out.Reason == MissingData || out.Reason == StaleData {
		return out
	}
	if h.idle() {
		if out.Reason == "" {
			out.Reason, out.Because = Idle, "fresh, and not a number: nothing to measure"
		}
		return out
	}
	if v := h.value(); !math.IsInf(v, 0) && !math.IsNaN(v) {
		out.Value = &v
	}
	if s.Band != nil {
		j.hearBand(s, h, &out)
	} else {
		hearLoad(h, &out)
	}
	return out
}

// heard is one signal's reading set against the pool's members.
type heard struct {
	s     Signal
	a     Answer
	now   time.Time
	c     census
	n     int
	stale time.Duration

	points map[string]float64 // fresh points by member; "" is one for the whole pool
	who    map[string]bool    // members with fresh raw samples
}

// listen sorts out what is fresh, and who was heard. A pool-wide value says
// nothing of its members: there their `up` tells, which is scraped and so goes
// stale as all that is scraped does.
func (h *heard) listen(up *Reading, scraped time.Duration) {
	r := h.a.Reading
	seen, stale := r.Seen, h.stale
	h.points, h.who = map[string]float64{}, map[string]bool{}
	if h.s.Scope == WholePool {
		seen, stale = nil, scraped
		if up != nil {
			seen = up.Seen
			for _, p := range up.Points {
				if p.Value == 0 {
					seen = without(seen, p.Member)
				}
			}
		}
	}
	for member, at := range seen {
		h.who[member] = h.within(at, stale)
	}
	for _, p := range r.Points {
		if p.Member == "" && h.fresh(r.Newest) || p.Member != "" && h.fresh(r.Seen[p.Member]) {
			h.points[p.Member] = p.Value
		}
	}
	if _, whole := h.points[""]; !whole {
		for member := range h.who {
			if _, ok := h.points[member]; !ok {
				h.who[member] = false
			}
		}
	}
}

// without is a map less one key.
func without(m map[string]time.Time, key string) map[string]time.Time {
	out := make(map[string]time.Time, len(m))
	for k, v := range m {
		if k != key {
			out[k] = v
		}
	}
	return out
}

func (h *heard) fresh(at time.Time) bool { return h.within(at, h.stale) }

// within reports whether a sample is no older than an age.
func (h *heard) within(at time.Time, age time.Duration) bool {
	return !at.IsZero() && h.now.Sub(at) <= age
}

// age is that of the newest raw sample.
func (h *heard) age() string {
	if h.a.Reading.Newest.IsZero() {
		return ""
	}
	return round(h.now.Sub(h.a.Reading.Newest))
}

// expected are the ready members that should have been heard: a young one only
// if it was.
func (h *heard) expected() (all, silent int) {
	for _, m := range h.c.warm {
		all++
		if !h.who[m.Name] {
			silent++
		}
	}
	for _, m := range h.c.young {
		if h.who[m.Name] {
			all++
		}
	}
	return all, silent
}

// coverage is the share of the expected members that were heard.
func (h *heard) coverage() float64 {
	all, silent := h.expected()
	if all == 0 {
		return 0
	}
	return float64(all-silent) / float64(all)
}

// wrong names what is the matter with the reading; "" if nothing is.
func (h *heard) wrong(bar float64) (Reason, string) {
	all, silent := h.expected()
	switch {
	case h.a.Err != "" && len(h.a.Reading.Seen) == 0:
		return MissingData, h.a.Err
	case len(h.points) == 0 && h.stalled():
		return StaleData, "the newest sample is " + h.age() + " old, more than " + round(h.stale)
	case h.a.Err != "":
		return MissingData, h.a.Err
	case len(h.points) == 0:
		return MissingData, "no fresh answer"
	case h.a.Reading.Partial != "":
		return LowCoverage, h.a.Reading.Partial
	case h.unlabelled():
		return LowCoverage, "the answer has no label member: write `scope: pool` if it is one value for the whole pool"
	case all == 0 && h.s.Scope == PerMember && len(h.c.warm)+len(h.c.young) > 0:
		return LowCoverage, "no ready member was heard of: does the query read series with the labels pool and member?"
	case all == 0 && h.s.Band != nil && h.n > 0:
		return LowCoverage, "no member is ready: a band says nothing of those that are not"
	case h.coverage() < bar && all > 0:
		return LowCoverage, itoa(all-silent) + " of " + itoa(all) + " members heard of, " + num(bar*100) + "% wanted"
	}
	return "", ""
}

// unlabelled reports whether a whole answer that is to be of the ready members has
// none of their names, not even on the raw samples.
func (h *heard) unlabelled() bool {
	_, whole := h.whole()
	for member := range h.a.Reading.Seen {
		whole = whole && member == ""
	}
	return whole && h.s.Scope == PerMember && h.a.Reading.Partial == "" && len(h.c.warm)+len(h.c.young) > 0
}

// stalled reports whether there are raw samples and none is fresh.
func (h *heard) stalled() bool {
	return !h.a.Reading.Newest.IsZero() && !h.fresh(h.a.Reading.Newest)
}

// idle reports whether every fresh point is NaN.
func (h *heard) idle() bool {
	for _, v := range h.points {
		if !math.IsNaN(v) {
			return false
		}
	}
	return true
}

// of returns a member's fresh number.
func (h *heard) of(m Member) (float64, bool) {
	v, ok := h.points[m.Name]
	return v, ok && !math.IsNaN(v)
}

// whole returns the one value of an answer without the label member.
func (h *heard) whole() (float64, bool) {
	v, ok := h.points[""]
	return v, ok
}

// value is what people are shown: the pool's value, the sum where members share a
// load, else the mean.
func (h *heard) value() float64 {
	if v, ok := h.whole(); ok {
		return v
	}
	if h.s.Band != nil {
		return h.bandMean()
	}
	sum, count := h.sum(slices.Concat(h.c.warm, h.c.young, h.c.unhealthy, h.c.draining))
	if h.s.Share > 0 || count == 0 {
		return sum
	}
	return sum / float64(count)
}

// sum adds up the members' numbers.
func (h *heard) sum(ms []Member) (sum float64, count int) {
	for _, m := range ms {
		if v, ok := h.of(m); ok {
			sum += v
			count++
		}
	}
	return sum, count
}
