package cluster

import (
	"context"
	"sync"
)

// lanes let deliveries of a lower lane go first.
type lanes struct {
	mu      sync.Mutex
	busy    [Samples + 1]int // deliveries that wait or are under way
	changed chan struct{}    // closed when one is over; nil if nobody waits
}

// enter says that a delivery waits or is under way, until leave.
func (l *lanes) enter(lane Lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy[lane]++
}

func (l *lanes) leave(lane Lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy[lane]--
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// pass waits until no lower lane is busy.
func (l *lanes) pass(ctx context.Context, lane Lane) error {
	for {
		changed := l.before(lane)
		if changed == nil {
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// before returns what is closed when the lanes before this one may be free; nil if
// they are.
func (l *lanes) before(lane Lane) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.busy[:lane] {
		if n == 0 {
			continue
		}
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		return l.changed
	}
	return nil
}
