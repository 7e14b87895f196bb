package cassandra

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"flyball/collector/exporter"
)

// A side is where requests are measured.
type side struct {
	name      string
	columns   []column
	latency   exporter.Metric
	quantiles []quantile
}

func newSide(name, of string) side {
	labels := []string{"operation", "keyspace", "table"}
	return side{
		name: name,
		columns: []column{
			{"count", exporter.Counter("cassandra_"+name+"_requests_total", of+".", labels...), 0},
			{"per_second", exporter.Gauge("cassandra_"+name+"_requests_per_second", of+": the node's own mean over five minutes.", labels...), 0},
		},
		latency: exporter.Gauge(
			"cassandra_"+name+"_latency_seconds", of+": how long they took over the last minutes; quantile 1 is the longest.",
			append(labels, "quantile")...,
		),
		quantiles: []quantile{{"p50th_ms", "0.5"}, {"p99th_ms", "0.99"}, {"max_ms", "1"}},
	}
}

// latencies tells how long requests take, table by table: of a coordinator, who
// answers clients and waits for replicas, and local, at the node's own replica.
func latencies() exporter.Part {
	resolution := exporter.Gauge("cassandra_latency_resolution_seconds", "How fine the latencies are that the node tells: what is shorter than half of that is 0.")
	part := exporter.Part{Name: "latency", Metrics: []exporter.Metric{resolution}}
	sides := []side{
		newSide("coordinator", "Requests that the node answered to clients"),
		newSide("local", "Requests that the node answered from its own data"),
	}
	for _, x := range sides {
		part.Metrics = append(append(part.Metrics, metrics(x.columns)...), x.latency)
	}
	part.Read = func(ctx context.Context, s *exporter.Sink) error {
		unit, err := visited(ctx).latencyUnit(ctx)
		if err != nil {
			return err
		}
		s.Give(resolution, unit/1000)
		for _, x := range sides {
			for _, op := range []string{"read", "write", "scan"} {
				err = errors.Join(err, x.read(ctx, s, op, unit))
			}
		}
		return err
	}
	return part
}

// read reads the latencies of one operation.
func (x side) read(ctx context.Context, s *exporter.Sink, op string, unit float64) error {
	wanted := names(x.columns, "p50th_ms", "p99th_ms", "max_ms")
	return visited(ctx).eachTable(ctx, x.name+"_"+op+"_latency", wanted, func(t tableName, r row) {
		give(s, r, x.columns, op, t.keyspace, t.table)
		giveQuantiles(s, x.latency, r, x.quantiles, unit, op, t.keyspace, t.table)
	})
}

// fastest is a median below which no local read is, in milliseconds.
const fastest = 0.0045

// latencyUnit says in seconds what 1 is in the columns whose names end in _ms.
// They are milliseconds in 4.0. From 4.1 on the node measures in microseconds and
// still multiplies with 1e-6, as if they were nanoseconds, and rounds to three
// places, so that the columns hold whole milliseconds in the unit of a second;
// measured on 4.1.8 and 5.0.5. Which later version mends that is not known to us,
// so there the median of the reads of system.local decides, which we ourselves
// have just caused: it is some 50 µs, and never 4 µs or less.
func (v *visit) latencyUnit(ctx context.Context) (float64, error) {
	switch major, minor, patch := release(v.view.self.version); {
	case major == 4 && minor == 0:
		return 1e-3, nil
	case major == 4 && minor == 1 && patch <= 8, major == 5 && minor == 0 && patch <= 5:
		return 1, nil
	}
	unit := 1e-3
	err := v.link.each(ctx, "local_read_latency", []string{"keyspace_name", "table_name", "p50th_ms"}, func(r row) {
		if median, ok := r.number("p50th_ms"); ok && nameOf(r) == (tableName{"system", "local"}) && median < fastest {
			unit = 1
		}
	})
	if err != nil {
		return 0, fmt.Errorf("find the unit of latencies: %w", err)
	}
	return unit, nil
}

// release reads a version such as 5.0.5 or 5.1-alpha1-SNAPSHOT; what is missing is 0.
func release(version string) (major, minor, patch int) {
	version, _, _ = strings.Cut(version, "-")
	var n [3]int
	for i, s := range strings.SplitN(version, ".", 4) {
		if i == len(n) {
			break
		}
		n[i], _ = strconv.Atoi(s)
	}
	return n[0], n[1], n[2]
}
