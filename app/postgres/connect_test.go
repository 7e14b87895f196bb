package postgres

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"flyball/app/product"
	"flyball/deploy/testservers"
)

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAPasswordMayChangeWhileTheStoreIsOpen(t *testing.T) {
	t.Parallel()
	p := testservers.StartPostgres(t)
	p.SQL(t, "postgres", "CREATE ROLE app LOGIN PASSWORD 'first:Sesame'; GRANT CREATE ON SCHEMA public TO app")
	dir := t.TempDir()
	o := options(t, nil, "")
	o.DSN = p.DSN("app", "", "postgres")
	o.PasswordFile = filepath.Join(dir, "password")
	write(t, o.PasswordFile, "first:Sesame\n")
	s := opened(t, migrated(t, o))
	inFile := o
	inFile.DSN, inFile.PasswordFile, inFile.DSNFile = "", "", filepath.Join(dir, "dsn")
	write(t, inFile.DSNFile, p.DSN("app", "first:Sesame", "postgres"))
	inFile.Registry = nil
	f := opened(t, inFile)

	p.SQL(t, "postgres", "ALTER ROLE app PASSWORD 'second:Sesame'")
	write(t, o.PasswordFile, "second:Sesame")
	write(t, inFile.DSNFile, p.DSN("app", "second:Sesame", "postgres")+"\n")
	for _, s := range []*Store{s, f} {
		s.pool.Reset()
		if _, err := s.List(t.Context(), product.Query{Limit: 1}); err != nil {
			t.Errorf("after the change: %v", err)
		}
	}
	write(t, o.PasswordFile, "third:Sesame")
	s.pool.Reset()
	if _, err := s.List(t.Context(), product.Query{Limit: 1}); err == nil || strings.Contains(err.Error(), "Sesame") || errors.Is(err, product.ErrBusy) {
		t.Errorf("with a wrong password: %v", err)
	}
}

func TestWhyTheStoreCannotBeOpenedIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	p := testservers.StartPostgres(t)
	p.SQL(t, "postgres", "CREATE ROLE app LOGIN PASSWORD 'open:Sesame'; CREATE DATABASE old; CREATE DATABASE new; CREATE DATABASE made")
	for _, database := range []string{"old", "new", "made"} {
		migrated(t, options(t, []string{p.Addr()}, database))
	}
	p.SQL(t, "old", "DELETE FROM product_migration; INSERT INTO product_migration VALUES (0, 'before')")
	p.SQL(t, "new", "INSERT INTO product_migration VALUES (99, 'after')")
	dir := t.TempDir()
	for name, tt := range map[string]struct{ dsn, says string }{
		"wrong password":   {p.DSN("app", "not:Sesame", "made"), "the user or the password is wrong"},
		"unknown database": {p.DSN("postgres", "", "nothing"), "CREATE DATABASE"},
		"no schema":        {p.DSN("postgres", "", "postgres"), `"app migrate --store postgres"`},
		"an older schema":  {p.DSN("postgres", "", "old"), `"app migrate --store postgres"`},
		"a newer schema":   {p.DSN("postgres", "", "new"), "use a newer app"},
		"no right to it":   {p.DSN("app", "open:Sesame", "made"), "SELECT on product_migration"},
	} {
		o := options(t, nil, "")
		o.DSN, o.DSNFile = "", filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		write(t, o.DSNFile, tt.dsn)
		began := time.Now()
		s, err := Open(t.Context(), o)
		if err == nil {
			t.Errorf("%s: it is open", name)
			s.Close()
		} else if !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "Sesame") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v; want %q in it", name, err, tt.says)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("%s: only after %s", name, took)
		}
	}
	err := Migrate(t.Context(), options(t, []string{p.Addr()}, "new"))
	if err == nil || !strings.Contains(err.Error(), "use a newer app") {
		t.Errorf("migrate a newer schema: %v", err)
	}
}

func TestAServerThatIsNotThereIsWaitedForAndThenBusy(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	o := options(t, []string{"127.0.0.1:1"}, "app")
	_, err := Open(ctx, o)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
}

