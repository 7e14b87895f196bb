package cassandra

import (
	"context"
	"net"
	"strconv"
	"strings"

	"flyball/collector/exporter"
)

// A sighting is a node that a configuration, a name server or another node names.
type sighting struct {
	host    string // address or name
	port    int
	server  string // name in its certificate
	contact bool   // the configuration names just this one
	hostID  string // "" is not known
	place   place
}

func (s sighting) address() string { return net.JoinHostPort(s.host, strconv.Itoa(s.port)) }

// contact finds the nodes at a host of the configuration. A name with one address
// is a node that is called by its name, wherever that moves to; one with several
// stands for as many nodes.
func (r *Ring) contact(ctx context.Context, host string) []*node {
	one := sighting{host: host, port: r.config.Port, server: host, contact: true}
	if net.ParseIP(host) != nil {
		return r.sight(one)
	}
	addresses, err := r.lookup(ctx, host)
	r.mu.Lock()
	spread := r.spread[host]
	r.spread[host] = spread || len(addresses) > 1
	r.mu.Unlock()
	switch {
	case err != nil && spread:
		return nil // those that it stood for are known
	case err != nil, len(addresses) <= 1:
		return r.sight(one) // dialling it says what is wrong
	}
	if !spread {
		r.drop(one.address())
	}
	var out []*node
	for _, a := range addresses {
		out = append(out, r.sight(sighting{host: a, port: r.config.Port, server: host})...)
	}
	return out
}

// meet finds the nodes that another one lists.
func (r *Ring) meet(by *node, v view) []*node {
	if !r.config.Discover {
		return nil
	}
	var out []*node
	for _, p := range v.peers {
		if p.address == "" || r.config.Datacenter != "" && p.dc != r.config.Datacenter {
			continue
		}
		port := r.config.Port
		if v.self.port == by.port && p.port != 0 {
			port = p.port // they are reached where they say
		}
		out = append(out, r.sight(sighting{host: p.address, port: port, server: p.address, hostID: p.hostID, place: place{p.dc, p.rack}})...)
	}
	return out
}

// sight takes a sighting in: the node that was seen, or none if it is watched
// under another address.
func (r *Ring) sight(s sighting) []*node {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	if n := r.nodes[s.address()]; n != nil {
		n.seen(s, r.now())
		return []*node{n}
	}
	if other := r.identified(s.hostID); other != nil {
		if who := other.who(); who.contact || who.up {
			other.seen(sighting{}, r.now())
			return nil
		}
		r.remove(other) // it has moved
	}
	n := newNode(s, r.config, r.log)
	n.seen(s, r.now())
	r.nodes[s.address()] = n
	return []*node{n}
}

// identified is the node of an identity; the ring is locked.
func (r *Ring) identified(hostID string) *node {
	for _, n := range r.nodes {
		if hostID != "" && n.who().hostID == hostID {
			return n
		}
	}
	return nil
}

// claim settles under which of its addresses a node that was just reached is
// watched: those of the configuration go before those that were found. It reports
// whether this is the one.
func (r *Ring) claim(n *node) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	n.seen(sighting{}, r.now())
	for _, other := range r.nodes {
		a, b := other.who(), n.who()
		if other == n || a.hostID != b.hostID {
			continue
		}
		if a.up && (a.contact && !b.contact || a.contact == b.contact && other.label < n.label) {
			if !b.contact {
				r.remove(n)
			}
			return false
		}
		if !a.contact {
			r.remove(other)
		}
	}
	return true
}

// remove lets a node go; the ring is locked. The link is closed behind our back,
// for somebody may be waiting for an answer on it.
func (r *Ring) remove(n *node) {
	if r.nodes[n.address] == n {
		delete(r.nodes, n.address)
		r.closing.Go(n.close)
	}
}

// drop lets the node at an address go.
func (r *Ring) drop(address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.nodes[address]; n != nil {
		r.remove(n)
	}
}

// addresses asks the name server. Of the two families of addresses the one that
// has more counts: a node listens on one of them only.
func addresses(ctx context.Context, name string) ([]string, error) {
	all, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		return nil, exporter.Because(exporter.Unresolved, err)
	}
	var four, six []string
	for _, a := range all {
		if strings.Contains(a, ":") {
			six = append(six, a)
		} else {
			four = append(four, a)
		}
	}
	if len(six) > len(four) {
		return six, nil
	}
	return four, nil
}
