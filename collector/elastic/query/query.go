// Package query answers the signals of scale rules that are read from
// Elasticsearch.
//
// A search takes its time, and a judgement has none. So each question is asked in
// the background, as often as its rule says, and a judgement is given the last
// answer. One request reads the value, the newest document of each member and
// thereby which members reported: age and coverage are never of another moment
// than the value. What is not whole is no answer: a search that timed out, shards
// that failed, clusters that were skipped, members that were cut off the list.
package query

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"flyball/rules"
)

// Search is a connection to Elasticsearch. Do sends one JSON request and returns
// the answer's body; a status of 300 and above is a *cluster.StatusError. It
// returns once ctx is done, and its errors hold no secret.
type Search interface {
	Do(ctx context.Context, method, path string, body []byte) ([]byte, error)
}

// Options are what a Querier needs.
type Options struct {
	Search Search
	// Members names a pool's present members; an empty list that is not nil has
	// none, and nil is not known: then all that Elasticsearch has count. It is safe
	// for concurrent use. A nil Members knows nobody.
	Members func(pool string) []string
	Log     *slog.Logger     // nil: nothing is logged
	Metrics *Metrics         // nil: of nobody's
	Now     func() time.Time // nil: the machine's
}

// A Querier answers [rules.Elastic]. It is safe for concurrent use.
type Querier struct {
	o    Options
	wake chan struct{} // of one place: somebody waits to be run

	mu      sync.Mutex
	ended   bool
	pollers map[rules.Elastic]*poller
	waiting []*poller // that nobody runs yet
}

// New makes a querier. It asks nothing before Run.
func New(o Options) *Querier {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Querier{o: o, wake: make(chan struct{}, 1), pollers: map[rules.Elastic]*poller{}}
}

// Run asks what was begun by Query, until ctx is done and no request is under way
// any more. It returns nil, and runs once.
func (s *Querier) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	defer s.end()
	for {
		for _, p := range s.begun() {
			all.Go(func() { p.run(ctx) })
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		}
	}
}

// begun takes the pollers that wait to be run.
func (s *Querier) begun() []*poller {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.waiting
	s.waiting = nil
	return out
}

// end lets no further poller begin.
func (s *Querier) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}

var (
	errEnded  = errors.New("query Elasticsearch: nothing is asked any more, the service ends or was configured anew")
	errNotYet = errors.New("query Elasticsearch: it has not answered yet")
)

// Query gives the last answer to a question, never younger than at. The first
// question makes Elasticsearch be asked again and again, until nobody wants to
// know; it alone waits for the answer, for 2 s at the most. After an ask that
// failed, the answer is that failure: what was read before may be wrong by now.
// Where there are no documents it is [rules.ErrNoData].
func (s *Querier) Query(ctx context.Context, q rules.Query, at time.Time) (rules.Reading, error) {
	e, ok := q.(rules.Elastic)
	if !ok {
		return rules.Reading{}, fmt.Errorf("query Elasticsearch: %T is no question to it", q)
	}
	p, first, err := s.poller(e)
	if err != nil {
		return rules.Reading{}, err
	}
	if first {
		p.await(ctx)
	}
	return p.answer(at)
}

// poller is the one that asks e; first says that it has just begun.
func (s *Querier) poller(e rules.Elastic) (p *poller, first bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, false, errEnded
	}
	p, ok := s.pollers[e]
	if !ok {
		p = newPoller(s, e)
		s.pollers[e] = p
		s.waiting = append(s.waiting, p)
		s.o.Metrics.questions.Set(float64(len(s.pollers)))
		select {
		case s.wake <- struct{}{}:
		default: // it will wake for the one before
		}
	}
	p.wanted = s.o.Now()
	return p, !ok, nil
}

// forget ends a poller that nobody has asked for long, and reports whether it did.
func (s *Querier) forget(p *poller) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.o.Now().Sub(p.wanted) < p.patience() {
		return false
	}
	delete(s.pollers, p.q)
	s.o.Metrics.questions.Set(float64(len(s.pollers)))
	for other := range maps.Keys(s.pollers) {
		if other.Pool == p.q.Pool {
			return true
		}
	}
	s.o.Metrics.newest.DeleteLabelValues(p.q.Pool)
	return true
}
