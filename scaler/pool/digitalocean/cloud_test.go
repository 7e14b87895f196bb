package digitalocean

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
	"flyball/scaler/pool/emulate"
	"flyball/scaler/pool/pooltest"
)

// secret is the API token of every test.
const secret = "dop_v1_0123456789abcdef"

// cloud is an emulated account, and what a program has of it.
type cloud struct {
	t        *testing.T
	world    *emulate.World
	do       *emulate.DigitalOcean
	accounts *Accounts
	config   Config
	self     int
}

// inCloud runs a test in a bubble, with an account in which there is nothing.
func inCloud(t *testing.T, o emulate.DigitalOceanOptions, f func(*cloud)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(newCloud(t, o)) })
}

func newCloud(t *testing.T, o emulate.DigitalOceanOptions) *cloud {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Token = secret
	c := &cloud{t: t, world: emulate.NewWorld(emulate.Options{Seed: 1}), config: Config{
		TokenFile: path, Port: 8080,
		Droplets: &Droplets{Regions: []string{"fra1"}, Sizes: []string{"s-1vcpu-1gb"}, Image: "ubuntu-24-04-x64", Grace: 15 * time.Second},
	}}
	c.do = emulate.NewDigitalOcean(c.world, o)
	c.restart()
	return c
}

// restart forgets what a program would forget.
func (c *cloud) restart() {
	c.accounts = NewAccounts(Options{Transport: c.do.Transport(), Log: c.log()})
}

func (c *cloud) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(c.t.Output(), nil))
}

// pool is one as a program has it that just started, or goes on.
func (c *cloud) pool(name string) *Pool {
	c.t.Helper()
	p, err := New(name, c.config, Env{Accounts: c.accounts, Log: c.log(), Self: func() int { return c.self }})
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

// grow asks for members, which must succeed.
func (c *cloud) grow(p scaler.Pool, names ...string) {
	c.t.Helper()
	if err := p.Grow(c.t.Context(), journal.Step{ID: "grow", Verb: journal.Grow, Names: names}); err != nil {
		c.t.Fatal(err)
	}
}

// tryGrow asks for members as the loop does, and returns the failure.
func (c *cloud) tryGrow(p scaler.Pool, names ...string) error {
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	return p.Grow(ctx, journal.Step{ID: "grow", Verb: journal.Grow, Names: names})
}

func (c *cloud) remove(p scaler.Pool, ids ...rules.MemberID) error {
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	return p.Remove(ctx, journal.Step{ID: "remove", Verb: journal.Remove, Victims: ids})
}

// look lists the members, which must succeed.
func (c *cloud) look(p scaler.Pool) []rules.Member {
	c.t.Helper()
	return pooltest.Look(c.t, p)
}

// ready grows a pool and waits until all are.
func (c *cloud) ready(p scaler.Pool, names ...string) []rules.Member {
	c.t.Helper()
	c.grow(p, names...)
	var ms []rules.Member
	c.until("the members are ready", func() bool {
		ms = c.look(p)
		return len(ms) >= len(names) && !slices.ContainsFunc(ms, func(m rules.Member) bool { return m.State != rules.Ready })
	})
	return ms
}

// until judges each second until a condition holds, for ten minutes at most.
func (c *cloud) until(what string, ok func() bool) {
	c.t.Helper()
	for range 600 {
		if ok() {
			return
		}
		time.Sleep(time.Second) // of the bubble
	}
	c.t.Fatalf("it did not come about that %s", what)
}

// asked counts the requests since a time that begin so.
func (c *cloud) asked(since time.Time, prefix string) int {
	n := 0
	for _, r := range c.world.Requests() {
		_, path, _ := strings.Cut(strings.TrimPrefix(r.URL, "https://"), "/")
		if !r.At.Before(since) && strings.HasPrefix(r.Method+" /"+path, prefix) {
			n++
		}
	}
	return n
}

func states(ms []rules.Member) string {
	var out []string
	for _, m := range ms {
		out = append(out, m.Name+" "+string(m.State))
	}
	return strings.Join(out, ", ")
}
