package emulate

import "time"

// A window is a limit of so many in so long, each of which counts for that long.
type window struct {
	most  int
	per   time.Duration
	taken []time.Time
}

// left is how many may still come now.
func (l *window) left(now time.Time) int {
	for len(l.taken) > 0 && !l.taken[0].Add(l.per).After(now) {
		l.taken = l.taken[1:]
	}
	return l.most - len(l.taken)
}

// take counts one.
func (l *window) take(now time.Time) { l.taken = append(l.taken, now) }

// next is when the oldest one counts no more.
func (l *window) next(now time.Time) time.Time {
	if len(l.taken) == 0 {
		return now
	}
	return l.taken[0].Add(l.per)
}
