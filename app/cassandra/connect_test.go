package cassandra

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"flyball/deploy/testservers"
)

func TestOptionsThatAreWrongAreAllNamed(t *testing.T) {
	good := Options{Hosts: []string{"10.0.0.4", "db.example", "::1"}, Port: 9042, Keyspace: "app"}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	bad := Options{Hosts: []string{"10.0.0.4:9042", "", " a"}, Port: 70000, Keyspace: "App", User: "app"}
	says(t, bad.Validate(), "10.0.0.4:9042 has a port", `""`, `" a"`, "70000", `"App"`, "password file")
	says(t, Options{Port: 1, Keyspace: "a"}.Validate(), "at least one node")
}

func TestTheLocalDataCentreIsFoundOrNamed(t *testing.T) {
	tests := []struct {
		given string
		ring  map[string]int
		want  string
		says  string
	}{
		{"", map[string]int{"ams": 3}, "ams", ""},
		{"fra", map[string]int{"ams": 3, "fra": 3}, "fra", ""},
		{"", map[string]int{"ams": 3, "fra": 3}, "", "several data centres (ams, fra)"},
		{"lon", map[string]int{"ams": 3, "fra": 3}, "", `no data centre "lon"; it has ams, fra`},
	}
	for _, tt := range tests {
		got, err := Options{Datacenter: tt.given}.local(tt.ring)
		if got != tt.want || (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q of %v: got %q, %v", tt.given, tt.ring, got, err)
		}
	}
}

func TestNodesThatAreNotThereAreNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	o := Options{Hosts: []string{"127.0.0.1"}, Port: port, Keyspace: "app", Logger: quiet(t)}
	_, err = Open(t.Context(), o)
	says(t, err, fmt.Sprintf("127.0.0.1:%d", port), "no node answers", "connection refused")
}

func TestANodeThatHangsHoldsUpNobodyWhoIsGone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts nothing, says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err = Open(ctx, Options{Hosts: []string{"127.0.0.1"}, Port: l.Addr().(*net.TCPAddr).Port, Keyspace: "app", Logger: quiet(t)})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 2*time.Second {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
}

func TestAClosedStoreLeavesNothing(t *testing.T) {
	o := migrated(t, testservers.SharedCassandra(t))
	o.Registry = nil
	before := runtime.NumGoroutine()
	for range 3 {
		s, err := Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		create(t, s, some("a"+fmt.Sprint(time.Now().UnixNano()), "book"))
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	until(t, "the goroutines have ended", 10*time.Second, func() bool { return runtime.NumGoroutine() <= before })
}

// password writes a file.
func password(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLoginsAndRights(t *testing.T) {
	t.Parallel()
	c := testservers.StartCassandra(t, testservers.CassandraOptions{Auth: true})
	file := filepath.Join(t.TempDir(), "password")
	o := options(t, c)
	user := o
	user.User, user.PasswordFile = "app", file
	admin := o
	admin.User, admin.PasswordFile = "cassandra", filepath.Join(t.TempDir(), "admin")
	password(t, admin.PasswordFile, "cassandra")
	password(t, file, "first")
	c.CQL(t, "CREATE ROLE app WITH PASSWORD = 'first' AND LOGIN = true")
	migration := Migration{Replication: map[string]int{datacenter: 1}}

	open := func(o Options) error {
		s, err := Open(t.Context(), o)
		if err == nil {
			err = errors.Join(s.Ping(t.Context()), s.Close())
		}
		return err
	}
	says(t, open(o), "give a user and a password file")
	says(t, Migrate(t.Context(), user, migration), "grant CREATE", o.Keyspace)
	if err := Migrate(t.Context(), admin, migration); err != nil {
		t.Fatal(err)
	}
	says(t, open(user), "no SELECT permission", "layout")

	c.CQL(t, "GRANT SELECT ON KEYSPACE "+o.Keyspace+" TO app")
	until(t, "the right to read is known", 20*time.Second, func() bool { return open(user) == nil })
	user.Registry = nil
	s := opened(t, user)
	_, err := s.Create(t.Context(), some("a", "book"))
	says(t, err, "no MODIFY permission")
	c.CQL(t, "GRANT MODIFY ON KEYSPACE "+o.Keyspace+" TO app")
	until(t, "the right to write is known", 20*time.Second, func() bool {
		_, err := s.Create(t.Context(), some("a", "book"))
		return err == nil
	})

	password(t, file, "secret-but-wrong")
	err = open(user)
	says(t, err, "user or the password is wrong")
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error tells the password: %v", err)
	}
	c.CQL(t, "ALTER ROLE app WITH PASSWORD = 'secret-but-wrong'")
	until(t, "the new password is known", 20*time.Second, func() bool { return open(user) == nil })
	user.PasswordFile = file + ".gone"
	says(t, open(user), file+".gone", "no such file")
}
