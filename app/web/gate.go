package web

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"
)

// errFull says that as many requests wait for a worker as may.
var errFull = errors.New("the queue is full")

// gate lets a number of requests in at once; others wait in the order in which
// they came, up to a bound. The zero slots gate lets everybody in.
type gate struct {
	slots   chan struct{} // nil: unbounded
	most    int64
	waiting atomic.Int64
	hold    time.Duration
	metrics *metrics
}

func newGate(c Config, m *metrics) *gate {
	g := &gate{most: int64(c.Queue), hold: c.ServiceTime, metrics: m}
	if c.Workers > 0 {
		g.slots = make(chan struct{}, c.Workers)
	}
	m.workers.Set(float64(c.Workers))
	return g
}

// enter waits for a worker. It fails with [errFull] at once if too many wait, and
// with the context's error if that ends first: the place in the queue is free then.
// Whoever got in has to leave.
func (g *gate) enter(ctx context.Context) error {
	if g.slots == nil {
		return nil
	}
	select {
	case g.slots <- struct{}{}: // a free slot: nobody waits, for who waits is handed a slot when it is left
		return nil
	default:
	}
	if g.waiting.Add(1) > g.most {
		g.waiting.Add(-1)
		return errFull
	}
	defer g.waiting.Add(-1)
	g.metrics.queued.Inc()
	defer g.metrics.queued.Dec()
	select {
	case g.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gate) leave() {
	if g.slots != nil {
		<-g.slots
	}
}

// work holds the worker for the service time, or until the client went away.
func (g *gate) work(ctx context.Context) error {
	if g.hold <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(g.hold)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// gated serves a request once a worker is free for it.
func (s *Service) gated(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.gate.enter(r.Context()); err != nil {
			s.turnAway(w, r, err)
			return
		}
		defer s.gate.leave()
		s.metrics.inFlight.Inc()
		defer s.metrics.inFlight.Dec()
		if err := s.gate.work(r.Context()); err != nil {
			s.turnAway(w, r, err)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// statusGone is what a request is counted under whose client did not wait for the
// answer. Nobody sees it but the metrics.
const statusGone = 499

func (s *Service) turnAway(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errFull) {
		s.refuse(w, r, unavailable("Every worker is busy and the queue is full. Try again later."))
		return
	}
	w.WriteHeader(statusGone)
}
