package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"flyball/collector/exporter"
)

// statements tells of those that took longest, if the extension is there: it must
// be created in the database of the connection string, and in
// shared_preload_libraries.
func (t *target) statements() exporter.Part {
	available := exporter.Gauge("pg_stat_statements_available", "Whether pg_stat_statements is there, in the database of the connection string.")
	const find = `SELECT n.nspname::text, e.extversion FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'`
	part := exporter.Part{Name: "statements", Metrics: []exporter.Metric{available}}
	for _, v := range t.statementViews("", "") {
		part.Metrics = append(part.Metrics, v.metrics()...)
	}
	part.Read = func(ctx context.Context, s *exporter.Sink) error {
		var schema, version string
		if err := t.query(ctx, find, nil, []any{&schema, &version}, func() {}); err != nil {
			return err
		}
		s.Give(available, number(schema != ""))
		if schema == "" {
			return nil
		}
		for _, v := range t.statementViews(schema, version) {
			if err := t.read(ctx, v, s); err != nil {
				return err
			}
		}
		return nil
	}
	return part
}

// statementViews reads what a version of the extension has. Its texts are in a
// file that is not even opened.
func (t *target) statementViews(schema, version string) []view {
	read, write := "blk_read_time", "blk_write_time"
	if minor(version) >= 11 {
		read, write = "shared_blk_read_time", "shared_blk_write_time"
	}
	source := pgx.Identifier{schema, "pg_stat_statements"}.Sanitize() + "(false)"
	most := view{
		part: "statements", prefix: "pg_stat_statements_", labels: []string{"user", "datname", "queryid"}, stats: true, args: t.names(),
		from: fmt.Sprintf(`(SELECT pg_get_userbyid(s.userid) AS "user", d.datname, s.queryid, sum(calls) AS calls, sum(total_exec_time) AS time, sum(rows) AS rows, sum(%s) AS read, sum(%s) AS write
			FROM %s s JOIN pg_database d ON d.oid = s.dbid WHERE s.queryid IS NOT NULL AND %s
			GROUP BY s.userid, d.datname, s.queryid ORDER BY time DESC, queryid LIMIT %d) x`, read, write, source, chosen, t.config.Statements),
		columns: []column{
			counter("calls_total", "Times that the statement was executed.").of("calls"),
			counter("seconds_total", "Time spent executing it.").of("time / 1000"),
			counter("rows_total", "Rows that it returned or changed.").of("rows"),
			counter("block_read_seconds_total", "Time that it spent reading blocks; 0 unless track_io_timing is on.").of("read / 1000"),
			counter("block_write_seconds_total", "Time that it spent writing blocks; 0 unless track_io_timing is on.").of("write / 1000"),
		},
	}
	omitted := view{
		part: "statements", prefix: "pg_stat_statements_", stats: true, args: t.names(),
		from: fmt.Sprintf(`(SELECT greatest(count(DISTINCT (s.userid, s.dbid, s.queryid)) - %d, 0) AS omitted
			FROM %s s JOIN pg_database d ON d.oid = s.dbid WHERE s.queryid IS NOT NULL AND %s) x`, t.config.Statements, source, chosen),
		columns: []column{gauge("omitted", "Statements that are not told of, because others took longer.")},
	}
	return []view{most, omitted}
}

// minor is the second number of a version of the extension, e.g. 10 of 1.10.
func minor(version string) int {
	_, after, _ := strings.Cut(version, ".")
	n, _ := strconv.Atoi(after)
	return n
}
