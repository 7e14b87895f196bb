package cassandra

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"flyball/collector/exporter"
)

// A member is what one node says of itself, or of another of its ring.
type member struct {
	hostID        string
	dc, rack      string
	schema        string  // version, a UUID; "" is not known
	version       string  // of Cassandra
	address       string  // for clients
	port          int     // for clients; 0 is not known
	internode     string  // address for other nodes
	internodePort int     // 0 is not known
	tokens        float64 // how many it owns
}

// A view is the ring as one node sees it.
type view struct {
	self        member
	peers       []member
	cluster     string
	partitioner string
	protocol    string // newest native protocol
	started     float64
	complete    bool // it has joined the ring
}

// look asks a node who it is, and who the others are. Both are of that node only.
func (l *link) look(ctx context.Context) (view, error) {
	var v view
	err := l.query(ctx, "SELECT host_id, data_center, rack, schema_version, release_version, rpc_address, rpc_port, broadcast_address,"+
		" broadcast_port, tokens, cluster_name, partitioner, native_protocol_version, gossip_generation, bootstrapped"+
		" FROM system.local WHERE key = 'local'", func(r row) {
		v.self = memberOf(r, "rpc_address", "rpc_port", "broadcast_address", "broadcast_port")
		v.cluster, v.partitioner, v.protocol = r.text("cluster_name"), r.text("partitioner"), r.text("native_protocol_version")
		v.started, _ = r.number("gossip_generation")
		v.complete = r.text("bootstrapped") == "COMPLETED"
	})
	switch {
	case err == nil && v.self.hostID == "":
		return view{}, exporter.Because(exporter.Refused, errors.New("read system.local: it does not know its own host_id: it is still starting"))
	case exporter.Reason(err) == exporter.Missing:
		return view{}, fmt.Errorf("read system.local: %w (Cassandra is watched from 4.0 on)", err)
	case err != nil:
		return view{}, fmt.Errorf("read system.local: %w", err)
	}
	err = l.query(ctx, "SELECT host_id, data_center, rack, schema_version, release_version, native_address, native_port, peer, peer_port, tokens"+
		" FROM system.peers_v2", func(r row) {
		if p := memberOf(r, "native_address", "native_port", "peer", "peer_port"); p.hostID != "" {
			v.peers = append(v.peers, p) // without an identity it is a remnant
		}
	})
	if err != nil {
		return view{}, fmt.Errorf("read system.peers_v2: %w", err)
	}
	return v, nil
}

func memberOf(r row, address, port, internode, internodePort string) member {
	m := member{
		hostID: r.text("host_id"), dc: r.text("data_center"), rack: r.text("rack"), schema: r.text("schema_version"),
		version: r.text("release_version"), address: r.text(address), internode: r.text(internode),
	}
	m.tokens, _ = r.number("tokens")
	at, _ := r.number(port)
	m.port = int(at)
	at, _ = r.number(internodePort)
	m.internodePort = int(at)
	if ip := net.ParseIP(m.address); ip == nil || ip.IsUnspecified() {
		m.address = m.internode
	}
	return m
}

// members are all nodes of the ring that this one knows, itself first.
func (v view) members() []member { return append([]member{v.self}, v.peers...) }

// named is how a node is called here: by its address for clients, and its port
// if that is not the usual one.
func named(address string, port, usual int) string {
	if port == usual || port == 0 {
		return address
	}
	return net.JoinHostPort(address, strconv.Itoa(port))
}

// byID finds a node by its identity.
func (v view) byID(hostID string) (member, bool) {
	for _, m := range v.members() {
		if m.hostID == hostID {
			return m, true
		}
	}
	return member{}, false
}

// byInternode finds a node by where other nodes speak to it.
func (v view) byInternode(address string, port int) (member, bool) {
	for _, m := range v.members() {
		if m.internode == address && (m.internodePort == port || m.internodePort == 0 || port == 0) {
			return m, true
		}
	}
	return member{}, false
}
