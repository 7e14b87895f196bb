package cassandra

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"flyball/collector/exporter"
)

// told are the settings that are told, by how they are written. The names are
// those of cassandra.yaml from 4.1 on.
type told struct{ durations, amounts, rates, counts, words []string }

func toldSettings() told {
	return told{
		durations: []string{
			"read_request_timeout", "range_request_timeout", "write_request_timeout", "counter_write_request_timeout",
			"truncate_request_timeout", "request_timeout", "max_hint_window", "commitlog_sync_period",
		},
		amounts: []string{
			"commitlog_total_space", "memtable_heap_space", "memtable_offheap_space", "max_hints_file_size", "max_mutation_size",
			"batch_size_warn_threshold", "batch_size_fail_threshold",
		},
		rates: []string{
			"compaction_throughput", "stream_throughput_outbound", "inter_dc_stream_throughput_outbound", "hinted_handoff_throttle",
		},
		counts: []string{
			"concurrent_reads", "concurrent_writes", "concurrent_counter_writes", "concurrent_compactors", "native_transport_max_threads",
			"tombstone_warn_threshold", "tombstone_failure_threshold", "hinted_handoff_enabled", "incremental_backups", "auto_snapshot",
		},
		words: []string{
			"endpoint_snitch", "authenticator.class_name", "authorizer.class_name", "disk_failure_policy", "commit_failure_policy",
			"commitlog_sync", "server_encryption_options.internode_encryption", "client_encryption_options.enabled",
		},
	}
}

// configured tells the settings that matter to whoever is woken at night. They
// change while a node runs, too.
func configured() exporter.Part {
	t := toldSettings()
	units := []struct {
		metric exporter.Metric
		names  []string
	}{
		{exporter.Gauge("cassandra_setting_seconds", "A setting of the node that is a time.", "setting"), t.durations},
		{exporter.Gauge("cassandra_setting_bytes", "A setting of the node that is a size.", "setting"), t.amounts},
		{exporter.Gauge("cassandra_setting_bytes_per_second", "A setting of the node that is a rate; 0 is unlimited.", "setting"), t.rates},
		{exporter.Gauge("cassandra_setting", "A setting of the node that is a number, or on (1) or off (0).", "setting"), t.counts},
	}
	info := exporter.Gauge("cassandra_setting_info", "1, with a setting of the node that is a word.", "setting", "value")
	of := map[string]exporter.Metric{}
	part := exporter.Part{Name: "settings", Metrics: []exporter.Metric{info}}
	for _, u := range units {
		part.Metrics = append(part.Metrics, u.metric)
		for _, n := range u.names {
			of[n] = u.metric
		}
	}
	for _, n := range t.words {
		of[n] = info
	}
	part.Read = func(ctx context.Context, s *exporter.Sink) error {
		return visited(ctx).link.each(ctx, "settings", []string{"name", "value"}, func(r row) {
			name, value := r.text("name"), r.text("value")
			switch m, told := of[name]; {
			case !told, value == "":
			case m.Name == info.Name:
				s.Give(info, 1, name, value)
			default:
				giveText(s, m, value, name)
			}
		})
	}
	return part
}

// giveText tells a quantity; one that is not understood is left out.
func giveText(s *exporter.Sink, m exporter.Metric, text string, labels ...string) {
	if v, err := quantity(text); err == nil {
		s.Give(m, v, labels...)
	}
}

var written = regexp.MustCompile(`^(-?[0-9.]+(?:[eE][+-]?[0-9]+)?)([A-Za-zµ/]*)$`)

// quantity reads a number as cassandra.yaml has it, in seconds, bytes, or bytes a
// second: 5000ms, 64MiB/s, 1024KiB, 2.5, true.
func quantity(text string) (float64, error) {
	switch text {
	case "true":
		return 1, nil
	case "false":
		return 0, nil
	}
	m := written.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("%q is no quantity", text)
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no quantity: %w", text, err)
	}
	scale, known := unitScale(strings.TrimSuffix(m[2], "/s"))
	if !known || math.IsInf(n*scale, 0) {
		return 0, fmt.Errorf("%q is in no known unit", text)
	}
	return n * scale, nil
}

// unitScale is how much of the base unit a unit is.
func unitScale(unit string) (float64, bool) {
	scale, ok := map[string]float64{
		"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
		"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400,
	}[unit]
	return scale, ok
}
