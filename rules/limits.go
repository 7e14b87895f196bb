package rules

import (
	"math"
	"slices"
	"time"
)

// mostWishes bounds how many wishes a window remembers. Beyond it neighbours are
// merged to the cautious side.
const mostWishes = 16

// stabilise takes the most cautious wish of each direction's window: the largest
// of the in window holds the size up, the smallest of the out window holds it
// down, and the present size stays if it lies between. (Taking the largest of all
// made the HPA scale out while scaling in: kubernetes #96671, #98174.)
func (j *judgement) stabilise() {
	w := Wish{j.now, j.wish}
	j.m.Highs = raise(within(j.m.Highs, j.now, j.r.In.Window), w)
	j.m.Lows = lower(within(j.m.Lows, j.now, j.r.Out.Window), w)
	high, low := j.m.Highs[0].Size, j.m.Lows[0].Size
	switch {
	case j.n < low:
		j.limit(Stabilising, low, "out window "+round(j.r.Out.Window))
	case j.n > high:
		j.limit(Stabilising, high, "in window "+round(j.r.In.Window))
	default:
		j.limit(Stabilising, j.n, j.window(high))
	}
}

// window tells which window kept the size, and until when.
func (j *judgement) window(high int) string {
	if j.wish < j.n {
		return "wanted " + itoa(high) + " " + round(j.now.Sub(j.m.Highs[0].At)) + " ago, window " + round(j.r.In.Window)
	}
	return "out window " + round(j.r.Out.Window)
}

// raise adds a wish to those that the largest of a window is found by: earlier
// wishes that are not larger can never again be the largest.
func raise(ws []Wish, w Wish) []Wish {
	for len(ws) > 0 && ws[len(ws)-1].Size <= w.Size {
		ws = ws[:len(ws)-1]
	}
	return merge(append(ws, w))
}

// lower is raise for the smallest.
func lower(ws []Wish, w Wish) []Wish {
	for len(ws) > 0 && ws[len(ws)-1].Size >= w.Size {
		ws = ws[:len(ws)-1]
	}
	return merge(append(ws, w))
}

// merge makes one of the two neighbours that differ least while there are too
// many: the older one's size, which is the cautious one, for as long as the newer.
func merge(ws []Wish) []Wish {
	for len(ws) > mostWishes {
		at, least := 0, math.MaxInt
		for i := range len(ws) - 1 {
			if d := ws[i].Size - ws[i+1].Size; max(d, -d) < least {
				at, least = i, max(d, -d)
			}
		}
		ws[at].At = ws[at+1].At
		ws = slices.Delete(ws, at+1, at+2)
	}
	return ws
}

// within drops the wishes older than a window.
func within(ws []Wish, now time.Time, window time.Duration) []Wish {
	return slices.DeleteFunc(ws, func(w Wish) bool { return now.Sub(w.At) >= window })
}

// bound applies ceiling and floor; the floor has the last word.
func (j *judgement) bound() {
	top, name := j.r.Max, AtMax
	if most := j.in.Terms.Most; most > 0 && most < top {
		top, name = most, Quota
	}
	if j.wish > top {
		j.limit(name, top, "at most "+itoa(top))
	}
	if j.wish < j.floor {
		name = AtMin
		if j.floor > j.r.Min {
			name = Manual
		}
		j.limit(name, j.floor, "at least "+itoa(j.floor))
	}
	if kept := j.c.kept(); j.wish < kept {
		j.limit(AtMin, kept, itoa(kept)+" members are never ended")
	}
}

// limitRate lets only so many come or go within a period. What the floor asks
// for comes at once, and the dead of a pool that is to shrink go at once: to replace
// them, only to end others later, helps nobody.
func (j *judgement) limitRate() {
	switch {
	case j.wish > j.n:
		start := j.n - j.changed(j.r.Out.Limit.Every, 1)
		most := start + largest(j.r.Out.Limit.LargerOf, start, math.Ceil)
		j.limit(RateLimited, max(min(j.wish, most), min(j.floor, j.wish), j.n), pace(j.r.Out.Limit))
	case j.wish < j.n:
		start := j.n + j.changed(j.r.In.Limit.Every, -1)
		least := min(start-largest(j.r.In.Limit.LargerOf, start, math.Floor), j.n-len(j.replaceable(j.c.dead))-j.c.owed)
		j.limit(RateLimited, min(max(j.wish, least), j.n), pace(j.r.In.Limit))
	}
}

// changed is how many members came (sign 1) or went (-1) within the period. What
// came does not make room for more to go, as it does in the HPA.
func (j *judgement) changed(every time.Duration, sign int) int {
	sum := 0
	for _, r := range j.m.Resizes {
		if j.now.Sub(r.At) < every {
			sum += max(0, sign*r.By)
		}
	}
	return sum
}

// largest is the largest of the amounts, for a pool of n members.
func largest(as []Amount, n int, whole func(float64) float64) int {
	most := 0
	for _, a := range as {
		most = max(most, a.Members, int(whole(math.Round(float64(n)*a.Percent*1e6)/1e8)))
	}
	return most
}

// pace shows a limit.
func pace(l Limit) string {
	s := ""
	for i, a := range l.LargerOf {
		if i > 0 {
			s += " or "
		}
		s += a.String()
	}
	return s + " every " + round(l.Every)
}

// String shows an amount as rule files write it: 4 or 25%.
func (a Amount) String() string {
	if a.Percent > 0 {
		return num(a.Percent) + "%"
	}
	return itoa(a.Members)
}
