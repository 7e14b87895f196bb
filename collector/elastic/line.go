package elastic

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"flyball/collector/elastic/cluster"
	"flyball/collector/elastic/ecs"
	"flyball/collector/elastic/events"
	"flyball/collector/elastic/query"
	"flyball/collector/elastic/samples"
	"flyball/collector/elastic/setup"
	"flyball/collector/elastic/views"
	"flyball/scaler/journal"
)

// errNone means that a rule asks an Elasticsearch that is not configured.
var errNone = errors.New("no Elasticsearch is configured: write the block elasticsearch into flyball.yaml")

// A Line is a connection to one Elasticsearch, and all that goes over it.
type Line struct {
	config  Config
	scrape  time.Duration
	o       Options
	metrics metrics
	cluster *cluster.Cluster
	query   *query.Querier
	poked   chan struct{} // of one place: what was left alone is to be looked at again
	look    time.Duration // how often it is anyhow

	mu      sync.Mutex
	events  *events.Shipper
	samples *samples.Shipper // nil until it was resumed
	views   *views.Runner    // nil until the templates stand
	unready string           // why they do not
	again   time.Time        // when they are written again; zero if they stand
	report  setup.Report     // what stands, and what of others stands in our place
}

// Prepare makes the line of a configuration, and reaches for nothing yet; nil is
// that of none. What the line at hand is made of gives the line at hand. scrape is
// the longest scrape interval.
func (s *Shipper) Prepare(c *Config, scrape time.Duration) (*Line, error) {
	if c == nil {
		return nil, nil
	}
	if now := s.current(); now != nil && now.scrape == scrape && reflect.DeepEqual(now.config, *c) {
		return now, nil
	}
	l := &Line{
		config: *c, scrape: scrape, o: s.o, metrics: s.metrics, unready: "not asked yet",
		poked: make(chan struct{}, 1), look: rarely,
	}
	if err := l.connect(); err != nil {
		return nil, fmt.Errorf("make ready for Elasticsearch: %w", err)
	}
	return l, nil
}

// connect makes the parts, but for the datasets, of which some may be left to others.
func (l *Line) connect() (err error) {
	c, o, m := l.config, l.o, l.metrics
	if l.cluster, err = cluster.New(c.Config, cluster.Options{
		Log: o.Log, Metrics: m.cluster, Dir: o.Dir, Agent: "flyball/" + o.Agent.Version,
	}); err != nil {
		return err
	}
	l.events = l.newEvents()
	l.query = query.New(query.Options{Search: l.cluster, Members: o.Members, Log: o.Log, Metrics: m.query})
	return nil
}

func (l *Line) newEvents() *events.Shipper {
	return events.New(events.Options{
		Journal: l.o.Journal, Cluster: l.cluster, Namespace: l.config.Namespace, Agent: l.o.Agent, Log: l.o.Log, Metrics: l.metrics.events,
	})
}

// resume goes on where the line before this one, which has ended, had come to. A nil
// line has nothing to go on with, and one that was resumed goes on.
func (l *Line) resume() error {
	if l == nil || l.samples != nil {
		return nil
	}
	c, o := l.config, l.o
	s, err := samples.New(samples.Options{
		Source: o.Store, State: o.Journal, Deliver: l.cluster, Config: c.Ship, Namespace: c.Namespace, Agent: o.Agent,
		Log: o.Log, Metrics: l.metrics.samples, Trouble: l.trouble,
	})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.samples = s
	return nil
}

// trouble journals a trouble with what is sent.
func (l *Line) trouble(t samples.Trouble) {
	at := time.Now().UTC().Truncate(time.Millisecond)
	if err := l.o.Journal.Note(journal.Ship, "elasticsearch", at, journal.Trouble(t)); err != nil {
		l.o.Log.Error("trouble with what is sent could not be journalled", "what", t.What, "text", t.Text, "err", err)
	}
}

// skipped journals that datasets were given up for a while.
func (l *Line) skipped(from, until time.Time) {
	all := ecs.Stream{Type: "metrics", Dataset: "*", Namespace: l.config.Namespace}
	l.trouble(samples.Trouble{
		What: "lost", To: all.Name(), From: from, Until: until,
		Text: fmt.Sprintf("datasets of %s are not computed any more: nothing was sent for longer than the 7 days back that their data streams take", until.Sub(from).Round(time.Second)),
	})
}

// run answers rules at once, and sends as soon as the templates stand. Nil rests.
func (l *Line) run(ctx context.Context) error {
	if l == nil {
		<-ctx.Done()
		return nil
	}
	defer l.cluster.Close()
	if err := l.resume(); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.query.Run(ctx) })
	g.Go(func() error { return l.send(ctx) })
	return g.Wait()
}

// How long setting up waits after it failed: at first, at most, and where somebody
// must upgrade the server, or make what the configuration names.
const (
	soon   = time.Second
	later  = 30 * time.Second
	rarely = 5 * time.Minute
)

// patience is how long to wait after setting up failed, wait being how long was
// waited before.
func patience(wait time.Duration, err error) time.Duration {
	if errors.Is(err, setup.ErrServer) {
		return rarely
	}
	return min(max(2*wait, soon), later)
}

// setUp writes the templates, as often as it takes; ok is false if ctx ended before.
func (l *Line) setUp(ctx context.Context) (report setup.Report, ok bool) {
	for wait := time.Duration(0); ; {
		report, err := setup.Apply(ctx, l.cluster, l.config.Streams, l.config.datasets(), l.o.Log)
		if wait = patience(wait, err); err == nil || ctx.Err() != nil {
			l.stands(report, err, time.Time{})
			return report, err == nil
		}
		l.stands(report, err, time.Now().Add(wait))
		l.o.Log.Error("Elasticsearch cannot be made ready, and nothing is sent until it is", "again", wait, "err", err)
		select {
		case <-ctx.Done():
			return report, false
		case <-time.After(wait):
		}
	}
}
