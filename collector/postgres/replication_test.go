package postgres_test

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"flyball/deploy/testservers"
)

// of is the series of a metric of the standby second.
func of(metric string) string {
	return metric + "{application_name=second,client_addr=127.0.0.1,slot_name=second,state=streaming}"
}

// sqlNumber is what the superuser is told.
func sqlNumber(t testing.TB, p *testservers.Postgres, sql string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(p.SQL(t, "postgres", sql), 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// pair is a primary with its standby second, both watched, and a table kept. Both
// know of all: until something was sent, the primary has no positions of a
// standby but every wal_receiver_status_interval.
func pair(t *testing.T) (p, s *testservers.Postgres, atPrimary, atStandby *watched) {
	t.Helper()
	p = primary(t)
	p.SQL(t, "postgres", "CREATE TABLE kept (n int, filler text)")
	s = p.Standby(t, "second")
	write(t, p)
	replayed(t, p, s)
	until(t, "the primary knows of it", func() bool {
		return p.SQL(t, "postgres", "SELECT replay_lsn >= pg_current_wal_flush_lsn() FROM pg_stat_replication") == "t"
	})
	return p, s, watch(t, config(p, "postgres")), watch(t, config(s, "postgres"))
}

// write writes about a megabyte.
func write(t testing.TB, p *testservers.Postgres) {
	t.Helper()
	p.SQL(t, "postgres", "INSERT INTO kept SELECT n, repeat('x', 900) FROM generate_series(1, 1000) n")
}

// replayed waits until the standby has all of the primary.
func replayed(t testing.TB, p, s *testservers.Postgres) {
	t.Helper()
	position := p.SQL(t, "postgres", "SELECT pg_current_wal_flush_lsn()")
	until(t, "the standby has replayed all", func() bool {
		return s.SQL(t, "postgres", "SELECT pg_last_wal_replay_lsn() >= '"+position+"'") == "t"
	})
}

func TestAnIdlePrimaryHasAStandbyWithoutLag(t *testing.T) {
	t.Parallel()
	_, s, atPrimary, atStandby := pair(t)
	until(t, "the age of the last transaction is no lag", func() bool {
		return sqlNumber(t, s, "SELECT extract(epoch FROM now() - pg_last_xact_replay_timestamp())") > 1.5
	})
	until(t, "the primary knows", func() bool { return atPrimary.scrape().must(of("pg_stat_replication_replay_diff_bytes")) == 0 })
	primary, standby := atPrimary.scrape(), atStandby.scrape()
	primary.is(of("pg_stat_replication_replay_lag_seconds"), 0)
	primary.is(of("pg_stat_replication_flush_lag_seconds"), 0)
	primary.is(of("pg_stat_replication_pg_wal_lsn_diff"), 0)
	primary.is("pg_replication_is_replica", 0)
	primary.is("pg_replication_lag_seconds", 0)
	primary.lacks("pg_replication_lag_bytes", "pg_replication_is_streaming", "pg_stat_wal_receiver_status")
	standby.is("pg_replication_lag_seconds", 0)
	standby.is("pg_replication_lag_bytes", 0)
	standby.is("pg_replication_is_streaming", 1)
	standby.is("pg_replication_is_replica", 1)
	standby.is("pg_stat_wal_receiver_status{slot_name=second,upstream_host=127.0.0.1}", 2)
	if age := standby.must("pg_replication_last_replay_seconds"); age < 1.5 {
		t.Errorf("the last transaction is %g s old", age)
	}
}

// noLag is a standby that does not know how far it is behind.
func noLag(s scrape) {
	s.t.Helper()
	s.is("pg_up", 1)
	s.is("pg_replication_is_replica", 1)
	s.is("pg_replication_is_streaming", 0)
	s.lacks("pg_replication_lag_seconds", "pg_replication_lag_bytes")
}

func TestAStandbyThatIsCutOffHasNoLag(t *testing.T) {
	t.Parallel()
	p, s, atPrimary, atStandby := pair(t)
	atStandby.scrape().is("pg_replication_lag_seconds", 0)

	settings(t, s, "primary_conninfo = ''")
	until(t, "the receiver ends", func() bool { return s.SQL(t, "postgres", "SELECT count(*) FROM pg_stat_wal_receiver") == "0" })
	write(t, p)
	standby := atStandby.scrape()
	noLag(standby)
	standby.lacks("pg_stat_wal_receiver_status")
	if standby.must("pg_replication_last_replay_seconds") <= 0 {
		t.Error("the age of the last transaction is not told")
	}
	until(t, "the primary misses it", func() bool { return p.SQL(t, "postgres", "SELECT count(*) FROM pg_stat_replication") == "0" })
	primary := atPrimary.scrape()
	primary.lacks("pg_stat_replication_replay_lag_seconds", "pg_stat_replication_pg_wal_lsn_diff")
	primary.is("pg_replication_slots_active{database=,slot_name=second}", 0)
	if kept := primary.must("pg_replication_slots_pg_wal_lsn_diff{database=,slot_name=second}"); kept < 900_000 {
		t.Errorf("the slot keeps %g bytes", kept)
	}

	settings(t, s, fmt.Sprintf("primary_conninfo = 'host=127.0.0.1 port=%s user=postgres application_name=second'", p.Port()))
	until(t, "it catches up", func() bool { return atStandby.scrape().values["pg_replication_is_streaming"] == 1 })
	replayed(t, p, s)
	atStandby.scrape().is("pg_replication_lag_bytes", 0)
}

func TestAStandbyWhosePrimaryIsGoneHasNoLag(t *testing.T) {
	t.Parallel()
	p, s, atPrimary, atStandby := pair(t)
	p.Kill(t)
	until(t, "the receiver ends", func() bool { return s.SQL(t, "postgres", "SELECT count(*) FROM pg_stat_wal_receiver") == "0" })
	noLag(atStandby.scrape())
	down := atPrimary.scrape()
	down.is("pg_up", 0)
	down.is("pg_down{reason=refused}", 1)
	p.Restart(t)
	until(t, "it streams again", func() bool { return atStandby.scrape().values["pg_replication_is_streaming"] == 1 })
	atPrimary.scrape().is("pg_up", 1)
}

func TestAStandbyThatDoesNotReplayLagsAsSQLSays(t *testing.T) {
	t.Parallel()
	p, s, atPrimary, atStandby := pair(t)
	began := time.Now()
	atPrimary.scrape()
	atStandby.scrape()
	s.SQL(t, "postgres", "SELECT pg_wal_replay_pause()")
	until(t, "replay is paused", func() bool { return s.SQL(t, "postgres", "SELECT pg_get_wal_replay_pause_state()") == "paused" })
	write(t, p)
	const bytes = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) FROM pg_stat_replication"
	const received = "SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())"
	until(t, "it is received", func() bool { return sqlNumber(t, s, received) > 900_000 })
	for range 3 { // a scrape lies between what SQL says before and after
		write(t, p)
		before := sqlNumber(t, p, bytes)
		primary := atPrimary.scrape().must(of("pg_stat_replication_pg_wal_lsn_diff"))
		if after := sqlNumber(t, p, bytes); primary < before || primary > after {
			t.Errorf("the primary tells of %g bytes, SQL of %g to %g", primary, before, after)
		}
		before = sqlNumber(t, s, received)
		standby := atStandby.scrape()
		standby.is("pg_replication_is_replay_paused", 1)
		end := sqlNumber(t, p, "SELECT pg_current_wal_lsn() - '0/0'") - sqlNumber(t, s, "SELECT pg_last_wal_replay_lsn() - '0/0'")
		if got := standby.must("pg_replication_lag_bytes"); got < before || got > end {
			t.Errorf("the standby tells of %g bytes, SQL of %g to %g", got, before, end)
		}
	}
	seen := time.Now() // both have told of what is missing
	until(t, "a second has passed", func() bool { return time.Since(seen) > time.Second })
	least := time.Since(seen).Seconds()
	for name, got := range map[string]float64{
		"primary": atPrimary.scrape().must(of("pg_stat_replication_replay_lag_seconds")),
		"standby": atStandby.scrape().must("pg_replication_lag_seconds"),
	} {
		if most := time.Since(began).Seconds(); got < least || got > most {
			t.Errorf("the %s tells of %g s, want %g to %g", name, got, least, most)
		}
	}
	s.SQL(t, "postgres", "SELECT pg_wal_replay_resume()")
	replayed(t, p, s)
	until(t, "the primary knows", func() bool { return atPrimary.scrape().must(of("pg_stat_replication_replay_lag_seconds")) == 0 })
	atStandby.scrape().is("pg_replication_lag_seconds", 0)
}

func TestLagInSecondsUnderLoadIsThatOfSQL(t *testing.T) {
	t.Parallel()
	p, s, atPrimary, atStandby := pair(t)
	settings(t, s, "recovery_min_apply_delay = '1500ms'")
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				p.SQL(t, "postgres", "INSERT INTO kept VALUES (1, 'x')")
			}
		}
	}()
	defer func() { close(stop); <-done }()
	const primarySays = "SELECT coalesce(extract(epoch FROM replay_lag), 0) FROM pg_stat_replication"
	const standbySays = "SELECT extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())"
	until(t, "SQL tells of the delay", func() bool { return sqlNumber(t, p, primarySays) > 1.3 })
	for range 5 {
		between(t, "primary", func() float64 { return sqlNumber(t, p, primarySays) }, func() float64 {
			return atPrimary.scrape().must(of("pg_stat_replication_replay_lag_seconds"))
		})
		between(t, "standby", func() float64 { return sqlNumber(t, s, standbySays) }, func() float64 {
			return atStandby.scrape().must("pg_replication_lag_seconds")
		})
	}
}

