package postgres

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flyball/collector/exporter"
	"flyball/deploy/testservers"
)

// shapes are the columns that views have in versions that are not installed here,
// as their manual lists them, with the values that the test gives them.
func shapes() map[int]map[string]string {
	writer := "buffers_clean bigint=1, maxwritten_clean bigint=2, buffers_alloc bigint=3, stats_reset timestamptz=now()"
	checkpointer := "num_timed bigint=1, num_requested bigint=2, restartpoints_timed bigint=3, restartpoints_req bigint=4, restartpoints_done bigint=5, " +
		"write_time float8=6, sync_time float8=7, buffers_written bigint=8, stats_reset timestamptz=now()"
	wal := "wal_records bigint=1, wal_fpi bigint=2, wal_bytes numeric=3, wal_buffers_full bigint=4, stats_reset timestamptz=now()"
	conflicts := "datid oid=1, datname name='a', confl_tablespace bigint=1, confl_lock bigint=2, confl_snapshot bigint=3, confl_bufferpin bigint=4, confl_deadlock bigint=5, confl_active_logicalslot bigint=6"
	return map[int]map[string]string{
		17: {"pg_stat_bgwriter": writer, "pg_stat_checkpointer": checkpointer, "pg_stat_database_conflicts": conflicts},
		18: {
			"pg_stat_bgwriter": writer, "pg_stat_database_conflicts": conflicts, "pg_stat_wal": wal,
			"pg_stat_checkpointer": checkpointer + ", num_done bigint=9, slru_written bigint=10",
		},
	}
}

// viewOf is a view of one row, of the form "column type=value, …".
func viewOf(schema, name, columns string) string {
	var fields []string
	for c := range strings.SplitSeq(columns, ", ") {
		declared, value, _ := strings.Cut(c, "=")
		column, typ, _ := strings.Cut(declared, " ")
		fields = append(fields, fmt.Sprintf("(%s)::%s AS %s", value, typ, column))
	}
	return fmt.Sprintf("CREATE VIEW %s.%s AS SELECT %s;", schema, name, strings.Join(fields, ", "))
}

// read gathers what views tell of a server that says it is of a major version,
// and whose own views are hidden by those of a schema.
func read(t *testing.T, dsn, schema string, major int, views ...view) map[string]float64 {
	t.Helper()
	target := &target{config: Config{DSN: dsn, Timeout: 10 * time.Second}}
	if err := target.reach(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := target.close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := target.conn.Exec(t.Context(), "SET search_path = "+schema+", pg_catalog"); err != nil {
		t.Fatal(err)
	}
	target.facts.version = major * 10000
	e := exporter.New(exporter.Options{Kind: Kind, Parts: []exporter.Part{target.part(views...)}, Timeout: 10 * time.Second})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(e)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			out[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	if out["pg_part_up"] != 1 {
		t.Errorf("as version %d it cannot be read: %v", major, e.Status().Parts)
	}
	return out
}

func TestEachVersionIsAskedForWhatItHas(t *testing.T) {
	p := testservers.SharedPostgres(t)
	database := p.Database(t)
	target := &target{}
	for major, views := range shapes() {
		schema := fmt.Sprintf("v%d", major)
		sql := "CREATE SCHEMA " + schema + ";"
		for name, columns := range views {
			sql += viewOf(schema, name, columns)
		}
		p.SQL(t, database, sql)
		got := map[string]float64{}
		for _, part := range [][]view{background(), wal(), target.databases()} {
			for name, v := range read(t, p.DSN("postgres", "", database), schema, major, part...) {
				got[name] = v
			}
		}
		want := map[string]float64{
			"pg_stat_bgwriter_buffers_clean_total": 1, "pg_stat_bgwriter_maxwritten_clean_total": 2, "pg_stat_bgwriter_buffers_alloc_total": 3,
			"pg_stat_checkpointer_num_timed_total": 1, "pg_stat_checkpointer_num_requested_total": 2, "pg_stat_checkpointer_restartpoints_timed_total": 3,
			"pg_stat_checkpointer_restartpoints_req_total": 4, "pg_stat_checkpointer_restartpoints_done_total": 5, "pg_stat_checkpointer_write_time_total": 6,
			"pg_stat_checkpointer_sync_time_total": 7, "pg_stat_checkpointer_buffers_written_total": 8, "pg_stat_database_conflicts_confl_active_logicalslot": 6,
		}
		if major >= 18 {
			want["pg_stat_checkpointer_num_done_total"] = 9
			want["pg_stat_wal_bytes_total"] = 3
		}
		for name, v := range want {
			if got[name] != v {
				t.Errorf("as version %d %s is %g, want %g", major, name, got[name], v)
			}
		}
		for _, name := range []string{"pg_stat_bgwriter_checkpoints_req_total", "pg_stat_bgwriter_buffers_backend_total"} {
			if _, ok := got[name]; ok {
				t.Errorf("as version %d %s is told", major, name)
			}
		}
	}
}

func TestStatementsAreReadFromEachVersionOfTheExtension(t *testing.T) {
	p := testservers.SharedPostgres(t)
	database := p.Database(t)
	p.SQL(t, database, `CREATE SCHEMA "Odd name"; CREATE FUNCTION "Odd name".pg_stat_statements(showtext boolean)
		RETURNS TABLE (userid oid, dbid oid, toplevel bool, queryid bigint, calls bigint, total_exec_time float8, rows bigint, shared_blk_read_time float8, shared_blk_write_time float8)
		LANGUAGE sql AS $$ SELECT 10::oid, (SELECT oid FROM pg_database WHERE datname = 'postgres'), top, 4711::bigint, 2::bigint, 1000::float8, 3::bigint, 500::float8, 250::float8 FROM (VALUES (true), (false)) v (top) WHERE NOT showtext $$`)
	target := &target{config: Config{Statements: 5}}
	got := read(t, p.DSN("postgres", "", database), "pg_catalog", 17, target.statementViews("Odd name", "1.11")...)
	for name, want := range map[string]float64{"calls_total": 4, "seconds_total": 2, "rows_total": 6, "block_read_seconds_total": 1, "block_write_seconds_total": 0.5, "omitted": 0} {
		if got["pg_stat_statements_"+name] != want {
			t.Errorf("%s is %g, want %g", name, got["pg_stat_statements_"+name], want)
		}
	}
}
