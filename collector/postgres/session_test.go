package postgres_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"flyball/collector/exporter"
	"flyball/collector/postgres"
	"flyball/deploy/testservers"
)

// ours lists the pids of our connections.
func ours(t testing.TB, p *testservers.Postgres) string {
	t.Helper()
	return p.SQL(t, "postgres", "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE application_name = 'flyball'")
}

func TestOneConnectionIsKeptBetweenScrapes(t *testing.T) {
	t.Parallel()
	p := primary(t)
	w := watch(t, config(p, "postgres"))
	w.scrape().fails(map[string]string{})
	pid := ours(t, p)
	for range 3 {
		w.scrape().fails(map[string]string{})
	}
	if got := ours(t, p); got != pid || pid == "" || strings.Contains(pid, " ") {
		t.Errorf("the connections were %q, and are %q", pid, got)
	}
	const state = "SELECT state, backend_xid IS NULL AND backend_xmin IS NULL FROM pg_stat_activity WHERE application_name = 'flyball'"
	if got := p.SQL(t, "postgres", state); got != "idle|t" {
		t.Errorf("between scrapes it is %q, and not idle without a snapshot", got)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	until(t, "it is closed", func() bool { return ours(t, p) == "" })
	w.scrape().is("pg_up", 0) // who scrapes after all opens nothing that nobody would close
	if got := ours(t, p); got != "" {
		t.Errorf("after the end there are the connections %q", got)
	}
}

func TestAConnectionThatTheServerEndedIsOpenedAnewInTheSameScrape(t *testing.T) {
	t.Parallel()
	p := primary(t)
	w := watch(t, config(p, "postgres"))
	w.scrape().is("pg_up", 1)
	pid := ours(t, p)
	p.SQL(t, "postgres", "SELECT pg_terminate_backend("+pid+", 10000)")
	w.scrape().fails(map[string]string{})
	if got := ours(t, p); got == pid || got == "" {
		t.Errorf("the connections were %q, and are %q", pid, got)
	}
	p.Stop(t)
	p.Restart(t)
	w.scrape().fails(map[string]string{})
}

func TestAServerThatIsGoneIsDownAndComesBackByItself(t *testing.T) {
	t.Parallel()
	p := primary(t)
	w := watch(t, config(p, "postgres"))
	w.scrape().is("pg_up", 1)
	p.Kill(t)
	down := w.scrape()
	down.is("pg_up", 0)
	down.is("pg_down{reason=refused}", 1)
	down.lacks("pg_static", "pg_part_up", "pg_replication_is_replica")
	w.log.has(t, "connection refused")
	p.Restart(t)
	w.scrape().fails(map[string]string{})
	w.log.has(t, "target answers again")
}

func TestAFrozenServerCostsTheTimeoutAndComesBackByItself(t *testing.T) {
	t.Parallel()
	for name, opened := range map[string]bool{"with a connection": true, "without one": false} {
		t.Run(name, func(t *testing.T) {
			p := primary(t)
			c := config(p, "postgres")
			c.Timeout = 500 * time.Millisecond
			w := watch(t, c)
			if opened {
				w.scrape().is("pg_up", 1)
			}
			p.Freeze(t)
			for range 3 {
				began := time.Now()
				down := w.scrape()
				if took := time.Since(began); took > c.Timeout+300*time.Millisecond {
					t.Errorf("the scrape took %s", took)
				}
				down.is("pg_up", 0)
				down.is("pg_down{reason=timeout}", 1)
			}
			p.Thaw(t)
			until(t, "it is up", func() bool { return w.scrape().values["pg_up"] == 1 })
			until(t, "no other connection is left", func() bool { return !strings.Contains(ours(t, p), " ") })
		})
	}
}

func TestAScrapersOwnDeadlineHoldsToo(t *testing.T) {
	t.Parallel()
	p := primary(t)
	w := watch(t, config(p, "postgres"))
	w.scrape().is("pg_up", 1)
	p.Freeze(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	w.registry = prometheus.NewPedanticRegistry()
	w.registry.MustRegister(w.Within(ctx))
	began := time.Now()
	w.scrape().is("pg_down{reason=timeout}", 1)
	if took := time.Since(began); took > time.Second {
		t.Errorf("the scrape took %s", took)
	}
	p.Thaw(t)
}

func TestALockedTableCostsOnlyItsSize(t *testing.T) {
	t.Parallel()
	p := primary(t)
	p.SQL(t, "postgres", "CREATE TABLE free (n int); CREATE TABLE locked (n int); CREATE EXTENSION pg_stat_statements")
	w := watch(t, config(p, "postgres"))
	size := func(table string) string {
		return "pg_stat_user_tables_table_size_bytes{datname=postgres,relname=" + table + ",schemaname=public}"
	}
	w.scrape().is(size("locked"), 0)
	free := lock(t, p, "public.locked")
	s := w.scrape()
	s.fails(map[string]string{})
	s.is(size("free"), 0)
	s.lacks(size("locked"))
	s.is("pg_stat_user_tables_n_tup_ins{datname=postgres,relname=locked,schemaname=public}", 0)
	s.is("pg_locks_count{datname=postgres,mode=accessexclusivelock}", 1)
	free()
	w.scrape().is(size("locked"), 0)
}

// lock locks a table away until the function is called.
func lock(t *testing.T, p *testservers.Postgres, table string) (free func()) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), p.DSN("postgres", "", "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), "BEGIN; LOCK TABLE "+table+" IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := c.Close(context.Background()); err != nil {
			t.Error(err)
		}
		until(t, "the lock is gone", func() bool {
			return p.SQL(t, "postgres", "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name = ''") == "0"
		})
	}
}

