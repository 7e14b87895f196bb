// Command bench holds Flyball's ingest path against the server of the Prometheus
// version that it embeds: the same targets, the same configuration, in turn, in
// one run, on loopback alone. It prints lines in the format of Go benchmarks.
//
//	bench -flyball bin/flyball -prometheus bin/prometheus
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"flyball/deploy/tools/bench/targets"
)

// options are what the command line says.
type options struct {
	flyball    string
	prometheus string
	targets    int
	series     int // per target
	plan       plan
}

func main() {
	var o options
	flag.StringVar(&o.flyball, "flyball", "bin/flyball", "the Flyball to measure")
	flag.StringVar(&o.prometheus, "prometheus", "bin/prometheus", "the Prometheus server to measure it against")
	flag.IntVar(&o.targets, "targets", 100, "how many targets are scraped")
	flag.IntVar(&o.series, "series", 1000, "series of each target")
	flag.DurationVar(&o.plan.interval, "interval", 5*time.Second, "time between scrapes")
	flag.DurationVar(&o.plan.warmup, "warmup", 15*time.Second, "scraping before a measurement starts")
	flag.DurationVar(&o.plan.window, "window", 35*time.Second, "how long a measurement lasts")
	flag.IntVar(&o.plan.rounds, "rounds", 2, "measurements of each server; they alternate")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run serves the targets for as long as the measurements last.
func run(ctx context.Context, o options) error {
	farm, err := targets.Listen(o.targets, o.series)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return farm.Run(ctx) })
	group.Go(func() error {
		defer cancel()
		dir, err := os.MkdirTemp("", "flyball-bench-")
		if err != nil {
			return fmt.Errorf("make a folder for the data: %w", err)
		}
		defer os.RemoveAll(dir)
		fmt.Printf("goos: %s\ngoarch: %s\npkg: flyball/deploy/tools/bench\n", runtime.GOOS, runtime.GOARCH)
		b := bench{farm: farm, dir: dir, plan: o.plan, out: os.Stdout}
		return b.compare(ctx, flyball(o.flyball), prometheus(o.prometheus))
	})
	return group.Wait()
}
