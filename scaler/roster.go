package scaler

import (
	"maps"
	"slices"
	"sync"

	"flyball/rules"
)

// Roster is who is in the pools now. The loop writes it; discovery and the pages
// read it. It is safe for concurrent use.
type Roster struct {
	mu      sync.Mutex
	members map[string][]rules.Member
	changed chan struct{}
}

// NewRoster returns an empty roster.
func NewRoster() *Roster {
	return &Roster{members: map[string][]rules.Member{}, changed: make(chan struct{})}
}

// Members returns the members of every pool, draining and dead ones included.
// The slices are shared and must not be written to.
func (r *Roster) Members() map[string][]rules.Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.members)
}

// Names are those of a pool's members; nil if the pool was not looked at yet.
func (r *Roster) Names(pool string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	ms, known := r.members[pool]
	if !known {
		return nil
	}
	names := make([]string, len(ms))
	for i, m := range ms {
		names[i] = m.Name
	}
	return names
}

// Changed is closed at the next change of who is a member, and where.
func (r *Roster) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// Set replaces a pool's members, and tells of it if one came, went or moved.
func (r *Roster) Set(pool string, ms []rules.Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	same := slices.EqualFunc(r.members[pool], ms, func(a, b rules.Member) bool {
		return a.ID == b.ID && a.Name == b.Name && a.Addr == b.Addr && (a.State == rules.Dead) == (b.State == rules.Dead)
	})
	r.members[pool] = ms
	if !same {
		close(r.changed)
		r.changed = make(chan struct{})
	}
}

// Keep forgets the pools that are not named.
func (r *Roster) Keep(pools []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.members, func(p string, _ []rules.Member) bool { return !slices.Contains(pools, p) })
	close(r.changed)
	r.changed = make(chan struct{})
}