func TestALockedCatalogueCostsThePartsThatReadIt(t *testing.T) {
	t.Parallel()
	p := primary(t)
	w := watch(t, config(p, "postgres"))
	w.scrape().fails(map[string]string{})
	pid := ours(t, p)
	c, err := pgx.Connect(t.Context(), p.DSN("postgres", "", "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(t.Context(), "BEGIN; SET allow_system_table_mods = on; LOCK TABLE pg_catalog.pg_tablespace, pg_catalog.pg_extension IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s := w.scrape()
	s.fails(map[string]string{"statements": exporter.Timeout})
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the scrape took %s", took)
	}
	w.log.has(t, "another session has locked what is read")
	if _, err := c.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	w.scrape().fails(map[string]string{})
	if got := ours(t, p); got != pid {
		t.Errorf("the connection was %s, and is %s", pid, got)
	}
}

func TestWhatIsNotPermittedFailsAloneAndSaysWhatToGrant(t *testing.T) {
	t.Parallel()
	p := testservers.StartPostgres(t)
	p.SQL(t, "postgres", "CREATE ROLE watch LOGIN PASSWORD '"+password+"'; CREATE EXTENSION pg_stat_statements; CREATE DATABASE hidden; REVOKE CONNECT ON DATABASE hidden FROM public")
	s := p.Standby(t, "second")
	w, atStandby := watch(t, config(p, "postgres")), watch(t, config(s, "postgres"))
	denied := map[string]string{
		"activity": exporter.Permission, "standbys": exporter.Permission, "wal_files": exporter.Permission,
		"database_sizes": exporter.Permission, "statements": exporter.Permission,
	}
	got := w.scrape()
	got.fails(denied)
	got.lacks("pg_stat_activity_count", "pg_stat_replication_pg_wal_lsn_diff", "pg_wal_segments", "pg_stat_statements_calls_total", "pg_database_size_bytes{datname=hidden}")
	got.is("pg_replication_is_replica", 0)
	got.must("pg_database_size_bytes{datname=postgres}")
	for _, part := range []string{"activity", "standbys", "wal_files", "database_sizes", "statements"} {
		w.log.has(t, "part="+part+" reason=permission")
	}
	w.log.has(t, `GRANT pg_monitor TO \"watch\"`)
	denied["replication"] = exporter.Permission
	cut := atStandby.scrape()
	cut.fails(denied)
	cut.lacks("pg_replication_lag_seconds", "pg_replication_is_streaming")
	cut.is("pg_replication_is_replica", 1)

	p.SQL(t, "postgres", "GRANT pg_monitor TO watch")
	w.scrape().fails(map[string]string{})
	until(t, "the standby has the grant", func() bool { return len(atStandby.scrape().failed()) == 0 })
}

func TestWhatSomebodyMadeInPublicIsNotRead(t *testing.T) {
	t.Parallel()
	p := primary(t)
	p.SQL(t, "postgres", `CREATE VIEW public.pg_stat_archiver AS SELECT 4711 AS archived_count, 4711 AS failed_count, now() AS last_archived_time;
		CREATE FUNCTION public.left(text, int) RETURNS text LANGUAGE sql AS $$ SELECT '00004711' $$;
		ALTER ROLE watch SET search_path = public, pg_catalog; ALTER ROLE watch SET default_transaction_read_only = off; ALTER ROLE watch SET statement_timeout = 1`)
	s := watch(t, config(p, "postgres")).scrape()
	s.fails(map[string]string{})
	s.is("pg_stat_archiver_archived_count", 0)
	s.is("pg_timeline", 1)
}

func TestStatementsAreTimedOutByTheServerAndTheConnectionStays(t *testing.T) {
	t.Parallel()
	p := primary(t)
	// What is asked for each table now takes its time.
	p.SQL(t, "postgres", `CREATE EXTENSION pg_stat_statements; ALTER EXTENSION pg_stat_statements DROP FUNCTION pg_stat_statements(boolean);
		ALTER EXTENSION pg_stat_statements DROP VIEW pg_stat_statements; DROP VIEW pg_stat_statements; DROP FUNCTION pg_stat_statements(boolean);
		CREATE FUNCTION pg_stat_statements(showtext boolean) RETURNS TABLE (userid oid, dbid oid, queryid bigint, calls bigint, total_exec_time float8, rows bigint, blk_read_time float8, blk_write_time float8)
		LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); END $$`)
	c := config(p, "postgres")
	c.Timeout = 2 * time.Second
	w := watch(t, c)
	began := time.Now()
	w.scrape().fails(map[string]string{"statements": exporter.Timeout})
	if took := time.Since(began); took > c.Timeout {
		t.Errorf("the scrape took %s", took)
	}
	w.log.has(t, "canceling statement due to statement timeout")
	pid := ours(t, p)
	w.scrape().fails(map[string]string{"statements": exporter.Timeout})
	if got := ours(t, p); got != pid || pid == "" {
		t.Errorf("the connection was %q, and is %q", pid, got)
	}
}

func TestAnExtensionThatIsMissingIsNoFault(t *testing.T) {
	t.Parallel()
	p := primary(t)
	w := watch(t, config(p, "postgres"))
	s := w.scrape()
	s.fails(map[string]string{})
	s.is("pg_stat_statements_available", 0)
	s.lacks("pg_stat_statements_calls_total", "pg_stat_statements_omitted")
	p.SQL(t, "postgres", "CREATE EXTENSION pg_stat_statements")
	w.scrape().is("pg_stat_statements_available", 1)
	restarted(t, p, "shared_preload_libraries = auto_explain")
	s = w.scrape()
	s.fails(map[string]string{"statements": exporter.Missing})
	w.log.has(t, "shared_preload_libraries")
}

func TestARotatedPasswordIsReadAtTheNextConnect(t *testing.T) {
	t.Parallel()
	p := primary(t)
	file := filepath.Join(t.TempDir(), "password")
	put := func(password string) {
		if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("wrong")
	w := watch(t, postgres.Config{DSN: p.DSN("watch", "", "postgres"), PasswordFile: file})
	w.scrape().is("pg_down{reason=denied}", 1)
	put(password)
	w.scrape().is("pg_up", 1)
	p.SQL(t, "postgres", "ALTER ROLE watch PASSWORD 'next'; SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'flyball'")
	w.scrape().is("pg_down{reason=denied}", 1)
	put("next")
	w.scrape().is("pg_up", 1)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	w.scrape().is("pg_up", 1) // it is connected
}

func TestWhoScrapesAtTheSameTimeIsServedInTurn(t *testing.T) {
	t.Parallel()
	p := primary(t)
	w := watch(t, config(p, "postgres"))
	results := make(chan map[string]string)
	for range 8 {
		go func() {
			s := w.scrape()
			results <- s.failed()
		}()
	}
	for range 8 {
		if got := <-results; !maps.Equal(got, map[string]string{}) {
			t.Errorf("what could not be read is %v", got)
		}
	}
	if got := ours(t, p); strings.Contains(got, " ") {
		t.Errorf("the connections are %s", got)
	}
}
