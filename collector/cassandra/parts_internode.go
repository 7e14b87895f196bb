package cassandra

import (
	"context"

	"flyball/collector/exporter"
)

// outbound tells what a node sends to others: its queues, and what did not come
// through them.
func outbound() exporter.Part {
	return internode("internode_outbound", []column{
		{"pending_count", gaugeOut("pending_messages", "Messages that wait to be sent to another node."), 0},
		{"pending_bytes", gaugeOut("pending_bytes", "Bytes that wait to be sent to another node."), 0},
		{"active_connections", gaugeOut("connections", "Connections to another node."), 0},
		{"sent_count", counterOut("sent_messages_total", "Messages sent to another node."), 0},
		{"sent_bytes", counterOut("sent_bytes_total", "Bytes sent to another node."), 0},
		{"expired_count", counterOut("expired_messages_total", "Messages dropped because they waited too long to be sent."), 0},
		{"overload_count", counterOut("overloaded_messages_total", "Messages dropped because too many waited to be sent."), 0},
		{"error_count", counterOut("error_messages_total", "Messages that could not be sent because of an error."), 0},
		{"connection_attempts", counterOut("connection_attempts_total", "Connects to another node that were tried."), 0},
		{"successful_connection_attempts", counterOut("connections_established_total", "Connects to another node that succeeded."), 0},
	})
}

// inbound tells what a node takes from others.
func inbound() exporter.Part {
	return internode("internode_inbound", []column{
		{"using_bytes", gaugeIn("using_bytes", "Bytes of messages from another node that are held in memory."), 0},
		{"scheduled_count", gaugeIn("scheduled_messages", "Messages from another node that wait to be processed."), 0},
		{"scheduled_bytes", gaugeIn("scheduled_bytes", "Bytes of messages from another node that wait to be processed."), 0},
		{"received_count", counterIn("received_messages_total", "Messages received from another node."), 0},
		{"received_bytes", counterIn("received_bytes_total", "Bytes received from another node."), 0},
		{"processed_count", counterIn("processed_messages_total", "Messages from another node that were processed."), 0},
		{"processed_bytes", counterIn("processed_bytes_total", "Bytes of messages from another node that were processed."), 0},
		{"expired_count", counterIn("expired_messages_total", "Messages from another node that were dropped because they came or waited too long."), 0},
		{"error_count", counterIn("error_messages_total", "Messages from another node that could not be read or processed."), 0},
		{"throttled_count", counterIn("throttled_total", "Times that another node was made to wait because too much was held in memory."), 0},
		{"throttled_nanos", counterIn("throttled_seconds_total", "How long another node was made to wait because too much was held in memory."), 1e-9},
		{"corrupt_frames_recovered", counterIn("corrupt_frames_recovered_total", "Frames that came corrupt and cost no connection."), 0},
		{"corrupt_frames_unrecovered", counterIn("corrupt_frames_unrecovered_total", "Frames that came corrupt and cost the connection."), 0},
	})
}

// internode is a part of one direction.
func internode(table string, cs []column) exporter.Part {
	return exporter.Part{
		Name: table, Metrics: metrics(cs),
		Read: func(ctx context.Context, s *exporter.Sink) error {
			v := visited(ctx)
			var sum tally
			err := v.link.each(ctx, table, names(cs, "address", "port", "dc", "rack"), func(r row) {
				port, _ := r.number("port")
				sum.addRow(r, cs, v.peerAt(r.text("address"), int(port), r.text("dc"), r.text("rack"))...)
			})
			if err == nil {
				sum.give(s)
			}
			return err
		},
	}
}

func gaugeOut(name, help string) exporter.Metric {
	return exporter.Gauge("cassandra_internode_outbound_"+name, help, "peer", "peer_dc", "peer_rack")
}

func counterOut(name, help string) exporter.Metric {
	return exporter.Counter("cassandra_internode_outbound_"+name, help, "peer", "peer_dc", "peer_rack")
}

func gaugeIn(name, help string) exporter.Metric {
	return exporter.Gauge("cassandra_internode_inbound_"+name, help, "peer", "peer_dc", "peer_rack")
}

func counterIn(name, help string) exporter.Metric {
	return exporter.Counter("cassandra_internode_inbound_"+name, help, "peer", "peer_dc", "peer_rack")
}
