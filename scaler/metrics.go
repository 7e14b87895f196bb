package scaler

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flyball/rules"
)

// metrics are the loop's own.
type metrics struct {
	members   *prometheus.GaugeVec
	size      *prometheus.GaugeVec
	wanted    *prometheus.GaugeVec
	decisions *prometheus.CounterVec
	refused   *prometheus.CounterVec
	steps     *prometheus.CounterVec
	failures  *prometheus.CounterVec
	duration  prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) *metrics {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		members:   gauge("flyball_pool_members", "Members of the pool by state.", "pool", "state"),
		size:      gauge("flyball_pool_size", "Members that count as capacity, those on their way included.", "pool"),
		wanted:    gauge("flyball_pool_wanted", "Size that the pool should have.", "pool"),
		decisions: counter("flyball_judgements_total", "Judgements by verdict and reason.", "pool", "verdict", "reason"),
		refused:   counter("flyball_refusals_total", "Verdicts not carried out, and limits that kept the size, by reason.", "pool", "reason"),
		steps:     counter("flyball_steps_total", "Steps by verb and outcome.", "pool", "verb", "outcome"),
		failures:  counter("flyball_judgement_failures_total", "Judgements that could not be made.", "pool"),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "flyball_judgement_duration_seconds", Help: "Time from looking at a pool to its decision.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 8),
		}),
	}
	reg.MustRegister(m.members, m.size, m.wanted, m.decisions, m.refused, m.steps, m.failures, m.duration)
	return m
}

// judged counts one judgement.
func (m *metrics) judged(d rules.Decision, took time.Duration) {
	for state, n := range map[rules.State]int{
		rules.Ready: d.Members.Ready, rules.Booting: d.Members.Booting, rules.Draining: d.Members.Draining,
		rules.Unhealthy: d.Members.Unhealthy, rules.Dead: d.Members.Dead, rules.Leaving: d.Members.Leaving,
	} {
		m.members.WithLabelValues(d.Pool, string(state)).Set(float64(n))
	}
	m.size.WithLabelValues(d.Pool).Set(float64(d.Size))
	m.wanted.WithLabelValues(d.Pool).Set(float64(d.To))
	m.decisions.WithLabelValues(d.Pool, string(d.Verdict), string(d.Reason)).Inc()
	if d.Refused != "" {
		m.refused.WithLabelValues(d.Pool, string(d.Refused)).Inc()
	}
	for _, l := range d.Limits {
		m.refused.WithLabelValues(d.Pool, string(l.Name)).Inc()
	}
	m.duration.Observe(took.Seconds())
}

// know creates a pool's label values, so that what has not happened shows as zero.
func (m *metrics) know(pool string) {
	for _, r := range rules.Reasons() {
		m.refused.WithLabelValues(pool, string(r))
	}
	m.failures.WithLabelValues(pool)
}
