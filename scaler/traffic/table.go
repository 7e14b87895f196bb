package traffic

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"flyball/rules"
)

// How long a member that refuses connections is remembered. One that is
// withdrawn was ended; one in rotation may come back by itself.
const (
	forgetWithdrawn = time.Minute
	forgetAdmitted  = time.Hour
)

// slowProbes is how many checks in a row may time out before a member counts as
// down: a busy member is slow, and taking it out makes the others slow too.
const slowProbes = 3

var (
	errQueueFull = errors.New("too many requests wait for a member")
	errNoMember  = errors.New("no member is ready")
)

// backend is a member as the balancer knows it. All but the first four
// is guarded by the table's lock.
type backend struct {
	id        rules.MemberID
	name      string
	addr      string
	transport *http.Transport // its own, so that a new member at the same address gets no old connection

	admitted bool
	up       bool
	open     int       // requests in progress
	turn     uint64    // when it was picked last; ties go to whoever waited longest
	slow     int       // checks in a row that timed out
	lost     time.Time // since when it refuses connections; zero while it does not
	probing  bool
}

// table is who may be sent requests. Picking a member and counting the request
// are one step under one lock, and so are withdrawing it and reading its count.
type table struct {
	mu       sync.Mutex
	check    Check
	backends []*backend // sorted by id
	former   []*backend // no longer known, with requests still open
	turn     uint64
	waiting  int
	queue    int           // the most requests that wait
	changed  chan struct{} // closed whenever a member may have become pickable
}

func newTable(check Check, queue int) *table {
	return &table{check: check.withDefaults(), queue: queue, changed: make(chan struct{})}
}

// acquire picks a member and counts a request on it. Where none is to be had it
// waits, in a bounded queue, until ctx ends.
func (t *table) acquire(ctx context.Context) (*backend, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b := t.pick(); b != nil {
		return b, nil
	}
	if t.waiting >= t.queue {
		return nil, errQueueFull
	}
	t.waiting++
	defer func() { t.waiting-- }()
	for {
		if !t.await(ctx) {
			return nil, errNoMember
		}
		if b := t.pick(); b != nil {
			return b, nil
		}
	}
}

// await gives the lock up until the table changes; false means that ctx ended first.
func (t *table) await(ctx context.Context) bool {
	changed := t.changed
	t.mu.Unlock()
	defer t.mu.Lock()
	select {
	case <-changed:
		return true
	case <-ctx.Done():
		return false
	}
}

func (t *table) pick() *backend {
	var best *backend
	for _, b := range t.backends {
		if !b.admitted || !b.up {
			continue
		}
		if best == nil || b.open < best.open || b.open == best.open && b.turn < best.turn {
			best = b
		}
	}
	if best != nil {
		t.turn++
		best.turn = t.turn
		best.open++
	}
	return best
}

// release ends a request that acquire counted.
func (t *table) release(b *backend) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b.open--
	if b.open == 0 {
		t.former = slices.DeleteFunc(t.former, func(f *backend) bool { return f == b })
	}
}

// refused marks a member that refused a connection as down at once.
func (t *table) refused(b *backend, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b.down(now)
}

func (b *backend) down(now time.Time) {
	b.up = false
	if b.lost.IsZero() {
		b.lost = now
	}
}

// change applies c. It reports whether anything became different.
func (t *table) change(c Change) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	different := false
	for _, m := range c.Withdraw {
		if t.find(m.ID) != nil || m.Addr != "" && !t.has(m.Addr) { // else nothing can be sent to it
			different = t.set(m, false) || different
		}
	}
	for _, m := range c.Admit {
		different = t.set(m, true) || different
	}
	t.tell()
	return different
}

// replace makes the table exactly tb.
func (t *table) replace(tb Table) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.check = tb.Check.withDefaults()
	t.keep(func(b *backend) bool {
		return slices.ContainsFunc(tb.Members, func(m Member) bool { return m.ID == b.id })
	})
	for _, m := range tb.Members {
		t.set(m, m.Admitted)
	}
	t.tell()
}

// recheck changes how members are checked; it reports whether that is new.
func (t *table) recheck(c Check) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	c = c.withDefaults()
	different := c != t.check
	t.check = c
	return different
}

// set puts one member in its place. A member that is new counts as up: whoever
// admits it has probed it, and if not, the first connection tells.
func (t *table) set(m Member, admitted bool) bool {
	b := t.find(m.ID)
	if b != nil && m.Addr != "" && b.addr != m.Addr {
		t.keep(func(o *backend) bool { return o != b })
		b = nil
	}
	if b == nil {
		// An address is one member's. Else a dead member's row would come to life
		// with its successor, and withdrawing the successor would not stop it.
		t.keep(func(o *backend) bool { return o.addr != m.Addr })
		b = &backend{id: m.ID, name: m.Name, addr: m.Addr, up: true, transport: newTransport()}
		t.backends = append(t.backends, b)
		slices.SortFunc(t.backends, func(a, b *backend) int { return strings.Compare(string(a.id), string(b.id)) })
	} else if b.admitted == admitted {
		return false
	}
	b.admitted = admitted
	if !admitted {
		b.transport.CloseIdleConnections()
	}
	return true
}

func (t *table) find(id rules.MemberID) *backend {
	i := slices.IndexFunc(t.backends, func(b *backend) bool { return b.id == id })
	if i < 0 {
		return nil
	}
	return t.backends[i]
}

// has reports whether an address is a member's.
func (t *table) has(addr string) bool {
	return slices.ContainsFunc(t.backends, func(b *backend) bool { return b.addr == addr })
}

// keep forgets the backends that ok denies; those with open requests stay in
// the counts until the last one ends.
func (t *table) keep(ok func(*backend) bool) bool {
	n := len(t.backends)
	t.backends = slices.DeleteFunc(t.backends, func(b *backend) bool {
		if ok(b) {
			return false
		}
		b.admitted = false
		b.transport.CloseIdleConnections()
		if b.open > 0 {
			t.former = append(t.former, b)
		}
		return true
	})
	return len(t.backends) != n
}

// tell wakes whoever waits for a member.
func (t *table) tell() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// table returns what must not be forgotten, and counts with it.
func (t *table) table() Table {
	t.mu.Lock()
	defer t.mu.Unlock()
	ms := make([]Member, 0, len(t.backends))
	for _, b := range t.backends {
		ms = append(ms, Member{ID: b.id, Name: b.name, Addr: b.addr, Admitted: b.admitted, Up: b.up, Open: b.open})
	}
	return Table{Check: t.check, Members: ms}
}

// openRequests counts requests in progress per member.
func (t *table) openRequests() map[rules.MemberID]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	open := make(map[rules.MemberID]int, len(t.backends))
	for _, b := range t.backends {
		open[b.id] += b.open
	}
	for _, b := range t.former {
		open[b.id] += b.open
	}
	return open
}

// queued counts the requests that wait for a member.
func (t *table) queued() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting
}
