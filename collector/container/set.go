package container

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"
)

// A set is the containers that are known. It is safe for concurrent use.
type set struct {
	changed chan struct{} // holds one: something changed since it was last taken

	mu    sync.Mutex
	known map[string]Container // by id
	kills map[string]*kills    // by id
	live  bool                 // events keep it
}

func newSet() *set {
	return &set{changed: make(chan struct{}, 1), known: map[string]Container{}, kills: map[string]*kills{}}
}

// put takes a container in, and reports whether it was not known before.
func (s *set) put(c Container) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.killsOf(c.ID).inspected(c)
	old, ok := s.known[c.ID]
	if !ok || !reflect.DeepEqual(old, c) {
		s.known[c.ID] = c
		s.poke()
	}
	return !ok
}

func (s *set) drop(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kills, id)
	if _, ok := s.known[id]; ok {
		delete(s.known, id)
		s.poke()
	}
}

// keep drops all but some.
func (s *set) keep(ids map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.known)
	maps.DeleteFunc(s.known, func(id string, _ Container) bool { return !ids[id] })
	maps.DeleteFunc(s.kills, func(id string, _ *kills) bool { return !ids[id] })
	if len(s.known) != before {
		s.poke()
	}
}

func (s *set) poke() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// setLive says whether events keep the set from now on. What happened while they
// did not is lost.
func (s *set) setLive(live bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = live
	for id, k := range s.kills {
		k.lost(s.known[id].Started)
	}
}

func (s *set) isLive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live
}

func (s *set) get(id string) (Container, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.known[id]
	return c, ok
}

// all are the containers by name, and by id where one is used twice.
func (s *set) all() []Container {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.known), func(a, b Container) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
}

// happened notes what happened to a container, as far as it is counted.
func (s *set) happened(id, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch what {
	case "oom":
		s.killsOf(id).oom()
	case "start":
		s.killsOf(id).start()
	}
}

// oomKills is how often the kernel killed something in a container for want of memory.
func (s *set) oomKills(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.kills[id]; k != nil {
		return k.total
	}
	return 0
}

func (s *set) killsOf(id string) *kills {
	k := s.kills[id]
	if k == nil {
		k = &kills{}
		s.kills[id] = k
	}
	return k
}

// kills counts how often a container ran out of memory. Docker tells of each time
// by an event, and after a container's end whether it was the cause; podman only
// the latter. So one that both tell of counts once, in either order.
type kills struct {
	total   int
	inRun   int       // events since the container's last start
	counted time.Time // start of the run that was counted for its end
	early   bool      // its event is still to come
}

func (k *kills) start() { k.inRun, k.early = 0, false }

func (k *kills) oom() {
	k.inRun++
	if k.early {
		k.early = false
		return
	}
	k.total++
}

func (k *kills) inspected(c Container) {
	if c.OOMKilled && k.inRun == 0 && !k.counted.Equal(c.Started) {
		k.total++
		k.counted, k.early = c.Started, true
	}
}

// lost says that events may have been lost since; the last known run began at started.
func (k *kills) lost(started time.Time) {
	if k.inRun > 0 {
		k.counted = started
	}
	k.start()
}
