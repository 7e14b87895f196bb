package web

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"flyball/app/product"
)

// measured counts and times a store's operations.
type measured struct {
	store    product.Store
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

var _ product.Store = (*measured)(nil)

func newMeasured(s product.Store, r prometheus.Registerer) *measured {
	f := promauto.With(r)
	m := &measured{
		store: s,
		total: f.NewCounterVec(prometheus.CounterOpts{
			Name: "store_operations_total",
			Help: "Operations of the store, by outcome.",
		}, []string{"operation", "outcome"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "store_operation_duration_seconds",
			Help:    "Time that an operation of the store took.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"operation"}),
	}
	for _, op := range []string{"create", "get", "list", "update", "delete", "ping"} {
		for _, outcome := range []string{"ok", "error"} {
			m.total.WithLabelValues(op, outcome)
		}
		m.duration.WithLabelValues(op)
	}
	return m
}

// outcome names how an operation ended. A client's mistake is not the store's error.
func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, product.ErrNotFound):
		return "not_found"
	case errors.Is(err, product.ErrExists):
		return "exists"
	case errors.Is(err, product.ErrConflict):
		return "conflict"
	case errors.Is(err, product.ErrPageToken):
		return "bad_page_token"
	case errors.Is(err, product.ErrBusy):
		return "busy"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	return "error"
}

func (m *measured) done(op string, start time.Time, err error) {
	m.total.WithLabelValues(op, outcome(err)).Inc()
	m.duration.WithLabelValues(op).Observe(time.Since(start).Seconds())
}

// Create, Get, List, Update, Delete and Ping are the store's.
func (m *measured) Create(ctx context.Context, p product.Product) (got product.Product, err error) {
	defer func(start time.Time) { m.done("create", start, err) }(time.Now())
	return m.store.Create(ctx, p)
}

func (m *measured) Get(ctx context.Context, id string) (got product.Product, err error) {
	defer func(start time.Time) { m.done("get", start, err) }(time.Now())
	return m.store.Get(ctx, id)
}

func (m *measured) List(ctx context.Context, q product.Query) (page product.Page, err error) {
	defer func(start time.Time) { m.done("list", start, err) }(time.Now())
	return m.store.List(ctx, q)
}

func (m *measured) Update(ctx context.Context, p product.Product) (got product.Product, err error) {
	defer func(start time.Time) { m.done("update", start, err) }(time.Now())
	return m.store.Update(ctx, p)
}

func (m *measured) Delete(ctx context.Context, id, version string) (err error) {
	defer func(start time.Time) { m.done("delete", start, err) }(time.Now())
	return m.store.Delete(ctx, id, version)
}

func (m *measured) Ping(ctx context.Context) (err error) {
	defer func(start time.Time) { m.done("ping", start, err) }(time.Now())
	return m.store.Ping(ctx)
}
