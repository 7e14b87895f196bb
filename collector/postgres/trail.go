package postgres

import (
	"slices"
	"time"
)

// mostMarks bounds a trail: over an hour of scrapes every 15 s.
const mostMarks = 256

// unbounded is a lag of which nothing is known but that it is there.
const unbounded = time.Duration(1<<63 - 1)

// A trail remembers where in the WAL the end was at each scrape. With it, a
// position says how old what comes after it is, and no clock but ours is asked.
type trail struct {
	marks []mark // by position, and so by time
}

// A mark is a position at which the end was from first to last.
type mark struct {
	lsn         float64
	first, last time.Time
}

// note remembers that the end is at lsn now. An end that is before what was seen
// belongs to another history: the trail begins anew.
func (t *trail) note(lsn float64, now time.Time) {
	if n := len(t.marks); n > 0 {
		last := &t.marks[n-1]
		switch {
		case lsn == last.lsn:
			last.last = now
			return
		case lsn < last.lsn:
			t.marks = nil
		}
	}
	if len(t.marks) == mostMarks { // every second one gives the same answers, less exactly
		for i := range mostMarks / 2 {
			t.marks[i] = t.marks[2*i+1]
		}
		t.marks = t.marks[:mostMarks/2]
	}
	t.marks = append(t.marks, mark{lsn, now, now})
}

// behind says between what bounds the age of the oldest WAL after lsn is; none is
// older than 0, and unbounded is what was not seen being written.
func (t *trail) behind(lsn float64, now time.Time) (least, most time.Duration) {
	after, _ := slices.BinarySearchFunc(t.marks, lsn, func(m mark, lsn float64) int {
		if m.lsn <= lsn {
			return -1
		}
		return 1
	})
	most = unbounded
	if after < len(t.marks) {
		least = now.Sub(t.marks[after].first)
	}
	if after > 0 {
		most = now.Sub(t.marks[after-1].last)
	}
	return least, most
}
