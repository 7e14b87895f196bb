package views

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql"

	"flyball/collector/elastic/cluster"
	"flyball/collector/elastic/ecs"
)

// A Ranger answers PromQL expressions at times from from to to, both included.
type Ranger interface {
	Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) (promql.Matrix, error)
}

// A Keeper keeps what must be known after a restart; what Keep was given is durable
// when it returns.
type Keeper interface {
	Keep(who string, state any) error
	Kept(who string, state any) (bool, error)
}

// A Deliverer creates documents, see [cluster.Cluster].
type Deliverer interface {
	Deliver(ctx context.Context, lane cluster.Lane, docs []cluster.Document) (map[int]cluster.Refusal, error)
	Bury(docs []cluster.Document, why []cluster.Refusal) error
}

// Options are what a Runner needs.
type Options struct {
	Range     Ranger
	State     Keeper
	Deliver   Deliverer
	Views     []View
	Every     time.Duration // distance of the grid's times; default 10 s
	Scrape    time.Duration // longest scrape interval, which $rate follows; default 15 s
	Margin    time.Duration // how far behind now views are computed, so that scrapes have ended; default: a scrape interval, 2 to 10 s
	Begin     time.Time     // where the first ever begins; default: the present
	Namespace string        // of the data streams
	Agent     ecs.Agent
	Skipped   func(from, until time.Time) // takes notice of time that was given up; may be nil
	Log       *slog.Logger                // nil: nothing is logged
	Metrics   *Metrics                    // nil: of nobody's
	Now       func() time.Time            // default time.Now
}

func (o Options) withDefaults() Options {
	o.Every = max(cmp.Or(o.Every, 10*time.Second).Truncate(time.Millisecond), time.Millisecond)
	o.Scrape = cmp.Or(o.Scrape, 15*time.Second)
	o.Margin = cmp.Or(o.Margin, min(max(o.Scrape, leastMargin), mostMargin))
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	if o.Skipped == nil {
		o.Skipped = func(time.Time, time.Time) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// rateWindow is what $rate stands for.
func rateWindow(scrape time.Duration) time.Duration { return max(4*scrape, time.Minute) }

const (
	who = "elastic/views" // whose state is kept

	leastMargin = 2 * time.Second
	mostMargin  = 10 * time.Second // the time-out of a scrape, where nothing else is said

	// reach is how far back views are computed: the data streams take documents of
	// the last 7 days.
	reach = 7*24*time.Hour - time.Hour

	mostSteps  = 360     // times in a stretch
	firstSteps = 12      // before it is known how much a time holds
	mostValues = 200_000 // numbers of one view that are held at a time: 1.6 MB
	pace       = 2000    // documents a second at most, while a backlog is made up for; and it is computed half of the time
)

// kept is what a Runner keeps.
type kept struct {
	Until time.Time `json:"until"` // all before and at this time was delivered
}

// A Runner computes views and delivers their documents, time by time: each document
// of a time is delivered, or was refused for good, before the next stretch of times
// is begun and before the cursor, which is durable, moves. What is repeated after a
// crash has the same dimensions and times, and Elasticsearch knows it. Run may be
// called once; Status at any time.
type Runner struct {
	o       Options
	layouts []*layout
	steps   int // times in the next stretch, as the last one was
	most    int // times in a stretch, as the queries bear
	skipped gap // that nobody was told of yet

	mu     sync.Mutex
	status Status
	broken map[string]string // errors of expressions that fail, by view and field
}

// New makes a Runner that goes on where the one before it stopped.
func New(o Options) (*Runner, error) {
	o = o.withDefaults()
	r := &Runner{o: o, steps: firstSteps, most: mostSteps, broken: map[string]string{}}
	window := model.Duration(rateWindow(o.Scrape)).String()
	for _, v := range o.Views {
		r.layouts = append(r.layouts, newLayout(v, o.Namespace, o.Agent, o.Every, window))
		o.Metrics.of(v.Dataset)
	}
	var k kept
	found, err := o.State.Kept(who, &k)
	if err != nil {
		return nil, fmt.Errorf("begin to compute datasets: %w", err)
	}
	if !found {
		k.Until = o.Begin
		if k.Until.IsZero() {
			k.Until = o.Now().Add(-o.Margin)
		}
	}
	r.status = Status{Views: len(o.Views), Until: floor(k.Until, o.Every)}
	if !found {
		r.keep(r.status.Until)
	}
	o.Metrics.until.Store(0)
	if len(o.Views) > 0 {
		o.Metrics.until.Store(r.status.Until.UnixMilli())
	}
	return r, nil
}

// Run computes and delivers until ctx ends, and returns then. Nothing but ctx ends it.
func (r *Runner) Run(ctx context.Context) error {
	defer r.o.Metrics.until.Store(0)
	defer r.tellSkipped()
	if len(r.layouts) == 0 {
		<-ctx.Done()
		return nil
	}
	for ctx.Err() == nil {
		sleep(ctx, r.round(ctx))
	}
	return nil
}

// sleep waits, at most until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// round does one stretch, if one is due, and says how long to wait for the next.
func (r *Runner) round(ctx context.Context) time.Duration {
	begun := r.o.Now()
	r.skip(begun)
	newest := floor(begun.Add(-r.o.Margin), r.o.Every)
	s := r.next(newest)
	if s.count <= 0 {
		return max(newest.Add(r.o.Every+r.o.Margin).Sub(begun), time.Millisecond)
	}
	spent, err := r.stretch(ctx, s)
	switch {
	case errors.Is(err, errTooMuch):
		r.most = max(1, s.count/4)
		return 0
	case err != nil:
		return 0 // ctx has ended
	}
	r.most = min(2*r.most, mostSteps)
	r.move(s.last())
	if !s.last().Before(newest) {
		return 0
	}
	return max(spent.computing, time.Duration(spent.documents)*time.Second/pace-r.o.Now().Sub(begun))
}

// effort is what a stretch took.
type effort struct {
	computing time.Duration
	documents int
}

// next is the stretch after the cursor, up to newest; its count is 0 if there is none.
func (r *Runner) next(newest time.Time) stretch {
	from := floor(r.Status().Until, r.o.Every).Add(r.o.Every)
	n := int(newest.Sub(from)/r.o.Every) + 1
	if newest.Before(from) {
		n = 0
	}
	return stretch{from: from, every: r.o.Every, count: min(n, r.steps, r.most)}
}

// move sets the cursor. If it cannot be kept, the Runner goes on: after a restart
// documents would be sent again, and be known.
func (r *Runner) move(to time.Time) {
	r.mu.Lock()
	r.status.Until = to
	r.mu.Unlock()
	r.o.Metrics.until.Store(to.UnixMilli())
	r.keep(to)
}

func (r *Runner) keep(until time.Time) {
	if err := r.o.State.Keep(who, kept{Until: until}); err != nil {
		r.trouble("cursor of datasets is not kept", err)
	}
}

// trouble logs and shows an error that is not an expression's.
func (r *Runner) trouble(what string, err error) {
	r.o.Log.Error(what, "err", err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Error, r.status.ErrorAt = what+": "+err.Error(), r.o.Now()
}
