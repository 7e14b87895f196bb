package cassandra

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flyball/collector/exporter"
)

var errClosed = errors.New("it is not watched any more")

// place is where a node stands.
type place struct{ dc, rack string }

// identity is what is known of a node.
type identity struct {
	hostID  string // "" is not known yet
	contact bool   // the configuration names it: it never goes
	up      bool   // at the last look
	listed  time.Time
}

// A node is one node of a ring: a link with it, and the exporter that tells of it.
// It is safe for concurrent use.
type node struct {
	label   string // shown as node
	address string // host:port
	port    int
	server  string // name in its certificate
	config  Config
	log     *slog.Logger
	turn    chan struct{} // holds one: whose turn it is to open or close the link
	link    *link         // nil: none; of whose turn it is
	closed  bool          // of whose turn it is

	mu       sync.Mutex
	identity identity
	place    place // so far as it is known
	exporter *exporter.Exporter
}

func newNode(s sighting, c Config, log *slog.Logger) *node {
	return &node{
		label: named(s.host, s.port, c.Port), address: s.address(), port: s.port, server: s.server,
		config: c, log: log, turn: make(chan struct{}, 1),
	}
}

// visit reaches the node and looks round.
func (n *node) visit(ctx context.Context, now time.Time) *visit {
	v := &visit{at: now, config: n.config}
	select {
	case n.turn <- struct{}{}:
		defer func() { <-n.turn }()
	case <-ctx.Done():
		v.err = fmt.Errorf("wait for another scrape of the same node: %w", ctx.Err())
		return v
	}
	v.view, v.err = n.look(ctx)
	v.link = n.link
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.identity.up = v.err == nil; n.identity.up {
		n.identity.hostID = v.view.self.hostID
		n.move(place{v.view.self.dc, v.view.self.rack})
	}
	return v
}

// look looks round from the node. A link that was good until now is opened anew
// at once: the node may have been restarted.
func (n *node) look(ctx context.Context) (view, error) {
	if n.closed {
		return view{}, errClosed
	}
	if n.link != nil {
		v, err := n.link.look(ctx)
		if err == nil || errors.Is(ctx.Err(), context.Canceled) {
			return v, err
		}
		n.drop()
		if ctx.Err() != nil {
			return view{}, err
		}
	}
	l, err := open(ctx, n.address, n.server, n.config)
	if err != nil {
		return view{}, err
	}
	n.link = l
	v, err := l.look(ctx)
	if err != nil {
		n.drop()
	}
	return v, err
}

// drop closes the link.
func (n *node) drop() {
	n.link.close()
	n.link = nil
}

// close closes the link for good, once nobody opens it.
func (n *node) close() {
	n.turn <- struct{}{}
	defer func() { <-n.turn }()
	n.closed = true
	if n.link != nil {
		n.drop()
	}
}

// seen notes that somebody named the node, and what they know of it. Its own word
// goes before theirs.
func (n *node) seen(s sighting, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.identity.listed = now
	n.identity.contact = n.identity.contact || s.contact
	if !n.identity.up && s.hostID != "" {
		n.identity.hostID = s.hostID
		n.move(s.place)
	}
}

// move notes where the node stands; what it tells bears that. The node is locked.
func (n *node) move(to place) {
	if n.place != to {
		n.place, n.exporter = to, nil
	}
}

func (n *node) who() identity {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.identity
}

// elsewhere reports whether the node is known to stand in a data centre that is
// not watched.
func (n *node) elsewhere() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.config.Datacenter != "" && n.place.dc != "" && n.place.dc != n.config.Datacenter
}

// tells is the exporter of the node where it stands.
func (n *node) tells() *exporter.Exporter {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.exporter == nil {
		n.exporter = exporter.New(exporter.Options{
			Kind: Kind, Labels: prometheus.Labels{"node": n.label, "dc": n.place.dc, "rack": n.place.rack},
			Timeout: n.config.Timeout, Parts: Parts(), Logger: n.log,
			Reach: func(ctx context.Context) error { return visited(ctx).err },
		})
	}
	return n.exporter
}
