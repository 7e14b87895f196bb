package postgres_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"flyball/collector/postgres"
	"flyball/deploy/testservers"
)

// neverTold are the declared metrics that no server here can tell, and why.
func neverTold() map[string]string {
	const later = "of a version that is not installed here: see TestEachVersionIsAskedForWhatItHas"
	out := map[string]string{
		"pg_stat_database_conflicts_confl_active_logicalslot": later,
		"pg_settings_reserved_connections":                    "from version 16: a setting that is not there is not told",
	}
	for _, name := range []string{
		"num_timed", "num_requested", "num_done", "restartpoints_timed", "restartpoints_req", "restartpoints_done",
		"write_time", "sync_time", "buffers_written", "stats_reset",
	} {
		out["pg_stat_checkpointer_"+name+"_total"] = later
	}
	return out
}

func TestEveryDeclaredMetricIsTold(t *testing.T) {
	t.Parallel()
	p := primary(t)
	restarted(t, p, "wal_level = logical", "archive_mode = on", "archive_command = 'true'", "max_slot_wal_keep_size = '1GB'", "autovacuum_naptime = 1")
	p.SQL(t, "postgres", `CREATE EXTENSION pg_stat_statements; SELECT pg_stat_reset();
		CREATE TABLE kept (n int PRIMARY KEY, filler text) WITH (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0, autovacuum_analyze_threshold = 1, autovacuum_analyze_scale_factor = 0);
		INSERT INTO kept SELECT n, repeat('x', 900) FROM generate_series(1, 1000) n;
		VACUUM kept; ANALYZE kept;
		DELETE FROM kept WHERE n % 2 = 0;
		SELECT pg_create_logical_replication_slot('changes', 'test_decoding');
		SELECT pg_switch_wal()`)
	s := p.Standby(t, "second")
	atPrimary, atStandby := watch(t, config(p, "postgres")), watch(t, config(s, "postgres"))
	told := map[string]bool{}
	gather := func() {
		for _, w := range []*watched{atPrimary, atStandby} {
			for series := range w.scrape().values {
				name, _, _ := strings.Cut(series, "{")
				told[name] = true
			}
		}
	}
	p.SQL(t, "postgres", "INSERT INTO kept VALUES (0)") // the standby gets something, and so tells of itself
	until(t, "it is archived, vacuumed, analysed and replayed", func() bool {
		gather()
		return told["pg_stat_archiver_last_archive_age"] && told["pg_stat_user_tables_last_autovacuum"] && told["pg_stat_user_tables_last_autoanalyze"] &&
			told["pg_stat_replication_replay_lag_seconds"] && told["pg_stat_wal_receiver_latest_end_lsn"]
	})
	never := neverTold()
	for _, part := range postgres.Parts() {
		for _, m := range part.Metrics {
			switch {
			case told[m.Name] && never[m.Name] != "":
				t.Errorf("%s is told, and listed as never told", m.Name)
			case !told[m.Name] && never[m.Name] == "":
				t.Errorf("%s of the part %s is declared and never told", m.Name, part.Name)
			}
			if m.Help == "" || !strings.HasSuffix(m.Help, ".") {
				t.Errorf("%s is not explained", m.Name)
			}
		}
	}
	for name, reason := range map[string]string{"primary": atPrimary.log.String(), "standby": atStandby.log.String()} {
		if reason != "" {
			t.Errorf("the %s logged\n%s", name, reason)
		}
	}
}

func TestAMetricIsDeclaredOnceAndDocumented(t *testing.T) {
	seen := map[string]string{}
	table := postgres.Table()
	for _, part := range postgres.Parts() {
		for _, m := range part.Metrics {
			if other := seen[m.Name]; other != "" {
				t.Errorf("%s is declared by %s and %s", m.Name, other, part.Name)
			}
			seen[m.Name] = part.Name
			if !strings.Contains(table, "| `"+m.Name+"` |") {
				t.Errorf("%s is not in the table", m.Name)
			}
		}
	}
}

