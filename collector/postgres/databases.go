package postgres

import (
	"context"
	"fmt"

	"flyball/collector/exporter"
)

// databases is what was done in each.
func (t *target) databases() []view {
	of := []string{"datid", "datname"}
	stats := view{
		part: "databases", prefix: "pg_stat_database_", labels: of, args: t.names(),
		from: "pg_stat_database d WHERE d.datname IS NOT NULL AND " + chosen,
		columns: []column{
			gauge("numbackends", "Sessions that are connected to the database."),
			counter("xact_commit", "Transactions that were committed."),
			counter("xact_rollback", "Transactions that were rolled back."),
			counter("blks_read", "Blocks that were read from disk, or from the kernel's cache."),
			counter("blks_hit", "Blocks that were found in the server's own cache."),
			counter("tup_returned", "Rows that scans returned."),
			counter("tup_fetched", "Rows that index scans fetched."),
			counter("tup_inserted", "Rows that were inserted."),
			counter("tup_updated", "Rows that were updated."),
			counter("tup_deleted", "Rows that were deleted."),
			counter("conflicts", "Queries that recovery cancelled, on a standby."),
			counter("temp_files", "Temporary files that queries made."),
			counter("temp_bytes", "What queries wrote to temporary files, in bytes."),
			counter("deadlocks", "Deadlocks that were found."),
			counter("checksum_failures", "Pages whose checksum was wrong; absent if checksums are off."),
			counter("blk_read_time", "Time spent reading blocks, in milliseconds; 0 unless track_io_timing is on."),
			counter("blk_write_time", "Time spent writing blocks, in milliseconds; 0 unless track_io_timing is on."),
			counter("active_time_seconds_total", "Time that sessions spent in statements.").of("active_time / 1000").from(14),
			gauge("stats_reset", "When these numbers began at 0, in Unix time.").of("extract(epoch FROM stats_reset)"),
		},
	}
	conflicts := view{
		part: "databases", prefix: "pg_stat_database_conflicts_", labels: of, args: t.names(),
		from: "pg_stat_database_conflicts d WHERE " + chosen,
		columns: []column{
			counter("confl_tablespace", "Queries that recovery cancelled for a tablespace that was dropped."),
			counter("confl_lock", "Queries that recovery cancelled for a lock."),
			counter("confl_snapshot", "Queries that recovery cancelled for rows that they still saw."),
			counter("confl_bufferpin", "Queries that recovery cancelled for a page that they held."),
			counter("confl_deadlock", "Queries that recovery cancelled for a deadlock."),
			counter("confl_active_logicalslot", "Uses of logical slots that recovery cancelled.").from(16),
		},
	}
	limits := view{
		part: "databases", prefix: "pg_database_", labels: []string{"datname"}, args: t.names(),
		from:    "pg_database d WHERE d.datallowconn AND " + chosen,
		columns: []column{gauge("connection_limit", "Connections that the database allows; -1 without a limit.").of("datconnlimit")},
	}
	return []view{stats, conflicts, limits}
}

// wraparound is how near each database is to running out of transaction ids, of
// which there are 2^31. All are told: the nearest stops the whole server.
func wraparound() view {
	return view{
		part: "wraparound", prefix: "pg_database_wraparound_", labels: []string{"datname"},
		from: "pg_database WHERE datallowconn",
		columns: []column{
			gauge("age_datfrozenxid_seconds", "Age of the oldest transaction id that is not frozen, in transactions whatever the name says.").of("age(datfrozenxid)"),
			gauge("age_datminmxid_seconds", "Age of the oldest multixact id, in multixacts whatever the name says.").of("mxid_age(datminmxid)"),
		},
	}
}

// databaseSizes is a part of its own: a large database takes a while to measure.
// One that the role may neither connect to nor see is left out, and told of.
func (t *target) databaseSizes() exporter.Part {
	size := exporter.Gauge("pg_database_size_bytes", "Disk space that the database takes.", "datname")
	const sql = `SELECT d.datname::text, allowed, CASE WHEN allowed THEN pg_database_size(d.oid) ELSE 0 END::float8
		FROM (SELECT *, pg_has_role('pg_read_all_stats', 'USAGE') OR has_database_privilege(oid, 'CONNECT') AS allowed FROM pg_database) d WHERE ` + chosen
	return exporter.Part{
		Name: "database_sizes", Metrics: []exporter.Metric{size},
		Read: func(ctx context.Context, s *exporter.Sink) error {
			var name string
			var allowed bool
			var bytes float64
			hidden := 0
			err := t.query(ctx, sql, t.names(), []any{&name, &allowed, &bytes}, func() {
				if allowed {
					s.Give(size, bytes, name)
				} else {
					hidden++
				}
			})
			if err != nil || hidden == 0 {
				return err
			}
			return exporter.Because(exporter.Permission, fmt.Errorf("the role may not connect to %d databases: %s", hidden, t.facts.grant()))
		},
	}
}