func TestMigrationsAtOnceTakeTurns(t *testing.T) {
	t.Parallel()
	p := testservers.SharedPostgres(t)
	database := p.Database(t)
	o := options(t, []string{p.Addr()}, database)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := Migrate(t.Context(), o); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := p.SQL(t, database, "SELECT count(*), max(version) FROM product_migration"); got != "1|1" {
		t.Errorf("steps and version: %s", got)
	}
	if s := opened(t, o); s.Ping(t.Context()) != nil {
		t.Error("the store is not ready")
	}
}

func TestTheServerThatServesIsTriedFirstAndTheOneGivenUpLast(t *testing.T) {
	o := Options{DSN: "postgres://app@a:1,b:2,c:3/app?sslmode=prefer"}
	order := func(s *servers) string {
		c, err := o.connection()
		if err != nil {
			t.Fatal(err)
		}
		s.sort(c)
		hosts := c.Host
		for _, f := range c.Fallbacks {
			if !strings.HasSuffix(hosts, f.Host) {
				hosts += f.Host
			}
		}
		return hosts
	}
	var s servers
	for _, tt := range []struct {
		event func(server)
		of    server
		want  string
	}{
		{s.find, server{"b", 2}, "bac"},
		{s.giveUp, server{"b", 2}, "acb"},
		{s.find, server{"c", 3}, "cab"},
		{s.find, server{"b", 2}, "bac"},
		{s.giveUp, server{"a", 1}, "bca"},
	} {
		tt.event(tt.of)
		if got := order(&s); got != tt.want {
			t.Errorf("after %v: %s, want %s", tt.of, got, tt.want)
		}
	}
}

func TestAClosedStoreLeavesNothing(t *testing.T) { // by itself: it counts goroutines
	p := testservers.StartPostgres(t)
	o := migrated(t, options(t, []string{p.Addr()}, "postgres"))
	connections := func() string {
		return p.SQL(t, "postgres", "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'app'")
	}
	until(t, "the migration is gone", 5*time.Second, func() bool { return connections() == "0" })
	before := runtime.NumGoroutine()
	for range 5 {
		o.Registry = nil
		s, err := Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		l := startLoad(t, s, 8)
		l.more(t, 50)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = s.Ping(ctx)
		p.Freeze(t)
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_ = s.Ping(short)
		cancel()
		p.Thaw(t)
		l.check(t)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := s.Get(t.Context(), "a"); err == nil {
			t.Error("a closed store answered")
		}
	}
	until(t, "all goroutines have ended", 10*time.Second, func() bool { return runtime.NumGoroutine() <= before })
	until(t, "all connections have ended", 10*time.Second, func() bool { return connections() == "0" })
}

func TestAPasswordInAConnectionStringIsFound(t *testing.T) {
	for dsn, want := range map[string]bool{
		"postgres://app@db1:5432,db2:5432/app":        false,
		"postgres://app:s@db/app":                     true,
		"postgres://app:a/b@db/app":                   true,
		"postgres://app:@db/app":                      true,
		"postgres://db/app?user=app&password=s":       true,
		"postgres://db/app?user=app&pass%77ord=s":     true,
		"postgres://db/app?sslpassword=s":             true,
		"host=db user=app password=s":                 true,
		"host=db user=app PASSWORD = 's'":             true,
		"host=db user=app dbname=nopassword":          false,
		"postgres://app@db/app?sslmode=verify-full":   false,
		"postgresql://app@[::1]:5432/app?passfile=/f": false,
	} {
		if got := hasPassword(dsn); got != want {
			t.Errorf("%s: %t", dsn, got)
		}
	}
}

func FuzzConnectionStringsTellNoPassword(f *testing.F) {
	for _, dsn := range []string{"postgres://app:%s@db/app", "host=db password=%s", "postgres://app@db:x/?password=%s", "password='%s", ":%s@"} {
		f.Add(dsn)
	}
	f.Fuzz(func(t *testing.T, form string) {
		const secret = "open-Sesame-4711"
		err := Options{DSN: strings.ReplaceAll(form, "%s", secret)}.Validate()
		if err != nil && strings.Contains(err.Error(), "Sesame") {
			t.Errorf("a secret is told: %v", err)
		}
	})
}
