package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"flyball/deploy/testservers"
)

// connect opens a session of the superuser, which ends with the test.
func connect(t testing.TB, p *testservers.Postgres, database string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), p.DSN("postgres", "", database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			t.Errorf("close a session: %v", err)
		}
	})
	return c
}

// does runs statements in a session.
func does(t testing.TB, c *pgx.Conn, sql string) {
	t.Helper()
	if _, err := c.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func TestSessionsAreToldByWhatTheyDo(t *testing.T) {
	t.Parallel()
	p := primary(t)
	w := watch(t, config(p, "postgres"))
	idle, open, broken := connect(t, p, "postgres"), connect(t, p, "postgres"), connect(t, p, "postgres")
	does(t, idle, "SELECT 1")
	does(t, open, "BEGIN; SELECT pg_sleep(0.05)")
	if _, err := broken.Exec(t.Context(), "BEGIN; SELECT 1/0"); err == nil {
		t.Fatal("nothing was broken")
	}
	s := w.scrape()
	s.is("pg_stat_activity_count{datname=postgres,state=idle}", 1)
	s.is("pg_stat_activity_count{datname=postgres,state=idle in transaction}", 1)
	s.is("pg_stat_activity_count{datname=postgres,state=idle in transaction (aborted)}", 1)
	s.is("pg_stat_activity_count{datname=postgres,state=active}", 1) // it is us
	s.is("pg_stat_activity_count{datname=template1,state=idle}", 0)
	s.is("pg_stat_activity_connections", 4)
	s.is("pg_settings_max_connections", 50)
	s.is("pg_stat_activity_max_tx_duration{datname=postgres,state=idle}", 0)
	const longest = "pg_stat_activity_max_tx_duration{datname=postgres,state=idle in transaction}"
	if s.must(longest) < 0.05 {
		t.Errorf("the open transaction is %g s old", s.must(longest))
	}
	if later := w.scrape().must(longest); later <= s.must(longest) {
		t.Errorf("the open transaction grew from %g to %g s", s.must(longest), later)
	}
}

func TestWhoIsBlockedIsTold(t *testing.T) {
	t.Parallel()
	p := primary(t)
	p.SQL(t, "postgres", "CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")
	w := watch(t, config(p, "postgres"))
	s := w.scrape()
	s.is("pg_locks_blocked_sessions{datname=postgres}", 0)
	s.is("pg_locks_blocked_longest_seconds{datname=postgres}", 0)
	s.is("pg_stat_activity_waiting{wait_event_type=Lock}", 0)
	holder, waiter := connect(t, p, "postgres"), connect(t, p, "postgres")
	does(t, holder, "BEGIN; UPDATE kept SET n = 2")
	done := make(chan error, 1)
	go func() {
		_, err := waiter.Exec(context.Background(), "UPDATE kept SET n = 3") // it waits for the row
		done <- err
	}()
	until(t, "it waits", func() bool { return w.scrape().must("pg_locks_blocked_sessions{datname=postgres}") == 1 })
	s = w.scrape()
	s.is("pg_stat_activity_waiting{wait_event_type=Lock}", 1)
	s.is("pg_locks_blocked_sessions{datname=template1}", 0)
	if s.must("pg_locks_blocked_longest_seconds{datname=postgres}") <= 0 {
		t.Error("it has waited for no time")
	}
	does(t, holder, "COMMIT")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	w.scrape().is("pg_locks_blocked_sessions{datname=postgres}", 0)
}

func TestASlotThatNobodyFollowsKeepsWAL(t *testing.T) {
	t.Parallel()
	p := primary(t)
	p.SQL(t, "postgres", "CREATE TABLE kept (n int, filler text); SELECT pg_create_physical_replication_slot('gone', true); SELECT pg_create_physical_replication_slot('unused')")
	w := watch(t, config(p, "postgres"))
	const kept = "pg_replication_slots_pg_wal_lsn_diff{database=,slot_name=gone}"
	before := w.scrape()
	write(t, p)
	after := w.scrape()
	if moved := after.must(kept) - before.must(kept); moved < 900_000 {
		t.Errorf("it keeps %g bytes more", moved)
	}
	sql := sqlNumber(t, p, "SELECT pg_current_wal_lsn() - restart_lsn FROM pg_replication_slots WHERE slot_name = 'gone'")
	if after.must(kept) > sql {
		t.Errorf("it keeps %g bytes, says SQL, and not %g", sql, after.must(kept))
	}
	after.is("pg_replication_slots_active{database=,slot_name=gone}", 0)
	after.is("pg_replication_slot_wal_status{slot_name=gone,slot_type=physical,wal_status=reserved}", 1)
	after.is("pg_replication_slots_active{database=,slot_name=unused}", 0)
	after.lacks("pg_replication_slots_pg_wal_lsn_diff{database=,slot_name=unused}")
}

func TestOfManyTablesAndStatementsTheLargestAreToldAndTheOthersCounted(t *testing.T) {
	t.Parallel()
	p := primary(t)
	var sql strings.Builder
	fmt.Fprintln(&sql, "CREATE EXTENSION pg_stat_statements; CREATE TEMP TABLE passing (n int);")
	for n := range 30 {
		fmt.Fprintf(&sql, "CREATE TABLE t%d AS SELECT * FROM generate_series(1, %d);", n, 1000*n)
	}
	p.SQL(t, "postgres", sql.String()+"ANALYZE")
	c := config(p, "postgres")
	c.Tables, c.Statements = 3, 4
	s := watch(t, c).scrape()
	s.fails(map[string]string{})
	for _, n := range []int{27, 28, 29} {
		s.must(fmt.Sprintf("pg_stat_user_tables_n_live_tup{datname=postgres,relname=t%d,schemaname=public}", n))
	}
	tables, statements := 0, 0
	for series := range s.values {
		if strings.HasPrefix(series, "pg_stat_user_tables_seq_scan{") {
			tables++
		}
		if strings.HasPrefix(series, "pg_stat_statements_calls_total{") {
			statements++
		}
	}
	if tables != 3 || statements != 4 {
		t.Errorf("%d tables and %d statements are told", tables, statements)
	}
	s.is("pg_stat_user_tables_omitted{datname=postgres}", 27)
	if s.must("pg_stat_statements_omitted") < 20 {
		t.Errorf("%g statements are omitted", s.must("pg_stat_statements_omitted"))
	}
}

func TestWhatIsNotWantedIsNotAsked(t *testing.T) {
	t.Parallel()
	p := primary(t)
	p.SQL(t, "postgres", "CREATE TABLE kept (n int)")
	c := config(p, "postgres")
	c.Tables, c.Statements, c.Databases = 0, 0, []string{"postgres"}
	s := watch(t, c).scrape()
	s.lacks("pg_stat_user_tables_seq_scan", "pg_stat_user_tables_omitted", "pg_stat_statements_available",
		"pg_part_up{part=tables}", "pg_part_up{part=table_sizes}", "pg_part_up{part=statements}",
		"pg_database_size_bytes{datname=template1}", "pg_locks_blocked_sessions{datname=template1}", "pg_database_connection_limit{datname=template1}")
	s.must("pg_database_size_bytes{datname=postgres}")
	s.must("pg_database_wraparound_age_datfrozenxid_seconds{datname=template1}")
}

func TestSettingsAreInBytesAndSeconds(t *testing.T) {
	t.Parallel()
	p := primary(t)
	settings(t, p, "work_mem = '5MB'", "max_wal_size = '2GB'", "wal_sender_timeout = '90s'", "checkpoint_timeout = '7min'")
	w := watch(t, config(p, "postgres"))
	until(t, "they are in force", func() bool { return w.scrape().must("pg_settings_work_mem_bytes") == 5<<20 })
	s := w.scrape()
	s.is("pg_settings_max_wal_size_bytes", 2<<30)
	s.is("pg_settings_wal_sender_timeout_seconds", 90)
	s.is("pg_settings_checkpoint_timeout_seconds", 420)
	s.is("pg_settings_shared_buffers_bytes", 32<<20)
	s.is("pg_settings_max_slot_wal_keep_size_bytes", -1)
	s.is("pg_settings_autovacuum", 1)
	s.is("pg_settings_fsync", 0)
	s.is("pg_settings_random_page_cost", 4)
}
