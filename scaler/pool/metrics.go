package pool

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
)

// Metrics counts the calls of all pools' providers.
type Metrics struct {
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

// NewMetrics registers what is counted.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flyball_pool_calls_total", Help: "Calls to a pool's provider, by what was asked and how it went.",
		}, []string{"pool", "verb", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "flyball_pool_call_duration_seconds", Help: "How long a pool's provider took.",
			Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 30},
		}, []string{"pool", "verb"}),
	}
	r.MustRegister(m.calls, m.duration)
	return m
}

const (
	verbLook   = "look"
	verbGrow   = "grow"
	verbRemove = "remove"
)

// count puts counting around a provider.
func (m *Metrics) count(pool string, p scaler.Pool) scaler.Pool {
	for _, verb := range []string{verbLook, verbGrow, verbRemove} {
		m.duration.WithLabelValues(pool, verb)
		for _, outcome := range []string{"ok", "failed"} {
			m.calls.WithLabelValues(pool, verb, outcome)
		}
	}
	return counted{p, m, pool}
}

// Forget removes the series of pools that are no more.
func (m *Metrics) Forget(pool string) {
	m.calls.DeletePartialMatch(prometheus.Labels{"pool": pool})
	m.duration.DeletePartialMatch(prometheus.Labels{"pool": pool})
}

// counted counts the calls of one provider.
type counted struct {
	scaler.Pool
	m    *Metrics
	name string
}

func (c counted) done(verb string, start time.Time, err error) {
	outcome := "ok"
	if err != nil {
		outcome = "failed"
	}
	c.m.calls.WithLabelValues(c.name, verb, outcome).Inc()
	c.m.duration.WithLabelValues(c.name, verb).Observe(time.Since(start).Seconds())
}

// Look implements [scaler.Pool].
func (c counted) Look(ctx context.Context) ([]rules.Member, rules.Terms, error) {
	start := time.Now()
	ms, terms, err := c.Pool.Look(ctx)
	c.done(verbLook, start, err)
	return ms, terms, err
}

// Grow implements [scaler.Pool].
func (c counted) Grow(ctx context.Context, s journal.Step) error {
	start := time.Now()
	err := c.Pool.Grow(ctx, s)
	c.done(verbGrow, start, err)
	return err
}

// Remove implements [scaler.Pool].
func (c counted) Remove(ctx context.Context, s journal.Step) error {
	start := time.Now()
	err := c.Pool.Remove(ctx, s)
	c.done(verbRemove, start, err)
	return err
}
