package cassandra

import (
	"context"
	"strings"

	"flyball/collector/exporter"
)

// self tells what a node says of itself in system.local.
func self() exporter.Part {
	info := exporter.Gauge("cassandra_node_info", "1, with what the node is.", "cluster", "host_id", "version", "partitioner", "protocol")
	tokens := exporter.Gauge("cassandra_node_tokens", "Tokens that the node owns.")
	started := exporter.Gauge("cassandra_node_start_time_seconds", "When the node started, by its gossip generation.")
	joined := exporter.Gauge("cassandra_node_joined", "Whether the node has joined the ring for good: 0 while it bootstraps, and once it was decommissioned.")
	return exporter.Part{
		Name: "node", Metrics: []exporter.Metric{info, tokens, started, joined},
		Read: func(ctx context.Context, s *exporter.Sink) error {
			v := visited(ctx).view
			s.Give(info, 1, v.cluster, v.self.hostID, v.self.version, v.partitioner, v.protocol)
			s.Give(tokens, v.self.tokens)
			s.Give(started, v.started)
			s.Give(joined, truth(v.complete))
			return nil
		},
	}
}

// neighbours tells which other nodes a node knows, by system.peers_v2.
func neighbours() exporter.Part {
	nodes := exporter.Gauge("cassandra_ring_nodes", "Nodes that the node knows, itself included, whether they are up or not.", "peer_dc")
	versions := exporter.Gauge("cassandra_ring_schema_versions", "Different versions of the schema among the nodes that the node knows: 1 is agreement.")
	others := exporter.Gauge("cassandra_ring_schema_disagreeing_nodes", "Other nodes whose schema is not the node's own, by what they last told it.")
	return exporter.Part{
		Name: "ring", Metrics: []exporter.Metric{nodes, versions, others},
		Read: func(ctx context.Context, s *exporter.Sink) error {
			v := visited(ctx).view
			var count tally
			schemas, differ := map[string]bool{}, 0.0
			for _, m := range v.members() {
				count.add(nodes, 1, m.dc)
				if m.schema != "" {
					schemas[m.schema] = true
					differ += truth(m.schema != v.self.schema)
				}
			}
			count.give(s)
			s.Give(versions, float64(len(schemas)))
			s.Give(others, differ)
			return nil
		},
	}
}

// gossip tells what a node has heard of itself and of the others.
func gossip() exporter.Part {
	beats := exporter.Counter("cassandra_gossip_heartbeats_total", "Newest heartbeat heard of a node, itself included, some one a second; one that stands still is not heard of.", "peer", "peer_dc", "peer_rack")
	status := exporter.Gauge("cassandra_gossip_status", "1, with the state that a node is in by gossip, e.g. NORMAL, shutdown, LEFT.", "peer", "peer_dc", "peer_rack", "status")
	load := exporter.Gauge("cassandra_node_load_bytes", "Data of the node on its disks, as it tells the others.")
	return exporter.Part{
		Name: "gossip", Metrics: []exporter.Metric{beats, status, load},
		Read: func(ctx context.Context, s *exporter.Sink) error {
			v := visited(ctx)
			cs := []string{"address", "port", "dc", "rack", "heartbeat", "status", "status_with_port", "load"}
			return v.link.each(ctx, "gossip_info", cs, func(r row) {
				port, _ := r.number("port")
				who := v.peerAt(r.text("address"), int(port), r.text("dc"), r.text("rack"))
				if n, ok := r.number("heartbeat"); ok {
					s.Give(beats, n, who...)
				}
				if word := state(r); word != "" {
					s.Give(status, 1, append(who, word)...)
				}
				if r.text("address") == v.view.self.internode {
					giveText(s, load, r.text("load"))
				}
			})
		},
	}
}

// state is the word before what else stands in a gossiped status.
func state(r row) string {
	text := r.text("status_with_port")
	if text == "" {
		text = r.text("status")
	}
	word, _, _ := strings.Cut(text, ",")
	return word
}

// hints tells what a node keeps for others that were down. A node without hints
// has 0, so that the series do not end.
func hints() exporter.Part {
	peer := []string{"peer", "peer_dc", "peer_rack"}
	files := column{"files", exporter.Gauge("cassandra_hints_pending_files", "Files of hints that are kept for another node.", peer...), 0}
	bytes := column{"total_size", exporter.Gauge("cassandra_hints_pending_bytes", "Size of the hints that are kept for another node; from 5.1 on.", peer...), 0}
	times := []column{
		{"oldest", exporter.Gauge("cassandra_hints_oldest_timestamp_seconds", "When the oldest file of hints for another node was begun.", peer...), 0},
		{"newest", exporter.Gauge("cassandra_hints_newest_timestamp_seconds", "When the newest file of hints for another node was begun.", peer...), 0},
	}
	sizes := []column{files, bytes}
	all := append(sizes, times...)
	return exporter.Part{
		Name: "hints", Metrics: metrics(all),
		Read: func(ctx context.Context, s *exporter.Sink) error {
			v := visited(ctx)
			var sum tally
			for _, p := range v.view.peers {
				sum.add(files.metric, 0, v.peer(p)...)
			}
			err := v.link.each(ctx, "pending_hints", names(all, "host_id", "address", "port", "dc", "rack"), func(r row) {
				who := v.hinted(r)
				sum.addRow(r, sizes, who...)
				give(s, r, times, who...)
			})
			if err == nil {
				sum.give(s)
			}
			return err
		},
	}
}

// hinted names the node that hints are for. It may have left the ring.
func (v *visit) hinted(r row) []string {
	if m, ok := v.view.byID(r.text("host_id")); ok {
		return v.peer(m)
	}
	if a := r.text("address"); a != "" {
		return []string{a, r.text("dc"), r.text("rack")}
	}
	return []string{r.text("host_id"), r.text("dc"), r.text("rack")}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
