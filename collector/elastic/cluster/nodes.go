package cluster

import (
	"errors"
	"net/url"
	"sync"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
)

const (
	leastRest = time.Second
	mostRest  = time.Minute
)

// nodes hand out a cluster's addresses in turn. One that did not answer rests for
// a second, and twice as long each further time, up to a minute; while all rest,
// the one whose rest ends first is tried all the same.
type nodes struct {
	now func() time.Time

	mu    sync.Mutex
	nodes []*node
	turn  int
}

type node struct {
	connection *elastictransport.Connection
	failures   int
	rests      time.Time // until then
}

func newNodes(cs []*elastictransport.Connection, now func() time.Time) *nodes {
	n := &nodes{now: now}
	for _, c := range cs {
		n.nodes = append(n.nodes, &node{connection: c})
	}
	return n
}

// ConcurrentSafe marks a pool that needs no lock around it.
func (n *nodes) ConcurrentSafe() {}

// Next returns whom to ask.
func (n *nodes) Next() (*elastictransport.Connection, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.nodes) == 0 {
		return nil, errors.New("there is no address")
	}
	var first *node
	now := n.now()
	for i := range n.nodes {
		c := n.nodes[(n.turn+i)%len(n.nodes)]
		if !c.rests.After(now) {
			n.turn = (n.turn + i + 1) % len(n.nodes)
			return c.connection, nil
		}
		if first == nil || c.rests.Before(first.rests) {
			first = c
		}
	}
	return first.connection, nil
}

// OnSuccess ends a node's rest.
func (n *nodes) OnSuccess(c *elastictransport.Connection) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if k := n.of(c); k != nil {
		k.failures, k.rests = 0, time.Time{}
	}
	return nil
}

// OnFailure begins a node's rest.
func (n *nodes) OnFailure(c *elastictransport.Connection) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if k := n.of(c); k != nil {
		k.rests = n.now().Add(min(leastRest<<min(k.failures, 16), mostRest))
		k.failures++
	}
	return nil
}

// of returns the node of a connection. The caller holds the lock.
func (n *nodes) of(c *elastictransport.Connection) *node {
	for _, k := range n.nodes {
		if k.connection == c {
			return k
		}
	}
	return nil
}

// URLs returns all addresses.
func (n *nodes) URLs() []*url.URL {
	n.mu.Lock()
	defer n.mu.Unlock()
	us := make([]*url.URL, len(n.nodes))
	for i, c := range n.nodes {
		us[i] = c.connection.URL
	}
	return us
}
