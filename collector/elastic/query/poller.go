package query

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"flyball/rules"
)

const (
	firstWait    = 2 * time.Second  // that the first question waits for its answer
	mostAsk      = 10 * time.Second // that one ask may take
	leastWanted  = time.Minute      // without a question, that one is asked on: judgements are 15 s apart
	firstBackoff = time.Second      // after an ask that failed; doubled by each, up to every
)

// A poller asks one question again and again.
type poller struct {
	s      *Querier
	q      rules.Elastic
	wanted time.Time // when somebody asked for it last; under the querier's mu
	asker  asker

	once  sync.Once
	first chan struct{} // closed once there is an answer, or a failure

	mu      sync.Mutex
	reading rules.Reading
	err     error
}

func newPoller(s *Querier, q rules.Elastic) *poller {
	return &poller{s: s, q: q, first: make(chan struct{}), err: errNotYet, asker: asker{search: s.o.Search, q: q, now: s.o.Now}}
}

// patience is how long it asks on though nobody wants to know.
func (p *poller) patience() time.Duration { return max(5*p.q.Every, leastWanted) }

// run asks until ctx is done or nobody wants to know.
func (p *poller) run(ctx context.Context) {
	failures := 0
	for {
		err := p.ask(ctx)
		switch {
		case ctx.Err() != nil, p.s.forget(p):
			return
		case err == nil || errors.Is(err, rules.ErrNoData):
			failures = 0
		default:
			failures++
		}
		t := time.NewTimer(p.pause(failures))
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// pause is the time to the next ask: after a failure it is tried again sooner, so
// that a hiccup blinds nobody for long.
func (p *poller) pause(failures int) time.Duration {
	if failures == 0 {
		return p.q.Every
	}
	return min(p.q.Every, firstBackoff<<min(failures-1, 20))
}

// ask asks once and keeps what came of it.
func (p *poller) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, min(p.q.Every, mostAsk))
	defer cancel()
	began := p.s.o.Now()
	reading, err := p.asker.ask(ctx, p.members())
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	p.s.o.Metrics.asked(p.q.Pool, p.s.o.Now().Sub(began), reading, err)
	p.keep(reading, err)
	return err
}

// members are the pool's present ones; nil if they are not known.
func (p *poller) members() []string {
	if p.s.o.Members == nil {
		return nil
	}
	return p.s.o.Members(p.q.Pool)
}

// keep takes over an answer, and logs when asking begins to fail, fails otherwise,
// or works again.
func (p *poller) keep(r rules.Reading, err error) {
	p.mu.Lock()
	before := p.err
	p.reading, p.err = r, err
	p.mu.Unlock()
	p.once.Do(func() { close(p.first) })
	log := p.s.o.Log.With("pool", p.q.Pool, "query", p.q.String())
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		log.Warn("Elasticsearch does not answer a signal", "err", err)
	case err == nil && before != nil && !errors.Is(before, errNotYet):
		log.Info("Elasticsearch answers a signal again")
	}
}

// await waits a little for the first answer.
func (p *poller) await(ctx context.Context) {
	t := time.NewTimer(firstWait)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-p.first:
	}
}

// answer is a copy of the last answer as of a time: nothing in it is of later.
func (p *poller) answer(at time.Time) (rules.Reading, error) {
	p.mu.Lock()
	r, err := p.reading, p.err
	p.mu.Unlock()
	if err != nil {
		return rules.Reading{}, err
	}
	r.Points, r.Seen = slices.Clone(r.Points), maps.Clone(r.Seen)
	for member, seen := range r.Seen {
		r.Seen[member] = earlier(seen, at)
	}
	r.Newest = earlier(r.Newest, at)
	return r, nil
}

// earlier is the earlier of two times.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
