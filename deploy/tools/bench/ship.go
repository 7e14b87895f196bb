package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"flyball/deploy/tools/bench/targets"
)

// shipBench measures shippers on one farm of targets and one Elasticsearch.
type shipBench struct {
	farm   *targets.Farm
	layout targets.Layout
	search search
	dir    string
	plan   plan
	lag    time.Duration // after which what was not shipped is lost
	slack  float64       // share of values that may be missing: scrapes at the edges of a measurement
	out    io.Writer
}

// A shipment is what one measurement found, by values that are in the index.
type shipment struct {
	cost float64 // CPU seconds of the shipping process per million
	rate float64 // a second
	lost float64 // share of what was served
	size float64 // bytes of the index for each
	docs float64 // documents for each
	load float64 // CPU seconds of Elasticsearch per million
}

// Names of a measurement's figures.
func (s shipment) String() string {
	return fmt.Sprintf("%.0f samples/cpu-s\t%.3f cpu-s/Msamples\t%.2f B/sample\t%.4f docs/sample\t%.1f elastic-cpu-s/Msamples\t%.0f samples/s",
		mega/s.cost, s.cost, s.size, s.docs, s.load, s.rate)
}

// compare measures ours, each of theirs, and ours without shipping, and prints
// how ours compares to each of them that lost nothing.
func (b *shipBench) compare(ctx context.Context, ours shipper, base peer, theirs []shipper) error {
	got, err := b.measure(ctx, ours)
	if err != nil {
		return err
	}
	if got.lost > b.slack {
		return fmt.Errorf("measure %s, %s labels: the index has %.1f %% less than was served", ours.name, b.layout, 100*got.lost)
	}
	alone, err := b.alone(ctx, base)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "BenchmarkShip/%s/%s-without\t1\t%.3f cpu-s/Msamples\t%.3f cpu-s/Msamples-that-shipping-adds\n", b.layout, ours.name, alone, got.cost-alone)
	for _, p := range theirs {
		other, err := b.measure(ctx, p)
		if err != nil {
			return err
		}
		if other.lost > b.slack { // what it costs to lose them says nothing
			fmt.Fprintf(b.out, "BenchmarkShipLost/%s/%s\t1\t%.1f %%-lost\n", b.layout, p.name, 100*other.lost)
			continue
		}
		fmt.Fprintf(b.out, "BenchmarkShipRatio/%s/%s-to-%s\t1\t%.2f samples-per-cpu-ratio\t%.3f bytes-ratio\t%.3f docs-ratio\t%.3f elastic-cpu-ratio\n",
			b.layout, ours.name, p.name, other.cost/got.cost, got.size/other.size, got.docs/other.docs, got.load/other.load)
	}
	return nil
}

// measure has the farm shipped to a data stream of its own, and prints the result.
func (b *shipBench) measure(ctx context.Context, p shipper) (s shipment, err error) {
	if p.template != nil {
		if err := b.search.do(ctx, http.MethodPut, "/_index_template/"+p.stream, p.template, nil); err != nil {
			return s, err
		}
	}
	begun := time.Now()
	err = b.with(ctx, p.peer, func(run *server) error {
		if _, err := run.watch(ctx, b.plan.warmup); err != nil {
			return err
		}
		s, err = b.window(ctx, p, run)
		return err
	})
	if err != nil {
		return s, err
	}
	size, docs, err := b.search.merge(ctx, p.stream)
	if err != nil {
		return s, err
	}
	all, err := b.search.values(ctx, p.stream, begun.Add(-time.Minute), time.Now().Add(time.Minute))
	if err != nil {
		return s, err
	}
	s.size, s.docs = size/all, docs/all
	fmt.Fprintf(b.out, "BenchmarkShip/%s/%s\t1\t%s\n", b.layout, p.name, s)
	return s, nil
}

// window measures a shipper that is warm, until all that it scraped meanwhile is
// in the index. It ships behind time, as long at the end as at the beginning.
func (b *shipBench) window(ctx context.Context, p shipper, run *server) (s shipment, err error) {
	from, before, err := b.usage(ctx, run)
	if err != nil {
		return s, err
	}
	if _, err := run.watch(ctx, b.plan.window); err != nil {
		return s, err
	}
	to, after, err := b.usage(ctx, run)
	if err != nil {
		return s, err
	}
	served := after.served - before.served
	values, err := b.arrived(ctx, p, run, from, to, served)
	if err != nil {
		return s, err
	}
	return shipment{
		cost: (after.shipper - before.shipper) / values * mega,
		load: (after.elastic - before.elastic) / values * mega,
		rate: values / to.Sub(from).Seconds(),
		lost: 1 - values/served,
	}, nil
}

// A shipping is what was used and served until a time.
type shipping struct{ shipper, elastic, served float64 }

func (b *shipBench) usage(ctx context.Context, run *server) (at time.Time, u shipping, err error) {
	if u.elastic, err = b.search.cpu(ctx); err != nil {
		return at, u, err
	}
	u.shipper, _, err = run.process()
	u.served = float64(b.farm.Served())
	return time.Now(), u, err
}

// arrived counts the values of a stretch of time that are in the index, once all
// that were served are, or no more come.
func (b *shipBench) arrived(ctx context.Context, p shipper, run *server, from, to time.Time, served float64) (float64, error) {
	for deadline := time.Now().Add(b.lag); ; {
		values, err := b.search.values(ctx, p.stream, from, to)
		if err != nil || values >= served*(1-b.slack/4) || time.Now().After(deadline) {
			if err == nil && values == 0 {
				err = fmt.Errorf("measure %s: nothing is in %s; it says: %s", p.name, p.stream, run.lastWords())
			}
			return values, err
		}
		if _, err := run.watch(ctx, time.Second); err != nil {
			return 0, err
		}
	}
}

// alone measures a server that scrapes and stores the farm, and sends nothing: CPU
// seconds per million samples served.
func (b *shipBench) alone(ctx context.Context, p peer) (cost float64, err error) {
	err = b.with(ctx, p, func(run *server) error {
		if _, err := run.watch(ctx, b.plan.warmup); err != nil {
			return err
		}
		_, before, err := b.usage(ctx, run)
		if err != nil {
			return err
		}
		if _, err := run.watch(ctx, b.plan.window); err != nil {
			return err
		}
		_, after, err := b.usage(ctx, run)
		cost = (after.shipper - before.shipper) / (after.served - before.served) * mega
		return err
	})
	return cost, err
}

// with runs a server that scrapes the farm for as long as the measurement lasts.
func (b *shipBench) with(ctx context.Context, p peer, measure func(*server) error) error {
	dir, err := os.MkdirTemp(b.dir, p.name+"-")
	if err != nil {
		return fmt.Errorf("make a folder for the data: %w", err)
	}
	s, err := start(ctx, p, dir, scrapeConfig(b.farm.Addrs(), b.plan.interval))
	if err != nil {
		return err
	}
	return errors.Join(measure(s), s.stop(), os.RemoveAll(dir))
}
