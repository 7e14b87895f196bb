package digitalocean

import (
	"sync"
	"time"
)

// An offer is a size in a region.
type offer struct{ region, size string }

// An offer that was refused is left alone for so long at first, and twice as long
// each time that it is refused again, up to the most.
const (
	firstLeft = 5 * time.Minute
	mostLeft  = 30 * time.Minute
)

// shelf is what a pool can be made of, in order, without what was sold out. It is
// safe for concurrent use.
type shelf struct {
	all []offer

	mu    sync.Mutex
	empty map[offer]*lack
}

type lack struct {
	until time.Time
	left  time.Duration
}

// newShelf puts all sizes of a region before the next region.
func newShelf(d Droplets) *shelf {
	s := &shelf{empty: map[offer]*lack{}}
	for _, r := range d.Regions {
		for _, z := range d.Sizes {
			s.all = append(s.all, offer{r, z})
		}
	}
	return s
}

// offers are those to try, in order, and when the first of the others is tried again.
func (s *shelf) offers(now time.Time) ([]offer, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []offer
	var again time.Time
	for _, o := range s.all {
		l := s.empty[o]
		if l == nil || !now.Before(l.until) {
			out = append(out, o)
		} else if again.IsZero() || l.until.Before(again) {
			again = l.until
		}
	}
	return out, again
}

// refused remembers that an offer is not to be had. What is refused several times at
// once counts once.
func (s *shelf) refused(o offer, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.empty[o]
	switch {
	case l == nil:
		l = &lack{left: firstLeft}
		s.empty[o] = l
	case now.Before(l.until):
		return
	default:
		l.left = min(2*l.left, mostLeft)
	}
	l.until = now.Add(l.left)
}

// sold remembers that an offer was had.
func (s *shelf) sold(o offer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.empty, o)
}
