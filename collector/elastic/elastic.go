// Package elastic keeps an Elasticsearch supplied with samples, datasets and
// events, answers the rules that are judged from it, and tells how far it is, over
// reloads of the configuration.
//
// A [Shipper] has at most one [Line]: a connection with all that goes over it. The
// templates come first; nothing is written before they stand. From then on samples,
// datasets and events go side by side, each from a cursor of its own in the journal,
// and none holds anything else up.
package elastic

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flyball/collector/elastic/cluster"
	"flyball/collector/elastic/ecs"
	"flyball/collector/elastic/events"
	"flyball/collector/elastic/query"
	"flyball/collector/elastic/samples"
	"flyball/collector/elastic/views"
	"flyball/rules"
	"flyball/scaler/journal"
)

// A Store is what samples are read from.
type Store interface {
	samples.Source
	views.Ranger
}

// Options say what is shipped, and for whom. All are needed.
type Options struct {
	Store   Store
	Journal *journal.Journal
	Members func(pool string) []string // of a pool, as they are now
	Agent   ecs.Agent
	Dir     string // of dead letters
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// metrics are the parts', made once: a reload makes the parts anew.
type metrics struct {
	cluster *cluster.Metrics
	samples *samples.Metrics
	views   *views.Metrics
	events  *events.Metrics
	query   *query.Metrics
}

// A Shipper keeps an Elasticsearch supplied. It is safe for concurrent use.
type Shipper struct {
	o       Options
	metrics metrics
	moved   chan struct{} // of one place: there is another line

	mu      sync.Mutex
	line    *Line // nil: no Elasticsearch is configured
	running bool
}

// New makes a shipper that has nothing to do until it is given a line.
func New(o Options) *Shipper {
	s := &Shipper{o: o, moved: make(chan struct{}, 1), metrics: metrics{
		cluster: cluster.NewMetrics(o.Metrics), samples: samples.NewMetrics(o.Metrics), views: views.NewMetrics(o.Metrics),
		events: events.NewMetrics(o.Metrics), query: query.NewMetrics(o.Metrics),
	}}
	o.Metrics.MustRegister(newReadiness(s))
	return s
}

// Take replaces the line; the one at hand may be given again, and goes on, but looks
// again at what it had left alone. Nil is no Elasticsearch. Before Run it also reads how far the last process was, and so has to
// be called before anything is written into the store.
func (s *Shipper) Take(l *Line) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line == l {
		l.poke()
		return nil
	}
	s.line = l
	if !s.running {
		return l.resume()
	}
	select {
	case s.moved <- struct{}{}:
	default: // Run will see the newest
	}
	return nil
}

func (s *Shipper) current() *Line {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.line
}

// Run runs the line at hand until ctx ends; when another one is taken, that one, once
// the one before has ended.
func (s *Shipper) Run(ctx context.Context) error {
	s.mu.Lock()
	s.running = true
	s.mu.Unlock()
	for ctx.Err() == nil {
		if err := s.runOne(ctx); err != nil {
			return err
		}
	}
	return nil
}

// runOne runs the line at hand until it is replaced.
func (s *Shipper) runOne(ctx context.Context) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	line, done := s.current(), make(chan error, 1)
	go func() { done <- line.run(ctx) }()
	select {
	case <-s.moved:
		end()
		return <-done
	case err := <-done:
		return err
	}
}

// Query answers a rule's question; without an Elasticsearch it is an error.
func (s *Shipper) Query(ctx context.Context, q rules.Query, at time.Time) (rules.Reading, error) {
	l := s.current()
	if l == nil {
		return rules.Reading{}, errNone
	}
	return l.query.Query(ctx, q, at)
}
