package cassandra

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"flyball/collector/exporter"
)

// threadPools tells what a node's pools of threads do, by the names that nodetool
// tpstats shows.
func threadPools() exporter.Part {
	return plain(
		"thread_pools", "thread_pools", "name",
		column{"active_tasks", exporter.Gauge("cassandra_thread_pool_active_tasks", "Tasks that a pool of threads works on.", "pool"), 0},
		column{"active_tasks_limit", exporter.Gauge("cassandra_thread_pool_active_tasks_limit", "Tasks that a pool of threads can work on at the same time.", "pool"), 0},
		column{"pending_tasks", exporter.Gauge("cassandra_thread_pool_pending_tasks", "Tasks that wait for a thread.", "pool"), 0},
		column{"blocked_tasks", exporter.Gauge("cassandra_thread_pool_blocked_tasks", "Tasks that wait to be let into the queue, which is full.", "pool"), 0},
		column{"blocked_tasks_all_time", exporter.Counter("cassandra_thread_pool_blocked_tasks_total", "Tasks that had to wait to be let into the queue.", "pool"), 0},
		column{"completed_tasks", exporter.Counter("cassandra_thread_pool_completed_tasks_total", "Tasks done.", "pool"), 0},
	)
}

// mostClients is how many sorts of clients are told apart.
const mostClients = 50

// clients tells who is connected: not from where, for there may be thousands.
func clients() exporter.Part {
	connections := exporter.Gauge("cassandra_client_connections", "Connections of clients, by what these say of themselves; beyond 50 sorts as driver other.", "driver", "driver_version", "protocol", "tls")
	return exporter.Part{
		Name: "clients", Metrics: []exporter.Metric{connections},
		Read: func(ctx context.Context, s *exporter.Sink) error {
			var count tally
			err := visited(ctx).link.each(ctx, "clients", []string{"driver_name", "driver_version", "protocol_version", "ssl_enabled"}, func(r row) {
				version, _ := r.number("protocol_version")
				tls, _ := r.number("ssl_enabled")
				count.add(connections, 1, cmp.Or(r.text("driver_name"), "unknown"), r.text("driver_version"), strconv.Itoa(int(version)), strconv.FormatBool(tls == 1))
			})
			if err != nil {
				return err
			}
			bounded(count.sums, mostClients, "other", "", "", "").give(s)
			return nil
		},
	}
}

// bounded keeps the largest sums, and adds the others up under labels of their own.
func bounded(sums []*sum, most int, rest ...string) *tally {
	slices.SortFunc(sums, func(a, b *sum) int {
		return cmp.Or(cmp.Compare(b.value, a.value), slices.Compare(a.labels, b.labels))
	})
	var out tally
	for i, x := range sums {
		if i >= most {
			x.labels = rest
		}
		out.add(x.metric, x.value, x.labels...)
	}
	return &out
}

// queries tells what clients' requests are being worked on, never their text.
func queries() exporter.Part {
	running := exporter.Gauge("cassandra_queries_running", "Requests of clients that are being worked on, that of this scrape included.")
	longest := exporter.Gauge("cassandra_queries_longest_running_seconds", "How long the longest of them has been worked on.")
	queued := exporter.Gauge("cassandra_queries_longest_queued_seconds", "How long one of them has waited at most to be worked on.")
	return exporter.Part{
		Name: "queries", Metrics: []exporter.Metric{running, longest, queued},
		Read: func(ctx context.Context, s *exporter.Sink) error {
			var n, ran, waited float64
			there := false
			err := visited(ctx).link.each(ctx, "queries", []string{"running_micros", "queued_micros"}, func(r row) {
				there = true
				n++
				micros, _ := r.number("running_micros")
				ran = max(ran, micros)
				micros, _ = r.number("queued_micros")
				waited = max(waited, micros)
			})
			if err == nil && there {
				s.Give(running, n)
				s.Give(longest, ran/1e6)
				s.Give(queued, waited/1e6)
			}
			return err
		},
	}
}

// tasks tells what is done to SSTables: compactions, validations, clean-ups.
func tasks() exporter.Part {
	count := exporter.Gauge("cassandra_sstable_tasks", "Tasks on SSTables that are under way, by kind; those that wait are in the pool CompactionExecutor.", "task")
	done := exporter.Gauge("cassandra_sstable_task_done_bytes", "Bytes that the tasks which are under way have worked through.", "task")
	left := exporter.Gauge("cassandra_sstable_task_remaining_bytes", "Bytes that the tasks which are under way have still to work through.", "task")
	return exporter.Part{
		Name: "tasks", Metrics: []exporter.Metric{count, done, left},
		Read: func(ctx context.Context, s *exporter.Sink) error {
			var sum tally
			for _, m := range []exporter.Metric{count, done, left} {
				sum.add(m, 0, "compaction")
			}
			err := visited(ctx).link.each(ctx, "sstable_tasks", []string{"kind", "progress", "total", "unit"}, func(r row) {
				what := r.text("kind")
				sum.add(count, 1, what)
				if r.text("unit") == "bytes" {
					progress, _ := r.number("progress")
					total, _ := r.number("total")
					sum.add(done, progress, what)
					sum.add(left, max(0, total-progress), what)
				}
			})
			if err == nil {
				sum.give(s)
			}
			return err
		},
	}
}

// streams tells what nodes send each other whole: at bootstrap, decommission,
// repair. Those that ended are told for three days, as the node keeps them.
func streams() exporter.Part {
	count := exporter.Gauge("cassandra_streams", "Streams, by what they are for and how they stand: init, start, success, failure.", "operation", "status")
	in := exporter.Gauge("cassandra_streams_receive_remaining_bytes", "Bytes that streams which are under way have still to receive.", "operation")
	out := exporter.Gauge("cassandra_streams_send_remaining_bytes", "Bytes that streams which are under way have still to send.", "operation")
	return exporter.Part{
		Name: "streams", Metrics: []exporter.Metric{count, in, out},
		Read: func(ctx context.Context, s *exporter.Sink) error {
			var sum tally
			cs := []string{"operation", "status", "bytes_to_receive", "bytes_received", "bytes_to_send", "bytes_sent"}
			err := visited(ctx).link.each(ctx, "streaming", cs, func(r row) {
				what, status := r.text("operation"), r.text("status")
				sum.add(count, 1, what, status)
				ended := status == "success" || status == "failure"
				sum.add(in, remaining(r, ended, "bytes_to_receive", "bytes_received"), what)
				sum.add(out, remaining(r, ended, "bytes_to_send", "bytes_sent"), what)
			})
			if err == nil {
				sum.give(s)
			}
			return err
		},
	}
}

func remaining(r row, ended bool, of, done string) float64 {
	all, _ := r.number(of)
	some, _ := r.number(done)
	if ended {
		return 0
	}
	return max(0, all-some)
}
