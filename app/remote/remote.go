// Package remote is what stores on database servers have in common: that several
// tries may be needed, and what they tell of their statements.
package remote

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"flyball/app/product"
)

// Pause waits before the next of several tries, counted from 0: for least to twice
// that, doubled with every try, up to most to twice that. It ends with the context,
// whose error it returns.
func Pause(ctx context.Context, tries int, least, most time.Duration) error {
	least = min(least<<min(tries, 6), most)
	t := time.NewTimer(least + rand.N(least))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Settled reports whether an error is the store's answer to the question.
func Settled(err error) bool {
	for _, answer := range []error{product.ErrNotFound, product.ErrExists, product.ErrConflict, product.ErrPageToken} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}

// Metrics tell of the statements that operations of a store are made of. They are
// safe for concurrent use.
type Metrics struct {
	statements *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	doubts     *prometheus.CounterVec
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	f := promauto.With(r)
	m := &Metrics{
		statements: f.NewCounterVec(prometheus.CounterOpts{
			Name: "store_statements_total",
			Help: "Statements sent to a node, repeated ones too, by outcome.",
		}, []string{"node", "outcome"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "store_statement_duration_seconds",
			Help:    "Time until a node answered a statement, or was no longer waited for.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}, []string{"node"}),
		doubts: f.NewCounterVec(prometheus.CounterOpts{
			Name: "store_doubtful_writes_total",
			Help: "Writes whose answer was lost, by what was found out about them.",
		}, []string{"outcome"}),
	}
	for _, outcome := range []string{"made", "not_made", "unknown"} {
		m.doubts.WithLabelValues(outcome)
	}
	return m
}

// Observe counts one try of a statement.
func (m *Metrics) Observe(node, outcome string, took time.Duration) {
	m.statements.WithLabelValues(node, outcome).Inc()
	m.duration.WithLabelValues(node).Observe(took.Seconds())
}

// Doubt counts a write whose answer was lost, by what was found out about it: made,
// not_made or unknown.
func (m *Metrics) Doubt(outcome string) { m.doubts.WithLabelValues(outcome).Inc() }
