package elastic

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"flyball/collector/elastic/ecs"
	"flyball/collector/elastic/setup"
	"flyball/collector/elastic/views"
)

// send sends as soon as the templates stand. When what is blocked has changed hands,
// it goes on with what is ours then.
func (l *Line) send(ctx context.Context) error {
	report, ok := l.setUp(ctx)
	for ok {
		var err error
		if report, ok, err = l.while(ctx, report); err != nil || !ok {
			return err
		}
		l.o.Log.Info("elasticsearch: what is somebody else's has changed", "blocked", report.Blocked)
		if err := l.renew(); err != nil {
			return err
		}
	}
	return nil
}

// while sends until other data streams are blocked than report says; changed is false
// if ctx ended before.
func (l *Line) while(ctx context.Context, report setup.Report) (next setup.Report, changed bool, err error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.supply(ctx, report) })
	g.Go(func() error {
		defer end()
		next, changed = l.watch(ctx, report)
		return nil
	})
	err = g.Wait()
	return next, changed, err
}

// watch looks again at what was left alone, when it is poked and every few minutes,
// until other data streams are blocked than before; changed is false if ctx ended.
func (l *Line) watch(ctx context.Context, report setup.Report) (next setup.Report, changed bool) {
	tick := time.NewTicker(l.look)
	defer tick.Stop()
	quiet := slog.New(slog.DiscardHandler)
	for {
		select {
		case <-ctx.Done():
			return report, false
		case <-l.poked:
		case <-tick.C:
		}
		if len(report.Left()) == 0 {
			continue
		}
		next, err := setup.Apply(ctx, l.cluster, l.config.Streams, l.config.datasets(), quiet)
		if err != nil {
			continue // the cluster tells of it, and what is sent goes on
		}
		l.stands(next, nil, time.Time{})
		if !slices.Equal(next.Blocked, report.Blocked) {
			return next, true
		}
		report = next
	}
}

// poke has what was left alone looked at again. A nil line has nothing to look at.
func (l *Line) poke() {
	if l == nil {
		return
	}
	select {
	case l.poked <- struct{}{}:
	default: // it is to be looked at already
	}
}

// renew makes the parts anew that can be run once; they go on where they were.
func (l *Line) renew() error {
	l.mu.Lock()
	l.events, l.samples = l.newEvents(), nil
	l.mu.Unlock()
	return l.resume()
}

// supply sends what is ours to send: a data stream of somebody else's gets nothing.
func (l *Line) supply(ctx context.Context, report setup.Report) error {
	table, err := l.compute(report)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return table.Run(ctx) })
	if !report.Blocks(l.stream(setup.Events())) {
		g.Go(func() error { return l.events.Run(ctx) })
	}
	if !report.Blocks(l.stream(setup.Samples())) {
		g.Go(func() error { return l.samples.Run(ctx) })
	}
	return g.Wait()
}

// stream is the name, or the pattern of the names, of a dataset's data streams.
func (l *Line) stream(d setup.Dataset) string { return d.Pattern(l.config.Namespace) }

// compute makes the part that computes datasets, of those that are ours to send.
func (l *Line) compute(report setup.Report) (*views.Runner, error) {
	var table []views.View
	for _, v := range l.config.table {
		if !report.Blocks(ecs.Stream{Type: "metrics", Dataset: v.Dataset, Namespace: l.config.Namespace}.Name()) {
			table = append(table, v)
		}
	}
	r, err := views.New(views.Options{
		Range: l.o.Store, State: l.o.Journal, Deliver: l.cluster, Views: table, Every: time.Duration(l.config.Views.Every),
		Scrape: l.scrape, Namespace: l.config.Namespace, Agent: l.o.Agent, Log: l.o.Log, Metrics: l.metrics.views,
		Skipped: l.skipped,
	})
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.views = r
	return r, nil
}