// between checks that a lag in seconds is that of SQL before or after it, give or
// take as long as it took to ask.
func between(t *testing.T, who string, sql, told func() float64) {
	t.Helper()
	began := time.Now()
	before, got, after := sql(), told(), sql()
	took := time.Since(began).Seconds() + 0.1
	if got < min(before, after)-took || got > max(before, after)+took {
		t.Errorf("the %s tells of %g s, SQL of %g and %g", who, got, before, after)
	}
}

// receiverStops stops the receiver of a standby and nothing else, which then is
// connected and hears nothing.
func receiverStops(t *testing.T, s *testservers.Postgres) {
	t.Helper()
	pid, err := strconv.Atoi(s.SQL(t, "postgres", "SELECT pid FROM pg_stat_wal_receiver"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
}

func TestAReceiverThatHangsIsSeenFromBothSides(t *testing.T) {
	t.Parallel()
	p, s, atPrimary, atStandby := pair(t)
	settings(t, s, "wal_receiver_timeout = '2s'")
	until(t, "all is replayed", func() bool { return atPrimary.scrape().must(of("pg_stat_replication_replay_diff_bytes")) == 0 })
	receiverStops(t, s)
	write(t, p)
	began := time.Now()
	atPrimary.scrape() // it sees what is written
	noticed := time.Now()
	until(t, "two seconds have passed", func() bool { return time.Since(noticed) > 2*time.Second })
	least := time.Since(noticed).Seconds()
	primary := atPrimary.scrape()
	if got := primary.must(of("pg_stat_replication_replay_lag_seconds")); got < least || got > time.Since(began).Seconds()+1 {
		t.Errorf("the primary tells of %g s, want %g at least", got, least)
	}
	if got := sqlNumber(t, p, "SELECT coalesce(extract(epoch FROM replay_lag), 0) FROM pg_stat_replication"); got > 1 {
		t.Errorf("SQL tells of %g s itself: the test tests nothing", got)
	}
	if got := primary.must(of("pg_stat_replication_replay_diff_bytes")); got < 900_000 {
		t.Errorf("the primary tells of %g bytes", got)
	}
	until(t, "the standby says that it hears nothing", func() bool { return atStandby.scrape().must("pg_replication_is_streaming") == 0 })
	noLag(atStandby.scrape())
	if got := s.SQL(t, "postgres", "SELECT status FROM pg_stat_wal_receiver"); got != "streaming" {
		t.Errorf("the receiver is %q: the test tests nothing", got)
	}
}

func TestPromotingChangesRoleAndTimelineByTheNextScrape(t *testing.T) {
	t.Parallel()
	p, s, atPrimary, atStandby := pair(t)
	before := atStandby.scrape()
	before.is("pg_replication_is_replica", 1)
	before.is("pg_timeline", 1)
	s.Promote(t)
	after := atStandby.scrape()
	after.is("pg_up", 1)
	after.is("pg_replication_is_replica", 0)
	after.is("pg_timeline", 2)
	after.is("pg_replication_lag_seconds", 0)
	after.lacks("pg_replication_is_streaming", "pg_replication_lag_bytes")
	system := "pg_system_identifier{system_identifier=" + p.SQL(t, "postgres", "SELECT system_identifier FROM pg_control_system()") + "}"
	atPrimary.scrape().is(system, 1)
	after.is(system, 1) // two primaries of one system
	s.SQL(t, "postgres", "SELECT pg_switch_wal()")
	if s.SQL(t, "postgres", "SHOW transaction_read_only") != "off" {
		t.Error("it was not promoted")
	}
}

func TestAStandbyOfAStandbyIsToldOfBySender(t *testing.T) {
	t.Parallel()
	p := primary(t)
	settings(t, p, "full_page_writes = on") // or nobody may copy a standby
	p.SQL(t, "postgres", "CREATE TABLE kept (n int, filler text); CHECKPOINT")
	s := p.Standby(t, "second")
	third := s.Standby(t, "third")
	atStandby := watch(t, config(s, "postgres"))
	write(t, p)
	replayed(t, p, third)
	series := "pg_stat_replication_replay_lag_seconds{application_name=third,client_addr=127.0.0.1,slot_name=third,state=streaming}"
	until(t, "the third has all", func() bool {
		behind, told := atStandby.scrape().values[strings.Replace(series, "lag_seconds", "diff_bytes", 1)]
		return told && behind == 0
	})
	atStandby.scrape().is(series, 0)
	watch(t, config(third, "postgres")).scrape().is("pg_replication_lag_bytes", 0)
}

func TestStandbysThatShareANameAreToldOnceAsTheLast(t *testing.T) {
	t.Parallel()
	p := primary(t)
	p.SQL(t, "postgres", "CREATE TABLE kept (n int, filler text)")
	a, b := p.Standby(t, "one"), p.Standby(t, "two")
	for _, s := range []*testservers.Postgres{a, b} { // no slots, one name
		settings(t, s, "primary_slot_name = ''", fmt.Sprintf("primary_conninfo = 'host=127.0.0.1 port=%s user=postgres application_name=same'", p.Port()))
	}
	until(t, "both stream", func() bool {
		return p.SQL(t, "postgres", "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'same' AND state = 'streaming'") == "2"
	})
	b.SQL(t, "postgres", "SELECT pg_wal_replay_pause()")
	write(t, p)
	replayed(t, p, a)
	w := watch(t, config(p, "postgres"))
	w.scrape().fails(map[string]string{})
	if got := w.scrape().must("pg_stat_replication_pg_wal_lsn_diff{application_name=same,client_addr=127.0.0.1,slot_name=,state=streaming}"); got < 900_000 {
		t.Errorf("the one that is behind is told of with %g bytes", got)
	}
}
