package cassandra

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gocql/gocql"
)

// silence is how long a node may say nothing at all while it is asked. A long pause of
// its garbage collector is that long; one statement may take longer, but meanwhile the
// node answers others, or the driver's heartbeat.
const silence = 500 * time.Millisecond

// attention is a host policy that asks nodes last that have been asked and say nothing.
// Cassandra's own failure detector takes some ten seconds to find a node that hangs,
// and its connections stay open. A node that says anything is asked as before.
//
// It is also ready with the first node, so that one that hangs delays no start.
type attention struct {
	gocql.HostSelectionPolicy
	up atomic.Bool

	mu    sync.Mutex
	asked map[string]time.Time // by host ID: the first question since the node last said something
}

func newAttention(p gocql.HostSelectionPolicy) *attention {
	return &attention{HostSelectionPolicy: p, asked: map[string]time.Time{}}
}

// Ready reports whether there is a node.
func (a *attention) Ready() bool { return a.up.Load() }

// HostUp hears of a node that is connected.
func (a *attention) HostUp(h *gocql.HostInfo) {
	a.HostSelectionPolicy.HostUp(h)
	a.up.Store(true)
}

// RemoveHost forgets a node that left the ring.
func (a *attention) RemoveHost(h *gocql.HostInfo) {
	a.HostSelectionPolicy.RemoveHost(h)
	a.heard(h.HostID())
}

// Pick gives the nodes in the order of the policy below, but silent ones last.
func (a *attention) Pick(q gocql.ExecutableQuery) gocql.NextHost {
	next := a.HostSelectionPolicy.Pick(q)
	var silent []gocql.SelectedHost
	return func() gocql.SelectedHost {
		for h := next(); h != nil; h = next() {
			if a.asks(h.Info().HostID(), time.Now()) {
				return h
			}
			silent = append(silent, h)
		}
		if len(silent) == 0 {
			return nil
		}
		h := silent[0]
		silent = silent[1:]
		return h
	}
}

// asks notes that a node is asked now, unless it is silent.
func (a *attention) asks(host string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	since, asked := a.asked[host]
	if !asked {
		a.asked[host] = now
		return true
	}
	return now.Sub(since) <= silence
}

// heard notes that a node said something.
func (a *attention) heard(host string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.asked, host)
}

// ObserveFrameHeader hears every answer, those to heartbeats too.
func (a *attention) ObserveFrameHeader(_ context.Context, f gocql.ObservedFrameHeader) {
	a.heard(f.Host.HostID())
}
