// Package demo shows the whole loop on one machine: Flyball, a pool of real app
// processes behind a balancer, and a load that rises and falls. In the middle it
// kills its own Flyball with -9 and starts it again. It watches through the
// public API, as any client would.
//
// By default everything runs on loopback and needs no root. With [Containers] the
// members are made by a container engine and stand behind a real HAProxy. All of
// it is gone when [Run] returns.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// What the members of the demo's pool are, and where the app keeps its products.
const (
	Processes  = "process"
	Containers = "container"
	SQLite     = "sqlite"
	Cassandra  = "cassandra"
)

// Options say what to run and where to show it.
type Options struct {
	Pool      string // Processes or Containers
	Socket    string // the container engine's
	Network   string // of the engine; "" is its default
	Store     string // SQLite or Cassandra
	Cassandra string // host:port of a node, as the members reach it

	// Elasticsearch is the address of the one that Flyball ships to and reads the
	// rule's signal from; "" is none.
	Elasticsearch string

	// Replication is of the demo's keyspace: data centre=replicas.
	Replication string

	Self     string // the flyball program
	App      string // the app program
	Listen   string // Flyball's address
	Once     bool   // play the script once, then end
	Report   string // file for the report; "" is none
	Out      io.Writer
	Terminal bool // Out is a terminal: draw, else print lines
	Color    bool

	// Sweep ends every process that the pools of a configuration still have, and
	// counts the pools that would not end.
	Sweep func(ctx context.Context, config string) (left int, err error)
}

// Validate names what cannot be played.
func (o Options) Validate() error {
	if o.Pool != Processes && o.Pool != Containers {
		return fmt.Errorf("--pool %q is neither %s nor %s", o.Pool, Processes, Containers)
	}
	if o.Store != SQLite && o.Store != Cassandra {
		return fmt.Errorf("--store %q is neither %s nor %s", o.Store, SQLite, Cassandra)
	}
	if o.Elasticsearch != "" {
		return checkElastic(o.Elasticsearch)
	}
	return nil
}

// ErrFailed means that the demo ran and did not show what it promises.
var ErrFailed = errors.New("demo failed")

// Run plays the demo until its script or the context ends. It returns [ErrFailed]
// if a request failed or a process was left.
func Run(ctx context.Context, o Options) (err error) {
	dir, err := os.MkdirTemp("", "flyball-demo-")
	if err != nil {
		return err
	}
	st, err := prepare(dir, o)
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	s := &show{o: o, stage: st, history: newHistory(), view: newView(o, st)}
	defer func() { err = errors.Join(err, s.close(dir)) }()
	if err := s.open(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, st.tail())
	}
	for {
		if err := s.play(ctx); err != nil || o.Once {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// A show is one run of the demo.
type show struct {
	o       Options
	stage   *stage
	history *history
	view    *view

	flyball *child
	props   *props
	api     *api
	report  report
}

// open starts Flyball and waits for the first member to take requests.
func (s *show) open(ctx context.Context) error {
	if err := s.stage.elastic.reach(ctx); err != nil {
		return err
	}
	s.view.say("Flyball, its pool and its load start in %s; all of it goes when this ends.", s.stage.dir)
	s.view.say("Windows are shortened for the demo: scale-in after %s of low load (5m by default), warm-up %s (1m).", inWindow, s.stage.script.warmup)
	s.api = newAPI(s.stage.listen)
	var err error
	if s.props, err = s.stage.set(ctx, s.o); err != nil {
		return err
	}
	if err := s.start(); err != nil {
		return err
	}
	return s.ready(ctx)
}

// ready waits for the first member to take requests, and for what Elasticsearch
// says of it to be heard.
func (s *show) ready(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := poll(within, 100*time.Millisecond, "the first member to take requests", func() bool {
		st, err := s.api.status(within)
		return err == nil && len(admitted(st)) > 0
	})
	if err != nil || s.stage.elastic == nil {
		return err
	}
	ctx, cancel = context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	last := "nothing was judged"
	err = poll(ctx, 100*time.Millisecond, "the signal to be read from Elasticsearch", func() bool {
		st, err := s.api.status(ctx)
		if err != nil || st.Decision == nil {
			return false
		}
		last = st.Decision.Line()
		return heard(*st.Decision)
	})
	if err != nil {
		return fmt.Errorf("%w (%s)", err, last)
	}
	return nil
}

func (s *show) start() (err error) {
	s.flyball, err = startChild(filepath.Join(s.stage.dir, "flyball.log"), s.o.Self, "run", "--config", s.stage.config)
	return err
}

// poll asks until the answer is yes or the context ends.
func poll(ctx context.Context, every time.Duration, what string, f func() bool) error {
	t := time.NewTicker(every)
	defer t.Stop()
	for !f() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		case <-t.C:
		}
	}
	return nil
}

// close ends everything that the demo started, and says so if something will not end.
func (s *show) close(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var errs []error
	if s.flyball != nil {
		errs = append(errs, s.flyball.stop(ctx))
		if left, err := s.o.Sweep(ctx, s.stage.config); err != nil || left > 0 {
			errs = append(errs, fmt.Errorf("%w: %d pools are left with members (%v)", ErrFailed, left, err))
		}
		errs = append(errs, s.finish(ctx))
	}
	errs = append(errs, s.stage.elastic.leave(), s.props.strike(ctx))
	s.view.end()
	if len(errs) == 0 || errors.Join(errs...) == nil {
		return os.RemoveAll(dir)
	}
	return errors.Join(errs...)
}
