package store

import (
	"math"
	"sync"
	"time"
)

// A tide line parts what has been read by a follower of the store from what has
// not: whoever writes below it says so first. Writers never wait for one another
// here, nor for whoever moves the line.
type tide struct {
	mu  sync.Mutex // held for moments only
	now *line
}

// A line stands until the next one is drawn.
type line struct {
	until   int64 // ms
	late    func(from, to time.Time)
	writing int           // commits under way that know of this line
	left    chan struct{} // closed once there are none any more and the next line is drawn
}

func newTide() *tide { return &tide{now: &line{until: math.MinInt64}} }

// move draws the next line, and returns once no commit is under way that does not
// know of it.
func (t *tide) move(until int64, late func(from, to time.Time)) {
	t.mu.Lock()
	before := t.now
	t.now = &line{until: until, late: late}
	before.left = make(chan struct{})
	if before.writing == 0 {
		close(before.left)
	}
	t.mu.Unlock()
	<-before.left
}

// commit runs a commit of samples in a span, after their lateness has been told.
func (t *tide) commit(s span, do func() error) error {
	t.mu.Lock()
	l := t.now
	l.writing++
	t.mu.Unlock()
	defer t.leave(l)
	if s.some && s.least < l.until {
		l.late(time.UnixMilli(s.least), time.UnixMilli(min(s.most, l.until-1)+1))
	}
	return do()
}

func (t *tide) leave(l *line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.writing--; l.writing == 0 && l.left != nil {
		close(l.left)
	}
}

// A span is from the least to the most of times, in milliseconds.
type span struct {
	some        bool
	least, most int64
}

// add widens a span by a time.
func (s *span) add(t int64) {
	if !s.some {
		*s = span{true, t, t}
		return
	}
	s.least, s.most = min(s.least, t), max(s.most, t)
}

// Settle draws a line below which all is said to be known. From its return on,
// whoever commits a sample before until first calls late with the span of such
// samples, from inclusive, to exclusive, and waits for it; and no commit is under
// way that did not. A later line replaces it. late is called by several at once.
func (s *Store) Settle(until time.Time, late func(from, to time.Time)) {
	s.tide.move(until.UnixMilli(), late)
}
