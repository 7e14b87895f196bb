package digitalocean

import (
	"fmt"
	"log/slog"
	"time"

	"flyball/scaler"
)

var _ scaler.Pool = (*Pool)(nil)

// Env is what a pool is given by its surroundings.
type Env struct {
	Accounts *Accounts        // shared by all pools of the program; nil: the pool has its own
	Now      func() time.Time // default: time.Now
	Log      *slog.Logger     // default: discards
	// Self is the number of the Droplet that Flyball runs on, which is never ended; 0:
	// none, or not known yet. Default: what the machine's metadata say, where the
	// endpoint is DigitalOcean itself.
	Self func() int
	// DryRun has looks only look: whoever was asked to end before, perhaps by another
	// program, is not brought nearer to it. Grow and Remove do what they are asked.
	DryRun bool
}

// Pool is a pool at DigitalOcean. It is safe for concurrent use.
type Pool struct {
	scaler.Pool // the target: *droplets, *autoscale or *nodes
	base
}

// base is what every target has.
type base struct {
	name    string
	cfg     Config // with its defaults
	account *account
	now     func() time.Time
	log     *slog.Logger
	dry     bool // looks only look
}

// New returns the pool that c describes. Nothing is asked yet.
func New(name string, c Config, env Env) (*Pool, error) {
	if fs := c.Validate("digitalocean"); len(fs) > 0 {
		return nil, fmt.Errorf("configure pool %s: %s: %s", name, fs[0].Path, fs[0].Text)
	}
	if env.Now == nil {
		env.Now = time.Now
	}
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	if env.Accounts == nil {
		env.Accounts = NewAccounts(Options{Log: env.Log, Now: env.Now})
	}
	c = c.withDefaults(name)
	a, err := env.Accounts.of(c)
	if err != nil {
		return nil, fmt.Errorf("configure pool %s: %w", name, err)
	}
	p := &Pool{base: base{name: name, cfg: c, account: a, now: env.Now, log: env.Log.With("pool", name), dry: env.DryRun}}
	if env.Self == nil {
		env.Self = selfOf(a)
	}
	p.Pool = p.target(env)
	return p, nil
}

// target returns what the configuration says that members are.
func (p *Pool) target(env Env) scaler.Pool {
	switch {
	case p.cfg.AutoscalePool != "":
		return newAutoscale(p.base)
	case p.cfg.Kubernetes != nil:
		return newNodes(p.base, *p.cfg.Kubernetes, env.Self)
	default:
		return newDroplets(p.base, *p.cfg.Droplets, env.Self)
	}
}
