package events

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are those of all Shippers of a process, one after the other.
type Metrics struct {
	events  *prometheus.CounterVec // outcome
	lookups prometheus.Counter
	shipper atomic.Pointer[Shipper] // whose lag is told; nil: nobody's
}

// NewMetrics registers the metrics with reg, once in a process; a reload makes a
// new Shipper with the same ones. A nil reg registers nothing.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "flyball", Subsystem: "elastic", Name: name, Help: help}
	}
	m := &Metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts(opts("events_total",
			"Entries of the journal, by what became of their documents: sent, known (found there), refused by Elasticsearch, or lost (aged out before they were sent).")), []string{"outcome"}),
		lookups: prometheus.NewCounter(prometheus.CounterOpts(opts("events_lookups_total",
			"Times that documents which may have been there were looked up."))),
	}
	for _, outcome := range []string{"sent", "known", "refused", "lost"} {
		m.events.WithLabelValues(outcome)
	}
	lag := prometheus.NewGaugeFunc(prometheus.GaugeOpts(opts("events_lag_seconds",
		"Age of the oldest entry of the journal that is not in Elasticsearch yet; 0 if all are.")), func() float64 { return m.status().Lag })
	behind := prometheus.NewGaugeFunc(prometheus.GaugeOpts(opts("events_behind",
		"Entries of the journal that are not in Elasticsearch yet.")), func() float64 { return float64(m.status().Behind) })
	if reg != nil {
		reg.MustRegister(m.events, m.lookups, lag, behind)
	}
	return m
}

// follow makes the lag that of s.
func (m *Metrics) follow(s *Shipper) { m.shipper.Store(s) }

func (m *Metrics) status() Status {
	if s := m.shipper.Load(); s != nil {
		return s.Status()
	}
	return Status{}
}

// count adds to the outcomes.
func (m *Metrics) count(c counts) {
	m.events.WithLabelValues("sent").Add(float64(c.sent))
	m.events.WithLabelValues("known").Add(float64(c.known))
	m.events.WithLabelValues("refused").Add(float64(c.refused))
	m.events.WithLabelValues("lost").Add(float64(c.lost))
}