// names are what dashboards ask of postgres_exporter 0.17, each with its labels.
func TestDashboardsFindWhatTheyAskFor(t *testing.T) {
	t.Parallel()
	labels := map[string]string{}
	for _, part := range postgres.Parts() {
		for _, m := range part.Metrics {
			labels[m.Name] = strings.Join(m.Labels, ",")
		}
	}
	for name, want := range map[string]string{
		"pg_static":                                       "version,short_version",
		"pg_postmaster_start_time_seconds":                "",
		"pg_settings_max_connections":                     "",
		"pg_settings_shared_buffers_bytes":                "",
		"pg_settings_effective_cache_size_bytes":          "",
		"pg_settings_maintenance_work_mem_bytes":          "",
		"pg_settings_work_mem_bytes":                      "",
		"pg_settings_max_wal_size_bytes":                  "",
		"pg_settings_random_page_cost":                    "",
		"pg_settings_seq_page_cost":                       "",
		"pg_settings_max_worker_processes":                "",
		"pg_settings_max_parallel_workers":                "",
		"pg_stat_activity_count":                          "datname,state",
		"pg_stat_activity_max_tx_duration":                "datname,state",
		"pg_stat_database_numbackends":                    "datid,datname",
		"pg_stat_database_xact_commit":                    "datid,datname",
		"pg_stat_database_xact_rollback":                  "datid,datname",
		"pg_stat_database_blks_hit":                       "datid,datname",
		"pg_stat_database_blks_read":                      "datid,datname",
		"pg_stat_database_tup_fetched":                    "datid,datname",
		"pg_stat_database_tup_returned":                   "datid,datname",
		"pg_stat_database_tup_inserted":                   "datid,datname",
		"pg_stat_database_tup_updated":                    "datid,datname",
		"pg_stat_database_tup_deleted":                    "datid,datname",
		"pg_stat_database_conflicts":                      "datid,datname",
		"pg_stat_database_deadlocks":                      "datid,datname",
		"pg_stat_database_temp_bytes":                     "datid,datname",
		"pg_stat_database_active_time_seconds_total":      "datid,datname",
		"pg_stat_database_conflicts_confl_lock":           "datid,datname",
		"pg_database_size_bytes":                          "datname",
		"pg_database_connection_limit":                    "datname",
		"pg_database_wraparound_age_datfrozenxid_seconds": "datname",
		"pg_locks_count":                                  "datname,mode",
		"pg_stat_bgwriter_checkpoints_req_total":          "",
		"pg_stat_bgwriter_buffers_alloc_total":            "",
		"pg_stat_bgwriter_buffers_backend_fsync_total":    "",
		"pg_stat_bgwriter_checkpoint_write_time_total":    "",
		"pg_stat_checkpointer_num_timed_total":            "",
		"pg_stat_archiver_failed_count":                   "",
		"pg_stat_archiver_last_archive_age":               "",
		"pg_replication_lag_seconds":                      "",
		"pg_replication_is_replica":                       "",
		"pg_replication_last_replay_seconds":              "",
		"pg_stat_replication_pg_wal_lsn_diff":             "application_name,client_addr,state,slot_name",
		"pg_stat_replication_pg_current_wal_lsn_bytes":    "application_name,client_addr,state,slot_name",
		"pg_replication_slots_active":                     "slot_name,database",
		"pg_replication_slots_pg_wal_lsn_diff":            "slot_name,database",
		"pg_replication_slot_slot_is_active":              "slot_name,slot_type",
		"pg_replication_slot_slot_current_wal_lsn":        "slot_name,slot_type",
		"pg_replication_slot_slot_confirmed_flush_lsn":    "slot_name,slot_type",
		"pg_replication_slot_safe_wal_size_bytes":         "slot_name,slot_type",
		"pg_replication_slot_wal_status":                  "slot_name,slot_type,wal_status",
		"pg_stat_wal_receiver_status":                     "upstream_host,slot_name",
		"pg_stat_wal_receiver_latest_end_lsn":             "upstream_host,slot_name",
		"pg_wal_segments":                                 "",
		"pg_wal_size_bytes":                               "",
		"pg_wal_lsn_location_bytes":                       "",
		"pg_stat_user_tables_n_dead_tup":                  "datname,schemaname,relname",
		"pg_stat_user_tables_last_autovacuum":             "datname,schemaname,relname",
		"pg_stat_user_tables_table_size_bytes":            "datname,schemaname,relname",
		"pg_stat_statements_calls_total":                  "user,datname,queryid",
		"pg_stat_statements_seconds_total":                "user,datname,queryid",
		"pg_stat_statements_block_read_seconds_total":     "user,datname,queryid",
	} {
		if got, ok := labels[name]; !ok || got != want {
			t.Errorf("%s has the labels %q (declared: %t), want %q", name, got, ok, want)
		}
	}
}

