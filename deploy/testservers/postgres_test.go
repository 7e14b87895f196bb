package testservers

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestPostgresKeepsItsDataWhenKilledAndLeavesNothing(t *testing.T) {
	var dir string
	t.Run("life", func(t *testing.T) {
		p := StartPostgres(t)
		dir = p.Dir()
		p.SQL(t, "postgres", "CREATE TABLE kept (n int); INSERT INTO kept VALUES (1), (2)")
		p.Freeze(t)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, err := p.query(ctx, "postgres", "SELECT 1"); err == nil {
			t.Error("a frozen server answered")
		}
		p.Thaw(t)
		if got := p.SQL(t, "postgres", "SELECT sum(n) FROM kept"); got != "3" {
			t.Errorf("after the thaw the sum is %s", got)
		}
		p.Kill(t)
		if ps := belonging(dir); len(ps) > 0 || answers(p.Addr()) {
			t.Errorf("killed, there are %v", ps)
		}
		p.Restart(t)
		p.Restart(t) // while it runs
		if got := p.SQL(t, "postgres", "SELECT sum(n) FROM kept"); got != "3" {
			t.Errorf("after the restart the sum is %s", got)
		}
		p.Stop(t)
		if !strings.Contains(p.Log(), "database system is shut down") {
			t.Errorf("it did not end in order:\n%s", p.Log())
		}
		p.Restart(t)
	})
	gone(t, dir)
}

func TestFreezeReachesOpenSessionsOfPostgres(t *testing.T) {
	p := StartPostgres(t)
	session := exec.CommandContext(t.Context(), p.install.path("psql"), "-X", "-q", "-At", "-d", p.DSN("postgres", "", "postgres"))
	in, err := session.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close(); _ = session.Wait() }()
	lines := make(chan string)
	go func() {
		defer close(lines)
		buf := make([]byte, 64)
		for {
			n, err := out.Read(buf)
			if err != nil {
				return
			}
			lines <- string(buf[:n])
		}
	}()
	ask := func() { _, _ = in.Write([]byte("SELECT 7;\n")) }
	ask()
	<-lines
	p.Freeze(t)
	ask()
	select {
	case line := <-lines:
		t.Errorf("the session of a frozen server answered %q", line)
	case <-time.After(200 * time.Millisecond):
	}
	p.Thaw(t)
	if line := <-lines; line != "7\n" {
		t.Errorf("after the thaw it answered %q", line)
	}
}

func TestOnlyTheSuperuserNeedsNoPassword(t *testing.T) {
	p := SharedPostgres(t)
	database := p.Database(t)
	p.SQL(t, database, "CREATE ROLE visitor LOGIN PASSWORD 'right'")
	t.Cleanup(func() { p.SQL(t, database, "DROP ROLE visitor") })
	for _, tt := range []struct {
		user, password string
		ok             bool
	}{
		{"postgres", "", true}, {"visitor", "right", true}, {"visitor", "wrong", false}, {"visitor", "", false},
	} {
		out, err := exec.CommandContext(t.Context(), p.install.path("psql"), "-X", "-w", "-d", p.DSN(tt.user, tt.password, database), "-c", "SELECT 1").CombinedOutput()
		if (err == nil) != tt.ok {
			t.Errorf("%s with %q: %v: %s", tt.user, tt.password, err, out)
		}
	}
}

func TestStandbyStreamsAndIsPromoted(t *testing.T) {
	p := StartPostgres(t)
	s := p.Standby(t, "second")
	if got := p.SQL(t, "postgres", "SELECT application_name, state FROM pg_stat_replication"); got != "second|streaming" {
		t.Errorf("the primary sees %q", got)
	}
	if got := p.SQL(t, "postgres", "SELECT slot_name, active FROM pg_replication_slots"); got != "second|t" {
		t.Errorf("the slots are %q", got)
	}
	p.SQL(t, "postgres", "CREATE TABLE kept AS SELECT 5 AS n")
	until(t, "the table is on the standby", func() bool {
		out, err := s.query(t.Context(), "postgres", "SELECT n FROM kept")
		return err == nil && out == "5"
	})
	p.Kill(t)
	s.Restart(t)
	s.Promote(t)
	s.SQL(t, "postgres", "INSERT INTO kept VALUES (6)")
}

func TestPostgresHasWhatCollectorsRead(t *testing.T) {
	p := SharedPostgres(t)
	database := p.Database(t)
	p.SQL(t, database, "CREATE EXTENSION pg_stat_statements")
	for setting, want := range map[string]string{"wal_level": "replica", "wal_log_hints": "on", "track_io_timing": "on", "fsync": "off", "data_checksums": "on"} {
		if got := p.SQL(t, database, "SHOW "+setting); got != want {
			t.Errorf("%s is %s, want %s", setting, got, want)
		}
	}
}
