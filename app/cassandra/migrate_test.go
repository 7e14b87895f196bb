package cassandra

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"flyball/deploy/testservers"
)

func TestManyMigrationsAtOnceMakeOneSchema(t *testing.T) {
	t.Parallel()
	o := options(t, testservers.SharedCassandra(t))
	m := Migration{Replication: map[string]int{datacenter: 1}, Buckets: 3}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := Migrate(t.Context(), o, m); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s := opened(t, o)
	if s.buckets != 3 {
		t.Errorf("%d buckets, want 3", s.buckets)
	}
	create(t, s, some("a", "book"))
	if err := Migrate(t.Context(), o, Migration{}); err != nil {
		t.Errorf("one more: %v", err)
	}
	if got := ids(t, s, ""); len(got) != 1 {
		t.Errorf("one more migration left %v, want the product", got)
	}
}

func TestAMigrationWaitsForAnotherAndTakesOverFromADeadOne(t *testing.T) {
	t.Parallel()
	c := testservers.SharedCassandra(t)
	o := options(t, c)
	g := &migrator{keyspace: o.Keyspace, name: "dead", log: o.Logger}
	var err error
	if g.session, err = connect(t.Context(), o, o.surveying()); err != nil {
		t.Fatal(err)
	}
	defer g.session.Close()
	if err := g.makeKeyspace(t.Context(), map[string]int{datacenter: 1}); err != nil {
		t.Fatal(err)
	}
	if err := g.makeLayout(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.CQL(t, fmt.Sprintf("UPDATE %s.layout USING TTL 2 SET holder = 'dead' WHERE one = 0 IF holder = null", o.Keyspace))
	var log bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	if err := Migrate(t.Context(), o, Migration{}); err != nil {
		t.Fatal(err)
	}
	if text := log.String(); !strings.Contains(text, "waiting for another migration") || !strings.Contains(text, "holder=dead") {
		t.Errorf("the log does not say who was waited for:\n%s", text)
	}
	if err := g.hold(t.Context(), "dead"); err == nil || !strings.Contains(err.Error(), "took over") {
		t.Errorf("the dead one wakes up: got %v, want that it stops", err)
	}
	opened(t, o)
}

func TestAMigrationThatCannotBeMadeSaysWhy(t *testing.T) {
	t.Parallel()
	c := testservers.SharedCassandra(t)
	there := migrated(t, c)
	one := map[string]int{datacenter: 1}
	tests := []struct {
		name  string
		o     Options
		m     Migration
		wants []string
	}{
		{"no replication", options(t, c), Migration{}, []string{"no replication is given", "datacenter1=1"}},
		{"another data centre", options(t, c), Migration{Replication: map[string]int{"dc1": 1}}, []string{`no data centre "dc1"`, "datacenter1"}},
		{"more replicas than nodes", options(t, c), Migration{Replication: map[string]int{datacenter: 3}}, []string{"1 nodes", "not 3"}},
		{"too many buckets", options(t, c), Migration{Replication: one, Buckets: 2000}, []string{"2000", "1024"}},
		{"replicated otherwise", there, Migration{Replication: map[string]int{datacenter: 2}}, []string{"ALTER KEYSPACE", "repair"}},
		{"other buckets", there, Migration{Replication: one, Buckets: 17}, []string{"16 buckets", "cannot be changed"}},
		{"a name that is none", Options{Hosts: c.Hosts(), Port: c.Port(), Keyspace: "a;b", Logger: there.Logger}, Migration{Replication: one}, []string{"keyspace", "a;b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			says(t, Migrate(t.Context(), tt.o, tt.m), tt.wants...)
		})
	}
}

// says checks that there is an error with all that it has to tell.
func says(t *testing.T, err error, wants ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q", wants)
	}
	for _, w := range wants {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error does not say %q:\n%v", w, err)
		}
	}
}

func TestASchemaThatDoesNotFitIsExplained(t *testing.T) {
	t.Parallel()
	c := testservers.SharedCassandra(t)
	o := options(t, c)
	open := func() error {
		s, err := Open(t.Context(), o)
		if err == nil {
			s.Close()
		}
		return err
	}
	says(t, open(), "no keyspace "+o.Keyspace, "app migrate")
	c.CQL(t, fmt.Sprintf("CREATE KEYSPACE %s WITH replication = {'class': 'NetworkTopologyStrategy', '%s': 1}", o.Keyspace, datacenter))
	says(t, open(), "has no tables", "app migrate")
	if err := Migrate(t.Context(), o, Migration{}); err != nil {
		t.Fatal(err)
	}
	if err := open(); err != nil {
		t.Error(err)
	}
	c.CQL(t, fmt.Sprintf("UPDATE %s.layout SET version = 99 WHERE one = 0 IF version = 1", o.Keyspace))
	says(t, open(), "version 99", "use a newer app")
	says(t, Migrate(t.Context(), o, Migration{}), "version 99", "use a newer app")
}

func TestALayoutThatIsTooOldNamesBothVersions(t *testing.T) {
	err := layout{keyspace: true, version: -1, buckets: 1}.usable("app")
	says(t, err, "version -1", fmt.Sprintf("needs %d", len(migrations())), "app migrate")
}

func TestAMigrationEndsWithItsContext(t *testing.T) {
	t.Parallel()
	o := options(t, testservers.SharedCassandra(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	says(t, Migrate(ctx, o, Migration{Replication: map[string]int{datacenter: 1}}), context.Canceled.Error())
}
