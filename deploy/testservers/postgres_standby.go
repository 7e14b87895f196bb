package testservers

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// Standby starts a streaming standby of p, for one test. Its slot on the primary
// and its application_name are called name, of lower-case letters, digits and _.
func (p *Postgres) Standby(t testing.TB, name string) *Postgres {
	t.Helper()
	return begin(t, func(ctx context.Context, g *Group) (*Postgres, error) { return g.StartStandby(ctx, p, name) })
}

// StartStandby starts a streaming standby of primary, and returns once it streams.
func (g *Group) StartStandby(ctx context.Context, primary *Postgres, name string) (*Postgres, error) {
	p, err := g.launchPostgres(ctx, func(p *Postgres) error {
		from := fmt.Sprintf("host=127.0.0.1 port=%s user=postgres application_name=%s", primary.Port(), name)
		cmd := g.command(ctx, p.dir, p.install.path("pg_basebackup"), "-d", from, "-D", p.data(), "-R", "-C", "-S", name,
			"-X", "stream", "-c", "fast", "--no-sync")
		cmd.SysProcAttr.Credential = p.install.credential
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("copy %s for its standby: %w: %s", primary.name, err, out)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := p.awaitStreaming(ctx); err != nil {
		return nil, discard(err, p.Server)
	}
	return p, nil
}

// awaitStreaming returns once the standby gets the primary's log.
func (p *Postgres) awaitStreaming(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.program.patience)
	defer cancel()
	for {
		out, err := p.query(ctx, "postgres", "SELECT status FROM pg_stat_wal_receiver")
		if err != nil {
			return err
		}
		if out == "streaming" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("start %s: it does not stream:\n%s", p.name, p.lastLines())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Promote makes a standby a primary, and returns once it takes writes.
func (p *Postgres) Promote(t testing.TB) {
	t.Helper()
	if out := p.SQL(t, "postgres", "SELECT pg_promote(true, 60)"); out != "t" {
		t.Fatalf("promote %s: it is a standby still after a minute\n%s", p.name, p.lastLines())
	}
}
