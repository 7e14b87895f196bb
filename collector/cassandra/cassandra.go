// Package cassandra watches the nodes of Cassandra rings over CQL, without JMX:
// each node tells of itself in virtual tables, which exist from 4.0 on. They are
// of one node only, so that each has a link of its own, and each is told apart:
// all series have the labels node (its address), dc and rack. Other nodes that one
// tells of are in the labels peer, peer_dc and peer_rack.
//
// A node has two connections open for as long as it is watched, and is asked some
// thirty statements at a scrape; the role needs SELECT on the keyspace
// system_views and nothing more. Which tables and columns there are is asked at
// each connect, for they differ from version to version: what a node does not
// have is not told, and is no error.
//
// What virtual tables do not have, and what is therefore not told: client
// requests that timed out or found too few replicas, dropped messages by verb,
// the compactions that are still to be planned, and the memory and the garbage
// collection of the Java machine.
package cassandra

import (
	"log/slog"
	"time"

	"flyball/collector/exporter"
)

// Kind is the prefix of all metrics.
const Kind = "cassandra"

// New watches a ring. Nothing is reached yet.
func New(c Config, log *slog.Logger) (*Ring, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Ring{
		config: c.withDefaults(), log: log.With("target", c.Name), now: time.Now, lookup: addresses,
		nodes: map[string]*node{}, spread: map[string]bool{},
	}, nil
}

// Parts are what each node tells. Those that are asked for first are those that
// cost least, should the time not be enough.
func Parts() []exporter.Part {
	return []exporter.Part{
		self(), neighbours(), gossip(), threadPools(), hints(), inbound(), outbound(), clients(), queries(),
		caches(), statements(), batches(), tasks(), streams(), configured(),
		latencies(), sizes(), scanned(), snapshots(),
	}
}

// Table documents all metrics, in Markdown.
func Table() string { return exporter.Table(Kind, Parts()) }
