package cassandra

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flyball/collector/exporter"
)

// goneAfter is how long a node that neither answers nor is listed by any other
// counts as one that is down, and not as one that has left.
const goneAfter = 5 * time.Minute

// A Ring watches the nodes of a ring, each by itself: one that hangs delays no
// other, and all have told within the timeout. It is safe for concurrent use.
type Ring struct {
	config Config
	log    *slog.Logger
	now    func() time.Time
	lookup func(ctx context.Context, name string) ([]string, error) // addresses of a name

	mu     sync.Mutex
	nodes  map[string]*node // by host:port
	spread map[string]bool  // names that had several addresses
	closed bool

	closing sync.WaitGroup // nodes that were let go
}

// Within is the ring for one scrape, until ctx ends or the timeout has passed.
func (r *Ring) Within(ctx context.Context) prometheus.Collector { return scrape{r, ctx} }

type scrape struct {
	ring *Ring
	ctx  context.Context
}

// Describe describes nothing: which metrics there are depends on the nodes.
func (scrape) Describe(chan<- *prometheus.Desc) {}

// Collect reads all nodes at once: those that are known, and those that are found
// on the way.
func (s scrape) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(s.ctx, s.ring.config.Timeout)
	defer cancel()
	r := &round{ring: s.ring, ctx: ctx, out: out, begun: map[*node]bool{}}
	r.read(s.ring.known()...)
	for _, host := range s.ring.config.Hosts {
		r.running.Go(func() { r.read(s.ring.contact(ctx, host)...) })
	}
	r.running.Wait()
	s.ring.forget()
}

// A round is one scrape that is under way.
type round struct {
	ring    *Ring
	ctx     context.Context
	out     chan<- prometheus.Metric
	running sync.WaitGroup

	mu    sync.Mutex
	begun map[*node]bool
}

// read begins to read nodes; each is read once.
func (r *round) read(nodes ...*node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range nodes {
		if !r.begun[n] {
			r.begun[n] = true
			r.running.Go(func() { r.node(n) })
		}
	}
}

func (r *round) node(n *node) {
	v := n.visit(r.ctx, r.ring.now())
	if v.err == nil {
		if !r.ring.claim(n) {
			return
		}
		r.read(r.ring.meet(n, v.view)...)
	}
	if !n.elsewhere() {
		n.tells().Within(v.within(r.ctx)).Collect(r.out)
	}
}

// known are the nodes that earlier scrapes found.
func (r *Ring) known() []*node {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*node, 0, len(r.nodes))
	for _, n := range r.nodes {
		out = append(out, n)
	}
	return out
}

// forget lets nodes go that have left the ring: no other lists them any more.
func (r *Ring) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.nodes {
		if who := n.who(); !who.contact && !who.up && r.now().Sub(who.listed) > goneAfter {
			r.log.Info("node has left the ring", "node", n.label)
			r.remove(n)
		}
	}
}

// Close closes the links with all nodes, once nobody opens one.
func (r *Ring) Close() error {
	r.mu.Lock()
	r.closed = true
	for _, n := range r.nodes {
		r.remove(n)
	}
	r.mu.Unlock()
	r.closing.Wait()
	return nil
}

// Status tells how each node did at its last scrape, by the label node.
func (r *Ring) Status() map[string]exporter.Status {
	out := map[string]exporter.Status{}
	for _, n := range r.known() {
		out[n.label] = n.tells().Status()
	}
	return out
}
