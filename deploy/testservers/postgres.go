package testservers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Postgres is a PostgreSQL server. Its superuser is postgres, who needs no
// password; others need none on the Unix socket, and theirs (scram-sha-256) on
// TCP.
type Postgres struct {
	*Server
	install *postgresInstall
	number  int // its port
}

// StartPostgres starts a primary with databases of its own, for one test.
func StartPostgres(t testing.TB) *Postgres {
	t.Helper()
	return begin(t, func(ctx context.Context, g *Group) (*Postgres, error) { return g.StartPostgres(ctx) })
}

// SharedPostgres returns the primary that the tests of this process share: each
// makes a Database of its own in it, and leaves roles and settings alone.
func SharedPostgres(t testing.TB) *Postgres {
	t.Helper()
	return share(t, "postgres", func(ctx context.Context, g *Group) (*Postgres, error) { return g.StartPostgres(ctx) })
}

// StartPostgres starts a primary.
func (g *Group) StartPostgres(ctx context.Context) (*Postgres, error) {
	template, err := g.postgresTemplate()
	if err != nil {
		return nil, err
	}
	return g.launchPostgres(ctx, func(p *Postgres) error {
		if out, err := exec.CommandContext(ctx, "cp", "-a", template, p.data()).CombinedOutput(); err != nil {
			return fmt.Errorf("copy the data of %s: %w: %s", p.name, err, out)
		}
		return nil
	})
}

// launchPostgres starts a server with the data that fill gives it.
func (g *Group) launchPostgres(ctx context.Context, fill func(p *Postgres) error) (*Postgres, error) {
	install, err := findPostgres()
	if err != nil {
		return nil, err
	}
	s, err := g.place("postgres")
	if err != nil {
		return nil, err
	}
	p := &Postgres{Server: s, install: install}
	s.leave = p.freeSharedMemory
	return p, s.launch(ctx, func() error {
		if p.number, err = s.port(); err != nil {
			return err
		}
		if err := install.give(s.dir); err != nil {
			return fmt.Errorf("prepare %s: %w", s.name, err)
		}
		s.program = p.server()
		return fill(p)
	})
}

// server returns how the server is started.
func (p *Postgres) server() program {
	return program{
		path:       p.install.path("postgres"),
		args:       []string{"-D", p.data(), "-c", "port=" + p.Port(), "-c", "unix_socket_directories=" + p.dir, "-c", "cluster_name=" + p.name},
		credential: p.install.credential,
		quit:       syscall.SIGINT,
		patience:   time.Minute,
		ready: func(ctx context.Context) error {
			_, err := p.query(ctx, "postgres", "SELECT 1")
			return err
		},
	}
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// Addr returns where the server listens: 127.0.0.1:port.
func (p *Postgres) Addr() string { return loopback(p.number) }

// Port returns the port that the server listens on.
func (p *Postgres) Port() string { return strconv.Itoa(p.number) }

// SocketDir returns the directory of the server's Unix socket.
func (p *Postgres) SocketDir() string { return p.dir }

// DSN returns the connection string of a user over TCP; a user without a
// password has an empty one.
func (p *Postgres) DSN(user, password, database string) string {
	u := url.URL{Scheme: "postgres", Host: p.Addr(), Path: "/" + database, User: url.User(user), RawQuery: "sslmode=disable"}
	if password != "" {
		u.User = url.UserPassword(user, password)
	}
	return u.String()
}

// SQL runs statements as the superuser, each in a transaction of its own, and
// returns their rows, one a line, with | between columns.
func (p *Postgres) SQL(t testing.TB, database, sql string) string {
	t.Helper()
	out, err := p.query(context.Background(), database, sql)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Database makes an empty database, which is dropped with the test, and returns
// its name.
func (p *Postgres) Database(t testing.TB) string {
	t.Helper()
	var name strings.Builder
	for _, r := range strings.ToLower(t.Name()) {
		if ('a' <= r && r <= 'z' || '0' <= r && r <= '9') && name.Len() < 40 {
			name.WriteRune(r)
		}
	}
	fmt.Fprintf(&name, "_%08x", rand.Uint32())
	p.SQL(t, "postgres", fmt.Sprintf("CREATE DATABASE %q", name.String()))
	t.Cleanup(func() {
		_, _ = p.query(context.Background(), "postgres", fmt.Sprintf("DROP DATABASE %q WITH (FORCE)", name.String()))
	})
	return name.String()
}

// query is SQL for those who handle errors themselves.
func (p *Postgres) query(ctx context.Context, database, sql string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := p.group.command(ctx, p.dir, p.install.path("psql"),
		"-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-h", p.dir, "-p", p.Port(), "-U", "postgres", "-d", database)
	cmd.Stdin = strings.NewReader(sql)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("run SQL on %s: %w: %s", p.name, err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

// freeSharedMemory frees the segment that a killed server left; its id is the
// second number on the seventh line of the lock file.
func (p *Postgres) freeSharedMemory() error {
	raw, err := os.ReadFile(filepath.Join(p.data(), "postmaster.pid"))
	if err != nil {
		return nil // it ended in order
	}
	lines := strings.Split(string(raw), "\n")
	if len(lines) < 7 {
		return nil
	}
	fields := strings.Fields(lines[6])
	if len(fields) != 2 {
		return nil
	}
	id, err := strconv.Atoi(fields[1])
	if err != nil {
		return fmt.Errorf("read the lock file of %s: %w", p.name, err)
	}
	const remove = 0 // IPC_RMID
	_, _, errno := syscall.Syscall(syscall.SYS_SHMCTL, uintptr(id), remove, 0)
	if errno != 0 && errno != syscall.EINVAL { // EINVAL: the server freed it
		return fmt.Errorf("free the shared memory of %s: %w", p.name, errno)
	}
	return nil
}
