package postgres

import (
	"context"
	"math"
	"strconv"
	"strings"

	"flyball/collector/exporter"
)

// A setting is one of the server's parameters.
type setting struct {
	name, unit string // the unit is that of the metric: bytes, seconds or none
	help       string
}

func (s setting) metric() exporter.Metric {
	name := "pg_settings_" + s.name
	if s.unit != "" {
		name += "_" + s.unit
	}
	return exporter.Gauge(name, s.help)
}

// watchedSettings are those that one watches, or computes with. Numbers that
// bound others' are told as they are, -1 and 0 among them.
func watchedSettings() []setting {
	return []setting{
		{"max_connections", "", "Connections that the server allows."},
		{"superuser_reserved_connections", "", "Connections that are kept for superusers."},
		{"reserved_connections", "", "Connections that are kept for roles with pg_use_reserved_connections; from version 16."},
		{"max_worker_processes", "", "Processes in the background that the server allows."},
		{"max_parallel_workers", "", "Those of them that help with queries."},
		{"max_locks_per_transaction", "", "Locks that there is room for, per connection."},
		{"max_prepared_transactions", "", "Transactions that may be prepared at a time."},
		{"shared_buffers", "bytes", "The server's own cache."},
		{"effective_cache_size", "bytes", "What the planner takes for all caches together."},
		{"work_mem", "bytes", "Memory of one sort or hash before it goes to disk."},
		{"maintenance_work_mem", "bytes", "Memory of VACUUM and CREATE INDEX."},
		{"random_page_cost", "", "Cost of a page out of order, to the planner."},
		{"seq_page_cost", "", "Cost of a page in order, to the planner."},
		{"max_wal_size", "bytes", "WAL at which a checkpoint is asked for."},
		{"min_wal_size", "bytes", "WAL files that are kept to be used again."},
		{"wal_segment_size", "bytes", "Size of a file of WAL."},
		{"wal_keep_size", "bytes", "WAL that is kept for standbys without a slot."},
		{"max_slot_wal_keep_size", "bytes", "WAL that slots may keep; -1: as much as they want."},
		{"max_wal_senders", "", "Standbys and backups that can be served at a time."},
		{"max_replication_slots", "", "Slots that there can be."},
		{"checkpoint_timeout", "seconds", "Time between checkpoints."},
		{"checkpoint_completion_target", "", "Share of that time over which a checkpoint is spread."},
		{"fsync", "", "Whether what is written is made to last."},
		{"full_page_writes", "", "Whether torn pages are guarded against."},
		{"data_checksums", "", "Whether pages have checksums."},
		{"autovacuum", "", "Whether tables are vacuumed by themselves."},
		{"autovacuum_max_workers", "", "How many are at a time."},
		{"autovacuum_freeze_max_age", "", "Age in transactions at which a table is vacuumed whatever else is set."},
		{"autovacuum_multixact_freeze_max_age", "", "The same in multixacts."},
		{"track_io_timing", "", "Whether the time of reads and writes is measured."},
		{"hot_standby_feedback", "", "Whether a standby tells its primary which rows it still sees."},
		{"max_standby_streaming_delay", "seconds", "How long replay waits for queries; -1: for ever."},
		{"wal_receiver_timeout", "seconds", "After what silence a standby ends its connection."},
		{"wal_sender_timeout", "seconds", "After what silence a standby's connection is ended."},
	}
}

// settings tells them. The server has them in units of its own, e.g. 8kB.
func (t *target) settings() exporter.Part {
	const sql = `SELECT name, setting, coalesce(unit, '') FROM pg_settings WHERE name = ANY($1)`
	part := exporter.Part{Name: "settings"}
	var names []string
	metrics := map[string]exporter.Metric{}
	for _, w := range watchedSettings() {
		names, metrics[w.name] = append(names, w.name), w.metric()
		part.Metrics = append(part.Metrics, w.metric())
	}
	part.Read = func(ctx context.Context, s *exporter.Sink) error {
		var name, value, unit string
		return t.query(ctx, sql, []any{names}, []any{&name, &value, &unit}, func() {
			if n, ok := settingValue(value, unit); ok {
				s.Give(metrics[name], n)
			}
		})
	}
	return part
}

// settingValue is a setting in bytes, seconds or as it is. A bool is 0 or 1.
func settingValue(value, unit string) (float64, bool) {
	switch value {
	case "on":
		return 1, true
	case "off":
		return 0, true
	}
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, false
	}
	if n < 0 { // it says that there is no limit
		return n, true
	}
	factor, ok := unitFactor(unit)
	return n * factor, ok
}

// unitFactor is how many bytes or seconds a unit of the server's is. One may have
// a number before it.
func unitFactor(unit string) (float64, bool) {
	if unit == "" {
		return 1, true
	}
	digits := len(unit) - len(strings.TrimLeft(unit, "0123456789"))
	many := uint64(1)
	if digits > 0 {
		n, err := strconv.ParseUint(unit[:digits], 10, 32)
		if err != nil {
			return 0, false
		}
		many = n
	}
	one, ok := map[string]float64{
		"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40,
		"us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400,
	}[unit[digits:]]
	return float64(many) * one, ok
}
