// Package scaler is the loop: it reads every rule's signals, lets [rules.Decide]
// judge, plans one short step, journals it, and asks the provider or the traffic.
//
// Each pool has a goroutine of its own, so a provider that hangs holds up its own
// pool and no other.
package scaler

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flyball/rules"
	"flyball/scaler/journal"
)

// A Journal is what the loop needs of [journal.Journal]. It is safe for concurrent use.
type Journal interface {
	Tick(now time.Time, ts []journal.Tick) error
	Begin(s journal.Step, t *journal.Tick) (journal.Seq, error)
	End(seq journal.Seq, o journal.Outcome) error
	Pending() ([]journal.Entry, error)
	Memory(pool string) (rules.Memory, bool, error)
	Orders() (map[string]journal.Standing, error)
	SetOrder(target, kind string, o *rules.Order, at time.Time) error
}

// Options are what a Scaler is made of.
type Options struct {
	Querier    rules.Querier
	Journal    Journal
	Roster     *Roster
	Wake       <-chan struct{} // a scrape was committed
	Site       string
	Version    string
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// A Scaler judges all pools. Its methods are safe for concurrent use.
type Scaler struct {
	querier rules.Querier
	journal Journal
	roster  *Roster
	wake    <-chan struct{}
	log     *slog.Logger
	metrics *metrics
	site    string
	version string
	started time.Time

	applied chan struct{} // of one place: there is a plan newer than what runs
	mu      sync.Mutex
	loops   map[string]*loop
}

// New returns a Scaler without pools: [Scaler.Apply] gives it some.
func New(o Options) *Scaler {
	s := &Scaler{
		querier: o.Querier, journal: o.Journal, roster: o.Roster, wake: o.Wake, log: o.Logger,
		metrics: newMetrics(o.Registerer), site: o.Site, version: o.Version, started: time.Now(),
		applied: make(chan struct{}, 1), loops: map[string]*loop{},
	}
	o.Registerer.MustRegister(newGauges(s))
	return s
}

// Apply replaces the pools and their rules. Run takes them over when the
// judgements that are under way have ended. A pool without a rule is only watched.
func (s *Scaler) Apply(units map[string]Unit, set []rules.Scale) {
	loops := map[string]*loop{}
	for name, u := range units {
		loops[name] = s.loop(name, u)
	}
	for _, r := range set {
		if l, ok := loops[r.Pool]; ok {
			l.rule = &r
			l.status.Rule, l.status.Mode, l.status.Min, l.status.Max = r.Rule, r.Mode, r.Min, r.Max
		}
	}
	s.mu.Lock()
	s.loops = loops
	s.mu.Unlock()
	s.roster.Keep(slices.Collect(maps.Keys(loops)))
	select {
	case s.applied <- struct{}{}:
	default:
	}
}

func (s *Scaler) loop(name string, u Unit) *loop {
	l := &loop{s: s, name: name, unit: u, log: s.log, wake: make(chan struct{}, 1)}
	l.status.Name, l.status.Judged = name, time.Now()
	s.metrics.know(name)
	return l
}

// Run judges until the context ends, and returns when no step is under way.
func (s *Scaler) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	shifts := map[string]shift{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.applied:
			s.relieve(ctx, &wg, shifts)
		case <-s.wake:
			s.wakeAll()
		}
	}
}

// A shift is one loop's run, from one Apply to the next.
type shift struct {
	end  context.CancelFunc
	over chan struct{} // closed when the loop has returned
}

// relieve ends every pool's loop and starts the one that was applied last, each
// as soon as its own predecessor has returned: a provider that hangs holds up the
// reload of its own pool only.
func (s *Scaler) relieve(ctx context.Context, wg *sync.WaitGroup, shifts map[string]shift) {
	for _, old := range shifts {
		old.end()
	}
	for _, l := range s.current() {
		before := shifts[l.name].over
		now := shift{over: make(chan struct{})}
		ctx, cancel := context.WithCancel(ctx)
		now.end = cancel
		shifts[l.name] = now
		wg.Go(func() {
			defer close(now.over)
			if before != nil {
				<-before
			}
			l.run(ctx)
		})
	}
}

// current are the loops of the last Apply, sorted by pool.
func (s *Scaler) current() []*loop {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.loops), func(a, b *loop) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
}
