package pool

import (
	"context"
	"errors"
	"path/filepath"
	"sync"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/pool/digitalocean"
	"flyball/scaler/traffic"
)

// traffics is whoever sends requests to the members, and what keeps it so.
type traffics interface {
	scaler.Traffic
	Run(ctx context.Context) error  // keeps it as it should be, until ctx ends
	Stop(ctx context.Context) error // ends what is ours of it
}

// newTraffic lists those who can send requests: the balancer that the configuration
// names, and the one that the provider knows its members by; nil if there is none.
func newTraffic(c Config, cloud scaler.Pool, dir string, env Env) traffics {
	var out together
	if c.Traffic != nil {
		out = append(out, newBalancer(c, dir, env))
	}
	if p, ok := cloud.(*digitalocean.Pool); ok {
		if t := digitalocean.NewTraffic(p); t != nil {
			out = append(out, tagged{t})
		}
	}
	switch len(out) {
	case 0:
		return nil
	case 1:
		return out[0]
	}
	return out
}

func newBalancer(c Config, dir string, env Env) traffics {
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

// tagged is a balancer of the cloud's, which goes by the members' tag: nothing has to
// run for it, and nothing of it is ours to end.
type tagged struct{ scaler.Traffic }

// Run waits until ctx ends.
func (tagged) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Stop does nothing: the tag goes with the members.
func (tagged) Stop(context.Context) error { return nil }

// together is several who send requests to the same members: each is told.
type together []traffics

// Admit tells all; who could be told stays so.
func (ts together) Admit(ctx context.Context, ms []rules.Member) error {
	return ts.each(func(t traffics) error { return t.Admit(ctx, ms) })
}

// Withdraw tells all.
func (ts together) Withdraw(ctx context.Context, ms []rules.Member) error {
	return ts.each(func(t traffics) error { return t.Withdraw(ctx, ms) })
}

// Open adds up what is known by all of them: a member that one of them does not know is
// out of rotation there, and how many requests it has is not known; nor is it where one
// does not count, which is a number below 0.
func (ts together) Open(ctx context.Context) (map[rules.MemberID]int, error) {
	var sum map[rules.MemberID]int
	for _, t := range ts {
		open, err := t.Open(ctx)
		if err != nil {
			return nil, err
		}
		if sum == nil {
			sum = open
			continue
		}
		both := map[rules.MemberID]int{}
		for id, n := range open {
			if m, known := sum[id]; known {
				both[id] = min(n, m)
				if both[id] >= 0 {
					both[id] = n + m
				}
			}
		}
		sum = both
	}
	return sum, nil
}

// Run runs all until ctx ends.
func (ts together) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make([]error, len(ts))
	for i, t := range ts {
		wg.Go(func() { errs[i] = t.Run(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Stop ends what is ours of all.
func (ts together) Stop(ctx context.Context) error {
	return ts.each(func(t traffics) error { return t.Stop(ctx) })
}

func (ts together) each(do func(traffics) error) error {
	var errs []error
	for _, t := range ts {
		errs = append(errs, do(t))
	}
	return errors.Join(errs...)
}
