// Package pool makes a pool of its configuration: the provider that has the
// members, the traffic before them, and what every provider gets around it, each
// a decorator of [scaler.Pool] in a file of its own: counting, a second try of a
// look that failed, the members' own word on whether they are ready, dry run.
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
	"path/filepath"
	"sync"
	"time"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
	"flyball/scaler/pool/container"
	"flyball/scaler/pool/process"
	"flyball/scaler/traffic"
)

// Env is what a pool is given by its surroundings.
type Env struct {
	DataDir string           // the data directory; a pool keeps its files in pools/<name> below it
	Metrics *Metrics         // shared by all pools; nil: nothing is counted
	Log     *slog.Logger     // default: discards
	Now     func() time.Time // default: time.Now
}

// A Pool is the hands of one pool. It is safe for concurrent use.
type Pool struct {
	unit    scaler.Unit
	all     scaler.Pool // the provider, whatever dry run says
	ready   *ready
	traffic traffics // nil: none
}

// traffics is whoever sends requests to the members, and what keeps it so.
type traffics interface {
	scaler.Traffic
	Run(ctx context.Context) error  // keeps it as it should be, until ctx ends
	Stop(ctx context.Context) error // ends what is ours of it
}

// New makes a pool of its configuration. Nothing is started or asked yet.
func New(name string, c Config, env Env) (*Pool, error) {
	if fs := c.Validate("pools." + name); len(fs) > 0 {
		return nil, fmt.Errorf("configure: %s: %s", fs[0].Path, fs[0].Text)
	}
	c, env = c.withDefaults(), env.withDefaults()
	dir := filepath.Join(env.DataDir, "pools", name)
	provider, err := newProvider(name, c, dir, env)
	if err != nil {
		return nil, err
	}
	if env.Metrics != nil {
		provider = env.Metrics.count(name, provider)
	}
	p := &Pool{all: provider}
	p.ready = newReady(retry{provider}, c.Ready, filepath.Join(dir, "ready.state"), env)
	p.unit = scaler.Unit{Pool: p.ready, Drain: c.Drain, DryRun: c.DryRun}
	if c.DryRun {
		p.unit.Pool = dryRun{p.ready, env.Log.With("pool", name)}
	}
	if c.Traffic != nil {
		p.traffic = newTraffic(c, dir, env)
		p.unit.Traffic = p.traffic
		if c.DryRun {
			p.unit.Traffic = dryTraffic{p.traffic, env.Log.With("pool", name)}
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
	return e
}

// newProvider lists the providers there are.
func newProvider(name string, c Config, dir string, env Env) (scaler.Pool, error) {
	switch {
	case c.Process != nil:
		return process.New(name, *c.Process, process.Env{Dir: dir, Now: env.Now, Log: env.Log})
	case c.Container != nil:
		return container.New(name, *c.Container, container.Env{Dir: dir, Now: env.Now, Log: env.Log})
	default:
		return nil, fmt.Errorf("configure pool %s: no provider", name)
	}
}

// newTraffic lists those who can send requests.
func newTraffic(c Config, dir string, env Env) traffics {
	if c.Traffic.HAProxy != "" {
		return traffic.NewHAProxy(traffic.HAProxyConfig{
			Socket: c.Socket, Backend: c.Traffic.Backend, State: c.Traffic.State,
			Table: filepath.Join(dir, "haproxy.table"), Log: env.Log, Now: env.Now,
		})
	}
	control := c.Traffic.Control
	if control == "" {
		control = filepath.Join(dir, "balance.sock")
	}
	return traffic.NewBalance(traffic.BalanceConfig{
		Listen: c.Traffic.Balance, Control: control, Log: env.Log,
		Check: traffic.Check{HTTP: c.Ready.HTTP, Timeout: c.Ready.Timeout},
	})
}

// Unit is what the loop needs of the pool.
func (p *Pool) Unit() scaler.Unit { return p.unit }

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

// Sweep ends every member and the balancer, and returns when they are gone. Open
// requests may finish first.
func (p *Pool) Sweep(ctx context.Context) error {
	var errs []error
	if p.traffic != nil {
		errs = append(errs, p.traffic.Stop(ctx))
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ms, _, err := p.all.Look(ctx)
		if err != nil || len(ms) == 0 {
			return errors.Join(append(errs, err)...)
		}
		if err := p.all.Remove(ctx, journal.Step{ID: "sweep", Verb: journal.Remove, Victims: ids(ms)}); err != nil {
			return errors.Join(append(errs, err)...)
		}
		select {
		case <-ctx.Done():
			return errors.Join(append(errs, fmt.Errorf("sweep: %d members are left: %w", len(ms), ctx.Err()))...)
		case <-tick.C:
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
