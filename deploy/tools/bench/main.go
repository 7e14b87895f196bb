// Command bench holds Flyball against its peers: its ingest path against the
// server of the Prometheus version that it embeds, and its shipping to
// Elasticsearch against an OpenTelemetry collector. Each has the same targets, the
// same configuration and the same Elasticsearch, in turn, in one run, on loopback
// alone. It prints lines in the format of Go benchmarks.
//
//	bench -flyball bin/flyball -prometheus bin/prometheus -otelcol bin/otelcol
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"flyball/deploy/testservers"
	"flyball/deploy/tools/bench/targets"
)

// options are what the command line says.
type options struct {
	flyball    string
	prometheus string
	otelcol    string
	parts      string
	targets    int
	shipped    int // targets
	series     int // per target
	plan       plan
	ship       plan
}

func main() {
	var o options
	flag.StringVar(&o.flyball, "flyball", "bin/flyball", "the Flyball to measure")
	flag.StringVar(&o.prometheus, "prometheus", "bin/prometheus", "the Prometheus server to measure it against")
	flag.StringVar(&o.otelcol, "otelcol", "bin/otelcol", "the OpenTelemetry collector to measure it against")
	flag.StringVar(&o.parts, "parts", "ingest,ship", "what is measured")
	flag.IntVar(&o.targets, "targets", 100, "how many targets are scraped")
	flag.IntVar(&o.shipped, "ship-targets", 80, "how many targets are scraped where samples are shipped; an eighth of them where no two series share labels")
	flag.IntVar(&o.series, "series", 1000, "series of each target")
	flag.DurationVar(&o.plan.interval, "interval", 5*time.Second, "time between scrapes")
	flag.DurationVar(&o.plan.warmup, "warmup", 15*time.Second, "scraping before a measurement starts")
	flag.DurationVar(&o.plan.window, "window", 35*time.Second, "how long a measurement lasts")
	flag.IntVar(&o.plan.rounds, "rounds", 2, "measurements of each server; they alternate")
	flag.DurationVar(&o.ship.warmup, "ship-warmup", 12*time.Second, "scraping before shipping is measured")
	flag.DurationVar(&o.ship.window, "ship-window", 30*time.Second, "how long a measurement of shipping lasts; a multiple of 10s")
	flag.Parse()
	o.ship.interval = o.plan.interval

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures all parts, one after another.
func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "flyball-bench-")
	if err != nil {
		return fmt.Errorf("make a folder for the data: %w", err)
	}
	defer os.RemoveAll(dir)
	fmt.Printf("goos: %s\ngoarch: %s\npkg: flyball/deploy/tools/bench\n", runtime.GOOS, runtime.GOARCH)
	for part := range strings.SplitSeq(o.parts, ",") {
		switch part {
		case "ingest":
			err = ingest(ctx, o, dir)
		case "ship":
			err = ship(ctx, o, dir)
		default:
			err = fmt.Errorf("%q cannot be measured: write ingest, ship or both", part)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ingest compares Flyball to the Prometheus server.
func ingest(ctx context.Context, o options, dir string) error {
	return serve(ctx, o.targets, o.series, targets.Shared, func(ctx context.Context, farm *targets.Farm) error {
		b := bench{farm: farm, dir: dir, plan: o.plan, out: os.Stdout}
		return b.compare(ctx, flyball(o.flyball), prometheus(o.prometheus))
	})
}

// ship compares Flyball to the collector, for each layout of labels.
func ship(ctx context.Context, o options, dir string) (err error) {
	group, err := testservers.NewGroup()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, group.Close()) }()
	elasticsearch, err := group.StartElasticsearch(ctx)
	if err != nil {
		return err
	}
	url := elasticsearch.URL()
	for _, layout := range []targets.Layout{targets.Shared, targets.Distinct} {
		n := o.shipped
		if layout == targets.Distinct { // a document for each sample is more than a small machine's Elasticsearch takes
			n = max(n/8, 1)
		}
		err := serve(ctx, n, o.series, layout, func(ctx context.Context, farm *targets.Farm) error {
			b := shipBench{
				farm: farm, layout: layout, search: search{url}, dir: dir, plan: o.ship, lag: 3 * shipEvery, slack: 0.02, out: os.Stdout,
			}
			var theirs []shipper
			for _, m := range modes(layout) {
				theirs = append(theirs, collector(o.otelcol, url, string(layout), m))
			}
			return b.compare(ctx, flyballShipping(o.flyball, url, string(layout)), flyball(o.flyball), theirs)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// serve serves targets for as long as a measurement lasts.
func serve(ctx context.Context, n, series int, layout targets.Layout, measure func(context.Context, *targets.Farm) error) error {
	farm, err := targets.Listen(n, series, layout)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return farm.Run(ctx) })
	group.Go(func() error {
		defer cancel()
		return measure(ctx, farm)
	})
	return group.Wait()
}
