package container

import (
	"maps"
	"slices"
	"sync"
)

// dirty are the containers that something happened to since they were last read.
// Each is there once, however much happened to it. It is safe for concurrent use.
type dirty struct {
	some chan struct{} // holds one: there are some

	mu     sync.Mutex
	ids    map[string]bool
	later  map[string]bool // could not be read, and wait for another try
	health bool            // the engine tells of changes of health
}

func newDirty() *dirty {
	return &dirty{some: make(chan struct{}, 1), ids: map[string]bool{}, later: map[string]bool{}}
}

func (d *dirty) add(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ids[id] = true
	d.poke()
}

func (d *dirty) poke() {
	select {
	case d.some <- struct{}{}:
	default:
	}
}

func (d *dirty) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := slices.Collect(maps.Keys(d.ids))
	clear(d.ids)
	return ids
}

func (d *dirty) addLater(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.later[id] = true
}

// retry has those read that could not be.
func (d *dirty) retry() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.later) == 0 {
		return
	}
	maps.Copy(d.ids, d.later)
	clear(d.later)
	d.poke()
}

func (d *dirty) healthTold() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.health = true
}

// tellsHealth reports whether the engine ever told of a change of health; podman
// 4.3 does not.
func (d *dirty) tellsHealth() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.health
}
