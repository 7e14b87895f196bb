package query

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flyball/rules"
)

// Metrics are those of all queriers of a process, one after the other.
type Metrics struct {
	duration  prometheus.Histogram
	failures  *prometheus.CounterVec // reason
	questions prometheus.Gauge
	newest    *prometheus.GaugeVec // pool
}

// NewMetrics registers the metrics with reg, once in a process; a reload makes a
// new Querier with the same ones. A nil reg registers nothing.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	name := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "flyball", Subsystem: "elastic_query", Name: name, Help: help}
	}
	m := &Metrics{
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "flyball", Subsystem: "elastic_query", Name: "duration_seconds",
			Help:    "How long it took to ask Elasticsearch for a signal, failures included.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		failures:  prometheus.NewCounterVec(prometheus.CounterOpts(name("failures_total", "Asks for a signal that brought no answer, by why.")), []string{"reason"}),
		questions: prometheus.NewGauge(prometheus.GaugeOpts(name("questions", "Questions that Elasticsearch is asked again and again."))),
		newest:    prometheus.NewGaugeVec(prometheus.GaugeOpts(name("newest_timestamp_seconds", "Time of the newest document that was read for a pool, since the epoch.")), []string{"pool"}),
	}
	for _, c := range causes() {
		m.failures.WithLabelValues(string(c))
	}
	if reg != nil {
		reg.MustRegister(m.duration, m.failures, m.questions, m.newest)
	}
	return m
}

// asked counts one ask.
func (m *Metrics) asked(pool string, took time.Duration, r rules.Reading, err error) {
	m.duration.Observe(took.Seconds())
	if err != nil {
		m.failures.WithLabelValues(string(causeOf(err))).Inc()
	} else if !r.Newest.IsZero() {
		m.newest.WithLabelValues(pool).Set(float64(r.Newest.UnixMilli()) / 1000)
	}
}
