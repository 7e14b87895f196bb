package main

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"sync"

	"golang.org/x/sync/errgroup"

	"flyball/scaler"
	"flyball/scaler/pool"
)

// A fleet keeps the pools' units running. Over a reload a pool whose
// configuration stayed as it was goes on undisturbed, probes and all.
type fleet struct {
	env   pool.Env
	mu    sync.Mutex
	ships map[string]*ship
	idle  []*ship       // of ships, those that do not run yet
	moved chan struct{} // of one place: there are idle ones
}

// A ship is one pool's unit while it runs.
type ship struct {
	config pool.Config
	pool   *pool.Pool
	ctx    context.Context // of its life
	end    context.CancelFunc
}

func newFleet(data string, log *slog.Logger, metrics *pool.Metrics) *fleet {
	env := pool.Env{DataDir: data, Log: log, Metrics: metrics}
	env.Accounts = pool.NewAccounts(env)
	return &fleet{env: env, ships: map[string]*ship{}, moved: make(chan struct{}, 1)}
}

// prepare builds the units of a configuration; nothing runs yet.
func (f *fleet) prepare(pools map[string]pool.Config) (map[string]*ship, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := map[string]*ship{}
	for name, c := range pools {
		if s, ok := f.ships[name]; ok && reflect.DeepEqual(s.config, c) {
			next[name] = s
			continue
		}
		p, err := pool.New(name, c, f.env)
		if err != nil {
			return nil, fmt.Errorf("make pool %s: %w", name, err)
		}
		s := &ship{config: c, pool: p}
		s.ctx, s.end = context.WithCancel(context.Background())
		next[name] = s
	}
	return next, nil
}

// take makes the prepared units the fleet: new ones begin to run, those that are
// no more end. Their members live on: a pool that left the configuration is left
// alone.
func (f *fleet) take(next map[string]*ship) map[string]scaler.Unit {
	f.mu.Lock()
	defer f.mu.Unlock()
	units := map[string]scaler.Unit{}
	for name, s := range next {
		if f.ships[name] != s {
			f.idle = append(f.idle, s)
		}
		units[name] = s.pool.Unit()
	}
	for name, s := range f.ships {
		if next[name] != s {
			s.end()
		}
		if next[name] == nil && f.env.Metrics != nil {
			f.env.Metrics.Forget(name)
		}
	}
	f.ships = next
	select {
	case f.moved <- struct{}{}:
	default:
	}
	return units
}

// run runs what take hands over, until the context ends.
func (f *fleet) run(ctx context.Context) error {
	var g errgroup.Group
	for {
		select {
		case <-ctx.Done():
			f.mu.Lock()
			for _, s := range f.ships {
				s.end()
			}
			f.mu.Unlock()
			return g.Wait()
		case <-f.moved:
			f.mu.Lock()
			for _, s := range f.idle {
				g.Go(func() error { return s.pool.Run(s.ctx) })
			}
			f.idle = nil
			f.mu.Unlock()
		}
	}
}
