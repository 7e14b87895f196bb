package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"flyball/deploy/tools/bench/targets"
)

const (
	mebi = 1 << 20
	mega = 1e6
)

// A plan says how long each part of a comparison lasts.
type plan struct {
	interval time.Duration // between scrapes
	warmup   time.Duration // new series cost more than known ones
	window   time.Duration
	rounds   int
}

// bench measures peers on one farm of targets.
type bench struct {
	farm *targets.Farm
	dir  string
	plan plan
	out  io.Writer
}

// A result is what one measurement found.
type result struct {
	cost float64 // CPU seconds per million samples stored
	rss  float64 // MiB, the most that was seen
	rate float64 // samples stored a second
}

// compare measures both, in turn and back again (a b, b a, ...), so that a machine
// that gets slower treats both alike. It prints each result and the ratio of the means.
func (b *bench) compare(ctx context.Context, ours, theirs peer) error {
	for _, p := range []peer{ours, theirs} {
		if err := b.idle(ctx, p); err != nil {
			return err
		}
	}
	cost, rss := map[string]float64{}, map[string]float64{}
	for round := range b.plan.rounds {
		order := []peer{ours, theirs}
		if round%2 == 1 {
			order = []peer{theirs, ours}
		}
		for _, p := range order {
			r, err := b.ingest(ctx, p)
			if err != nil {
				return err
			}
			cost[p.name] += r.cost
			rss[p.name] += r.rss
			fmt.Fprintf(b.out, "BenchmarkIngest/%s\t1\t%.3f cpu-s/Msamples\t%.1f MiB-rss\t%.0f samples/s\n", p.name, r.cost, r.rss, r.rate)
		}
	}
	fmt.Fprintf(b.out, "BenchmarkIngestRatio/%s-to-%s\t1\t%.3f cpu-ratio\t%.3f rss-ratio\n",
		ours.name, theirs.name, cost[ours.name]/cost[theirs.name], rss[ours.name]/rss[theirs.name])
	return nil
}

// idle measures a server that scrapes nothing.
func (b *bench) idle(ctx context.Context, p peer) error {
	return b.with(ctx, p, nil, func(s *server) error {
		before, err := s.used(ctx)
		if err != nil {
			return err
		}
		const quiet = 10 * time.Second
		rss, err := s.watch(ctx, quiet)
		if err != nil {
			return err
		}
		after, err := s.used(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(b.out, "BenchmarkIdle/%s\t1\t%.1f MiB-rss\t%.2f cpu-percent\n",
			p.name, rss/mebi, 100*(after.cpu-before.cpu)/quiet.Seconds())
		return nil
	})
}

// ingest measures a server that scrapes the whole farm.
func (b *bench) ingest(ctx context.Context, p peer) (r result, err error) {
	err = b.with(ctx, p, b.farm.Addrs(), func(s *server) error {
		if _, err := s.watch(ctx, b.plan.warmup); err != nil {
			return err
		}
		before, err := s.used(ctx)
		if err != nil {
			return err
		}
		served := b.farm.Served()
		rss, err := s.watch(ctx, b.plan.window)
		if err != nil {
			return err
		}
		after, err := s.used(ctx)
		if err != nil {
			return err
		}
		stored := after.samples - before.samples
		r = result{cost: (after.cpu - before.cpu) / stored * mega, rss: rss / mebi, rate: stored / b.plan.window.Seconds()}
		return checkStored(p, stored, float64(b.farm.Served()-served))
	})
	return r, err
}

// checkStored refuses a result whose server kept clearly fewer samples than the
// targets gave it: it would look cheap. Each scrape adds a few of its own.
func checkStored(p peer, stored, served float64) error {
	if served == 0 || stored < 0.95*served {
		return fmt.Errorf("measure %s: it says that it stored %.0f samples, and the targets served %.0f", p.name, stored, served)
	}
	return nil
}

// with runs a server for as long as the measurement lasts.
func (b *bench) with(ctx context.Context, p peer, addrs []string, measure func(*server) error) error {
	dir, err := os.MkdirTemp(b.dir, filepath.Base(p.name)+"-")
	if err != nil {
		return fmt.Errorf("make a folder for the data: %w", err)
	}
	s, err := start(ctx, p, dir, scrapeConfig(addrs, b.plan.interval))
	if err != nil {
		return err
	}
	return errors.Join(measure(s), s.stop(), os.RemoveAll(dir))
}

// watch looks at the server's memory every half second and returns the most, in bytes.
func (s *server) watch(ctx context.Context, d time.Duration) (most float64, err error) {
	end := time.After(d)
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-end:
			return most, nil
		case ended := <-s.done:
			s.done <- ended
			return 0, fmt.Errorf("watch %s: it ended (%w) and said: %s", s.cmd.Path, ended, s.lastWords())
		case <-tick.C:
			_, rss, err := s.process()
			if err != nil {
				return 0, err
			}
			most = max(most, rss)
		}
	}
}
