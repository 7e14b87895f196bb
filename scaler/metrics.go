package scaler

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flyball/rules"
	"flyball/scaler/journal"
)

// metrics are the loop's own.
type metrics struct {
	decisions *prometheus.CounterVec
	refused   *prometheus.CounterVec
	steps     *prometheus.CounterVec
	rolls     *prometheus.CounterVec
	failures  *prometheus.CounterVec
	duration  prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		decisions: counter("flyball_judgements_total", "Judgements by verdict and reason.", "pool", "verdict", "reason"),
		refused:   counter("flyball_refusals_total", "Verdicts not carried out, and limits that kept the size, by reason.", "pool", "reason"),
		steps:     counter("flyball_steps_total", "Steps by verb and outcome.", "pool", "verb", "outcome"),
		rolls:     counter("flyball_rolls_total", "Rolls that ended by themselves: done, or stopped.", "pool", "outcome"),
		failures:  counter("flyball_judgement_failures_total", "Judgements that could not be made.", "pool"),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "flyball_judgement_duration_seconds", Help: "Time from looking at a pool to its decision.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 8),
		}),
	}
	reg.MustRegister(m.decisions, m.refused, m.steps, m.rolls, m.failures, m.duration)
	return m
}

// judged counts one judgement.
func (m *metrics) judged(d rules.Decision, took time.Duration) {
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
	for _, verb := range []journal.Verb{journal.Grow, journal.Swap, journal.Admit, journal.Withdraw, journal.Remove} {
		m.steps.WithLabelValues(pool, string(verb), "ok")
		m.steps.WithLabelValues(pool, string(verb), "failed")
	}
	m.rolls.WithLabelValues(pool, string(rules.RollDone))
	m.rolls.WithLabelValues(pool, string(rules.RollHalted))
	m.failures.WithLabelValues(pool)
}