func TestWritesMoveTheNumbersThatTheyShould(t *testing.T) {
	t.Parallel()
	p := testservers.SharedPostgres(t)
	database := p.Database(t)
	p.SQL(t, database, "CREATE EXTENSION pg_stat_statements; CREATE TABLE kept (n int PRIMARY KEY, filler text); CREATE TABLE other (n int)")
	c := config(p, database)
	c.DSN, c.Databases = p.DSN("postgres", "", database), []string{database}
	w := watch(t, c)
	before := w.scrape()
	oid := p.SQL(t, database, "SELECT oid FROM pg_database WHERE datname = '"+database+"'")
	p.SQL(t, database, `INSERT INTO kept SELECT n, repeat('x', 900) FROM generate_series(1, 2000) n;
		UPDATE kept SET filler = 'y' WHERE n <= 300;
		DELETE FROM kept WHERE n > 1900;
		SELECT * FROM kept WHERE n = 1;
		BEGIN; INSERT INTO other VALUES (1); ROLLBACK;
		CHECKPOINT`)
	of := "{datid=" + oid + ",datname=" + database + "}"
	in := "{datname=" + database + ",relname=kept,schemaname=public}"
	var after scrape
	until(t, "the statistics are there", func() bool {
		after = w.scrape()
		return after.must("pg_stat_user_tables_n_tup_del"+in) == 100 && after.must("pg_stat_database_tup_deleted"+of) > before.must("pg_stat_database_tup_deleted"+of)
	})
	for series, least := range map[string]float64{
		"pg_stat_database_xact_commit" + of:                5,
		"pg_stat_database_xact_rollback" + of:              1,
		"pg_stat_database_tup_inserted" + of:               2000,
		"pg_stat_database_tup_updated" + of:                300,
		"pg_stat_database_tup_deleted" + of:                100,
		"pg_stat_database_blks_hit" + of:                   1000,
		"pg_stat_user_tables_n_tup_ins" + in:               2000,
		"pg_stat_user_tables_n_tup_upd" + in:               300,
		"pg_stat_user_tables_n_tup_del" + in:               100,
		"pg_stat_user_tables_n_live_tup" + in:              1900,
		"pg_stat_user_tables_idx_scan" + in:                1,
		"pg_stat_user_tables_table_size_bytes" + in:        1_500_000,
		"pg_stat_user_tables_index_size_bytes" + in:        16384,
		"pg_database_size_bytes{datname=" + database + "}": 1_500_000,
		"pg_wal_lsn_location_bytes":                        1_800_000,
		"pg_stat_wal_bytes_total":                          1_800_000,
		"pg_stat_wal_records_total":                        2000,
		"pg_stat_bgwriter_checkpoints_req_total":           1,
		"pg_stat_bgwriter_buffers_checkpoint_total":        100,
	} {
		if moved := after.must(series) - before.must(series); moved < least {
			t.Errorf("%s moved by %g, want %g at least", series, moved, least)
		}
	}
	id := p.SQL(t, database, "SELECT queryid FROM pg_stat_statements WHERE query LIKE 'UPDATE kept%'")
	statement := "{datname=" + database + ",queryid=" + id + ",user=postgres}"
	after.is("pg_stat_statements_calls_total"+statement, 1)
	after.is("pg_stat_statements_rows_total"+statement, 300)
	if after.must("pg_stat_statements_seconds_total"+statement) <= 0 {
		t.Error("the statement took no time")
	}
	for series := range after.values {
		if strings.Contains(series, "datname=template1") && !strings.HasPrefix(series, "pg_database_wraparound_") {
			t.Errorf("%s is told of a database that was not asked for", series)
		}
		if strings.Contains(series, "filler") {
			t.Errorf("%s tells a text", series)
		}
	}
}

// expression finds what a rule asks, on one line or on several.
var expression = regexp.MustCompile(`(?m)^ +expr: (?:>-\n((?: {10,}.*\n)+)|(.*)\n)`)

func TestTheShippedRulesAskForWhatIsTold(t *testing.T) {
	rules, err := os.ReadFile("../../rules/shipped/postgres.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"pg_up": true, "pg_part_down": true}
	for _, part := range postgres.Parts() {
		for _, m := range part.Metrics {
			known[m.Name] = true
		}
	}
	known["pg_database_wraparound_age_"] = known["pg_database_wraparound_age_datfrozenxid_seconds"] && known["pg_database_wraparound_age_datminmxid_seconds"]
	expressions := expression.FindAllString(string(rules), -1)
	if len(expressions) < 10 {
		t.Fatalf("%d rules are found", len(expressions))
	}
	for _, e := range expressions {
		for _, name := range regexp.MustCompile(`\bpg_\w+`).FindAllString(e, -1) {
			if !known[name] {
				t.Errorf("%s is asked for and never told, in %s", name, e)
			}
		}
	}
}
