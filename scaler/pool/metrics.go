package pool

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
	"flyball/scaler/pool/digitalocean"
	"flyball/scaler/pool/gce"
)

// Metrics counts the calls of all pools' providers, and shows what they say.
type Metrics struct {
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	drift    *prometheus.CounterVec
	price    *prometheus.GaugeVec
	quota    *prometheus.GaugeVec

	digitalocean *digitalocean.Metrics
	gce          *gce.Metrics
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
		drift: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flyball_pool_drift_total", Help: "What happened to a pool and not by us: members that vanished or appeared, lists that were doubted.",
		}, []string{"pool", "what"}),
		price: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "flyball_pool_price_per_hour", Help: "What all members that are there cost an hour, by the provider's price.",
		}, []string{"pool", "currency"}),
		quota: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "flyball_pool_quota", Help: "The most members that the provider gives.",
		}, []string{"pool"}),
		digitalocean: digitalocean.NewMetrics(r), gce: gce.NewMetrics(r),
	}
	r.MustRegister(m.calls, m.duration, m.drift, m.price, m.quota)
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

// drifts returns what counts the drift of a pool.
func (m *Metrics) drifts(pool string) func(what string) {
	for _, what := range []string{driftVanished, driftAppeared, driftDoubted} {
		m.drift.WithLabelValues(pool, what)
	}
	return func(what string) { m.drift.WithLabelValues(pool, what).Inc() }
}

// looked shows what a provider said of a pool. What it does not know is not shown.
func (m *Metrics) looked(pool string, members int, t rules.Terms) {
	of := prometheus.Labels{"pool": pool}
	if total := t.Total(members); total > 0 || t.Price > 0 {
		m.price.WithLabelValues(pool, t.Currency).Set(total)
	} else {
		m.price.DeletePartialMatch(of)
	}
	if t.Most > 0 {
		m.quota.With(of).Set(float64(t.Most))
	} else {
		m.quota.Delete(of)
	}
}

// Forget removes the series of a pool that is no more.
func (m *Metrics) Forget(pool string) {
	of := prometheus.Labels{"pool": pool}
	m.calls.DeletePartialMatch(of)
	m.duration.DeletePartialMatch(of)
	m.drift.DeletePartialMatch(of)
	m.price.DeletePartialMatch(of)
	m.quota.DeletePartialMatch(of)
	m.gce.Forget(pool)
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
	if err == nil {
		c.m.looked(c.name, len(ms), terms)
	}
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
