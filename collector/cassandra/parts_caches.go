package cassandra

import (
	"context"
	"strings"
	"sync"
	"time"

	"flyball/collector/exporter"
)

// caches tells of the caches of keys, rows, counters and chunks.
func caches() exporter.Part {
	return plain(
		"caches", "caches", "name",
		column{"capacity_bytes", exporter.Gauge("cassandra_cache_capacity_bytes", "How large a cache may be; 0 is off.", "cache"), 0},
		column{"size_bytes", exporter.Gauge("cassandra_cache_size_bytes", "How large a cache is.", "cache"), 0},
		column{"entry_count", exporter.Gauge("cassandra_cache_entries", "Entries in a cache.", "cache"), 0},
		column{"request_count", exporter.Counter("cassandra_cache_requests_total", "Requests to a cache.", "cache"), 0},
		column{"hit_count", exporter.Counter("cassandra_cache_hits_total", "Requests that a cache could answer.", "cache"), 0},
	)
}

// statements tells of CQL statements.
func statements() exporter.Part {
	cached := exporter.Gauge("cassandra_prepared_statements", "Prepared statements that are kept.")
	evicted := exporter.Counter("cassandra_prepared_statements_evicted_total", "Prepared statements that had to make room: growing, clients prepare what should be bound.")
	executed := exporter.Counter("cassandra_statements_executed_total", "Statements executed.", "kind")
	return exporter.Part{
		Name: "statements", Metrics: []exporter.Metric{cached, evicted, executed},
		Read: func(ctx context.Context, s *exporter.Sink) error {
			return visited(ctx).link.each(ctx, "cql_metrics", []string{"name", "value"}, func(r row) {
				n, _ := r.number("value")
				switch r.text("name") {
				case "prepared_statements_count":
					s.Give(cached, n)
				case "prepared_statements_evicted":
					s.Give(evicted, n)
				case "prepared_statements_executed":
					s.Give(executed, n, "prepared")
				case "regular_statements_executed":
					s.Give(executed, n, "regular")
				}
			})
		},
	}
}

// batches tells how large batches of CQL are.
func batches() exporter.Part {
	partitions := exporter.Gauge("cassandra_batch_partitions", "Partitions that a batch touches, over the last minutes; quantile 1 is the most.", "kind", "quantile")
	return exporter.Part{
		Name: "batches", Metrics: []exporter.Metric{partitions},
		Read: func(ctx context.Context, s *exporter.Sink) error {
			return visited(ctx).link.each(ctx, "batch_metrics", []string{"name", "p50th", "p99th", "p999th", "max"}, func(r row) {
				kind := strings.TrimSuffix(strings.TrimPrefix(r.text("name"), "partitions_per_"), "_batch")
				for _, q := range []struct{ column, quantile string }{{"p50th", "0.5"}, {"p99th", "0.99"}, {"p999th", "0.999"}, {"max", "1"}} {
					if n, ok := r.number(q.column); ok {
						s.Give(partitions, n, kind, q.quantile)
					}
				}
			})
		},
	}
}

// snapshotsEvery is how old what is told of snapshots may be: a node looks
// through all its files to tell it.
const snapshotsEvery = 5 * time.Minute

// snapshots tells what snapshots hold.
func snapshots() exporter.Part {
	count := exporter.Gauge("cassandra_snapshots", "Snapshots of tables; asked for every five minutes.", "ephemeral")
	size := exporter.Gauge("cassandra_snapshot_size_bytes", "Size of the files of snapshots; asked for every five minutes.", "ephemeral")
	own := exporter.Gauge("cassandra_snapshot_true_size_bytes", "What removing the snapshots would free; asked for every five minutes.", "ephemeral")
	return exporter.Part{
		Name: "snapshots", Metrics: []exporter.Metric{count, size, own},
		Read: func(ctx context.Context, s *exporter.Sink) error {
			v := visited(ctx)
			sum, err := v.link.snapshots.read(v.at, func() (*tally, error) {
				sum := &tally{}
				for _, m := range []exporter.Metric{count, size, own} {
					sum.add(m, 0, "false")
				}
				cs := []column{{"size_on_disk", size, 0}, {"true_size", own, 0}}
				return sum, v.link.each(ctx, "snapshots", names(cs, "ephemeral"), func(r row) {
					e, _ := r.number("ephemeral")
					what := map[bool]string{true: "true", false: "false"}[e == 1]
					sum.add(count, 1, what)
					sum.addRow(r, cs, what)
				})
			})
			if err == nil && len(v.link.columns["snapshots"]) > 0 {
				sum.give(s)
			}
			return err
		},
	}
}

// A memo is what costs much to ask for. It is safe for concurrent use.
type memo struct {
	mu  sync.Mutex
	at  time.Time
	sum *tally
}

// read asks anew if what is known is too old. An error is not kept.
func (m *memo) read(now time.Time, ask func() (*tally, error)) (*tally, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sum != nil && now.Sub(m.at) < snapshotsEvery {
		return m.sum, nil
	}
	sum, err := ask()
	if err != nil {
		return nil, err
	}
	m.at, m.sum = now, sum
	return sum, nil
}
