// Package web serves the products: a REST interface in JSON under /api/products,
// pages for people at /, the probes /livez and /readyz, and /metrics.
//
// A user's request passes, from the outside in: the metrics of its route, the
// check that a browser was not sent here by another site, the reading of its
// (bounded) body, the gate in which it may wait for a worker, its handler. Probes
// and /metrics pass none of these, so that they answer under any load and what the
// metrics show is the users' requests alone.
package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"flyball/app/product"
)

// Config is what a [Service] is made of. Logger, Store and Registry are required.
type Config struct {
	Store       product.Store
	Registry    *prometheus.Registry
	Logger      *slog.Logger
	Now         func() time.Time // of writes; nil is the time of day
	Workers     int              // user requests served at once; 0 is unbounded
	Queue       int              // user requests that wait for a worker at most
	ServiceTime time.Duration    // a worker is held for this long in addition; for demos and tests
}

// Validate reports every mistake in the numbers.
func (c Config) Validate() error {
	var errs []error
	if c.Workers < 0 {
		errs = append(errs, errors.New("workers: must not be negative; 0 is unbounded"))
	}
	if c.Queue < 0 {
		errs = append(errs, errors.New("queue: must not be negative; 0 refuses what no worker is free for"))
	}
	if c.ServiceTime < 0 {
		errs = append(errs, errors.New("service time: must not be negative"))
	}
	return errors.Join(errs...)
}

// Service is the handler of everything. Make it with [New]. It is safe for
// concurrent use.
type Service struct {
	store     product.Store
	log       *slog.Logger
	now       func() time.Time
	gate      *gate
	metrics   *metrics
	pages     *pages
	mux       *http.ServeMux
	withdrawn atomic.Bool
}

// New makes a service. Its metrics are registered once per registry.
func New(c Config) (*Service, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m := newMetrics(c.Registry)
	pages, err := newPages()
	if err != nil {
		return nil, err
	}
	s := &Service{
		store:   newMeasured(c.Store, c.Registry),
		log:     c.Logger,
		now:     c.Now,
		gate:    newGate(c, m),
		metrics: m,
		pages:   pages,
		mux:     http.NewServeMux(),
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.routes(c.Registry)
	return s, nil
}

// routes is the one list of what is served.
func (s *Service) routes(g prometheus.Gatherer) {
	s.mux.HandleFunc("GET /livez", s.livez)
	s.mux.HandleFunc("GET /readyz", s.readyz)
	s.mux.Handle("GET /metrics", promhttp.HandlerFor(g, promhttp.HandlerOpts{}))

	s.user("POST /api/products", s.create)
	s.user("GET /api/products", s.list)
	s.user("GET /api/products/{id}", s.get)
	s.user("PUT /api/products/{id}", s.put)
	s.user("DELETE /api/products/{id}", s.delete)
	s.user("/api/products", s.methodNotAllowed("GET, HEAD, POST"))
	s.user("/api/products/{id}", s.methodNotAllowed("DELETE, GET, HEAD, PUT"))
	s.user("/api/", s.noSuchPath)

	s.user("GET /{$}", s.listPage)
	s.user("GET /new", s.newPage)
	s.user("POST /new", s.createForm)
	s.user("GET /edit/{id}", s.editPage)
	s.user("POST /edit/{id}", s.updateForm)
	s.user("POST /delete/{id}", s.deleteForm)
	s.user("/{$}", s.methodNotAllowed("GET, HEAD"))
	s.user("/new", s.methodNotAllowed("GET, HEAD, POST"))
	s.user("/edit/{id}", s.methodNotAllowed("GET, HEAD, POST"))
	s.user("/delete/{id}", s.methodNotAllowed("POST"))
	s.user("/", s.noSuchPage)
}

// user adds a route that users' requests take.
func (s *Service) user(pattern string, h http.HandlerFunc) {
	same := http.NewCrossOriginProtection()
	same.SetDenyHandler(http.HandlerFunc(s.crossOrigin))
	s.mux.Handle(pattern, s.metrics.count(pattern, same.Handler(s.bounded(s.gated(h)))))
}

// ServeHTTP answers one request. After [Service.Withdraw] every answer asks the
// client to close its connection, so that the client moves on to another instance
// without losing a request.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.withdrawn.Load() {
		w.Header().Set("Connection", "close")
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	s.mux.ServeHTTP(w, r)
}

// Withdraw makes /readyz fail from now on. Requests are still served.
func (s *Service) Withdraw() { s.withdrawn.Store(true) }

// Open counts the users' requests that are served or queued now.
func (s *Service) Open() int { return int(s.metrics.open.Load()) }

func (s *Service) livez(w http.ResponseWriter, _ *http.Request) { probe(w, http.StatusOK, "alive") }

// readyTimeout bounds how long /readyz waits for the store: a probe that each
// second asks has its answer before the next one.
const readyTimeout = 800 * time.Millisecond

func (s *Service) readyz(w http.ResponseWriter, r *http.Request) {
	if s.withdrawn.Load() {
		probe(w, http.StatusServiceUnavailable, "draining")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := s.store.Ping(ctx); err != nil {
		s.log.Warn("not ready", "err", err)
		probe(w, http.StatusServiceUnavailable, "the store does not answer")
		return
	}
	probe(w, http.StatusOK, "ready")
}

func probe(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	w.Write([]byte(text + "\n"))
}
