// Package pool makes a pool of its configuration: the provider that has the
// members, the traffic before them, and what every provider gets around it, each
// a decorator of [scaler.Pool] in a file of its own: the price that is written, counting,
// a second try of a look that failed, what others did to the pool, the members' own word
// on whether they are ready, dry run.
// [New] is the one place that lists the providers.
//
// Failures are not held back here: how long a pool is left alone after one is
// decided by the rules, which remember it across restarts.
package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
	"flyball/scaler/pool/container"
	"flyball/scaler/pool/digitalocean"
	"flyball/scaler/pool/exec"
	"flyball/scaler/pool/gce"
	"flyball/scaler/pool/process"
)

// Env is what a pool is given by its surroundings.
type Env struct {
	DataDir string           // the data directory; a pool keeps its files in pools/<name> below it
	Metrics *Metrics         // shared by all pools; nil: nothing is counted
	Log     *slog.Logger     // default: discards
	Now     func() time.Time // default: time.Now

	// Accounts at DigitalOcean share their budget and their list of Droplets between
	// all pools, and over reloads; default: a pool has its own.
	Accounts *digitalocean.Accounts
	// Transport carries requests to clouds; default: http.DefaultTransport. An emulator's
	// needs no socket.
	Transport http.RoundTripper
	// Dial connects to members, to ask them whether they are ready; default: that of a
	// net.Dialer. An emulator's members need no network.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// A Pool is the hands of one pool. It is safe for concurrent use.
type Pool struct {
	unit    scaler.Unit
	cloud   scaler.Pool // the provider itself
	all     scaler.Pool // the provider, counted, whatever dry run says
	ready   *ready
	traffic traffics // nil: none
}

// New makes a pool of its configuration. Nothing is started or asked yet.
func New(name string, c Config, env Env) (*Pool, error) {
	if fs := c.Validate("pools." + name); len(fs) > 0 {
		return nil, fmt.Errorf("configure: %s: %s", fs[0].Path, fs[0].Text)
	}
	c, env = c.withDefaults(), env.withDefaults()
	dir := filepath.Join(env.DataDir, "pools", name)
	cloud, err := newProvider(name, c, dir, env)
	if err != nil {
		return nil, err
	}
	p := &Pool{cloud: cloud, all: priced{cloud, c.Price}}
	if env.Metrics != nil {
		p.all = env.Metrics.count(name, p.all)
	}
	known := newDrift(retry{p.all}, name, filepath.Join(dir, "drift.state"), env)
	env.Log = env.Log.With("pool", name)
	p.ready = newReady(known, c.Ready, filepath.Join(dir, "ready.state"), env)
	p.unit = scaler.Unit{Pool: p.ready, Drain: c.Drain, DryRun: c.DryRun}
	if c.DryRun {
		p.unit.Pool = dryRun{p.ready, env.Log}
	}
	if p.traffic = newTraffic(c, cloud, dir, env); p.traffic != nil {
		p.unit.Traffic = p.traffic
		if c.DryRun {
			p.unit.Traffic = dryTraffic{p.traffic, env.Log}
		}
	}
	return p, nil
}

func (e Env) withDefaults() Env {
	if e.Log == nil {
		e.Log = slog.New(slog.DiscardHandler)
	}
	if e.Now == nil {
		e.Now = time.Now
	}
	if e.Dial == nil {
		e.Dial = new(net.Dialer).DialContext
	}
	if e.Accounts == nil {
		e.Accounts = NewAccounts(e)
	}
	return e
}

// NewAccounts returns the accounts of DigitalOcean that all pools share, with the log,
// the clock, the transport and the metrics of e.
func NewAccounts(e Env) *digitalocean.Accounts {
	o := digitalocean.Options{Log: e.Log, Now: e.Now, Transport: e.Transport}
	if e.Metrics != nil {
		o.Metrics = e.Metrics.digitalocean
	}
	return digitalocean.NewAccounts(o)
}

// newProvider lists the providers there are.
func newProvider(name string, c Config, dir string, env Env) (scaler.Pool, error) {
	switch {
	case c.Process != nil:
		return process.New(name, *c.Process, process.Env{Dir: dir, Now: env.Now, Log: env.Log})
	case c.Container != nil:
		return container.New(name, *c.Container, container.Env{Dir: dir, Now: env.Now, Log: env.Log})
	case c.DigitalOcean != nil:
		return digitalocean.New(name, *c.DigitalOcean, digitalocean.Env{Accounts: env.Accounts, Now: env.Now, Log: env.Log, DryRun: c.DryRun})
	case c.GCE != nil:
		e := gce.Env{Dir: dir, Now: env.Now, Log: env.Log, Transport: env.Transport}
		if env.Metrics != nil {
			e.Metrics = env.Metrics.gce
		}
		return gce.New(name, *c.GCE, e)
	case c.Exec != nil:
		return exec.New(name, *c.Exec, exec.Env{Now: env.Now, Log: env.Log})
	default:
		return nil, fmt.Errorf("configure pool %s: no provider", name)
	}
}

// Unit is what the loop needs of the pool.
func (p *Pool) Unit() scaler.Unit { return p.unit }

// Preflight looks at all that the pool's provider depends on, before it is needed, so
// that the pool can have most members (0: any number). It changes nothing. A provider
// on this machine has nothing to be looked at.
func (p *Pool) Preflight(ctx context.Context, most int) []rules.Finding {
	asked, ok := p.cloud.(interface {
		Preflight(ctx context.Context, most int) []rules.Finding
	})
	if !ok {
		return nil
	}
	return asked.Preflight(ctx, most)
}

// Run asks the members whether they are ready, and keeps whoever sends them
// requests as it should be, until ctx ends. It ends neither.
func (p *Pool) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	if p.traffic != nil && !p.unit.DryRun {
		wg.Go(func() { _ = p.traffic.Run(ctx) }) // says by itself what fails, and goes on
	}
	return p.ready.Run(ctx)
}

// mostPace is how far apart Sweep asks again in the end: clouds count what is asked.
const mostPace = 5 * time.Second

// Sweep ends every member and the balancer, and returns when they are gone. Open
// requests may finish first.
func (p *Pool) Sweep(ctx context.Context) error {
	var errs []error
	if p.traffic != nil {
		errs = append(errs, p.traffic.Stop(ctx))
	}
	for pace := 20 * time.Millisecond; ; pace = min(2*pace, mostPace) {
		ms, _, err := p.all.Look(ctx)
		if err != nil || len(ms) == 0 {
			return errors.Join(append(errs, err)...)
		}
		if err := p.all.Remove(ctx, journal.Step{ID: "sweep", Verb: journal.Remove, Victims: ids(ms)}); err != nil {
			return errors.Join(append(errs, err)...)
		}
		if !pause(ctx, pace) {
			return errors.Join(append(errs, fmt.Errorf("sweep: %d members are left: %w", len(ms), ctx.Err()))...)
		}
	}
}

func ids(ms []rules.Member) []rules.MemberID {
	out := make([]rules.MemberID, 0, len(ms))
	for _, m := range ms {
		out = append(out, m.ID)
	}
	return out
}
