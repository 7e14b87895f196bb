package journal

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are the journal's own.
type metrics struct {
	entries *prometheus.CounterVec   // kind
	ticks   prometheus.Counter       // kept
	pruned  *prometheus.CounterVec   // what: ticks, entries
	seconds *prometheus.HistogramVec // op; failed writes included
	errors  *prometheus.CounterVec   // op
	failing prometheus.Gauge         // 1 from a failed write to the next good one
}

// kinds lists the kinds that have a label of their own; all others share "other".
func kinds() []Kind { return []Kind{Decision, Begun, Ended, Order, Load, Life, Ship} }

func newMetrics(reg prometheus.Registerer, size func() float64) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		entries: f.NewCounterVec(prometheus.CounterOpts{
			Name: "flyball_journal_entries_total", Help: "Entries written, by kind.",
		}, []string{"kind"}),
		ticks: f.NewCounter(prometheus.CounterOpts{
			Name: "flyball_journal_ticks_total", Help: "Judgements kept.",
		}),
		pruned: f.NewCounterVec(prometheus.CounterOpts{
			Name: "flyball_journal_pruned_total", Help: "Rows deleted because their retention is over.",
		}, []string{"what"}),
		seconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "flyball_journal_write_duration_seconds", Help: "Time a write took, by operation.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"op"}),
		errors: f.NewCounterVec(prometheus.CounterOpts{
			Name: "flyball_journal_errors_total", Help: "Writes that failed, by operation. While writes fail nothing is done to any pool.",
		}, []string{"op"}),
		failing: f.NewGauge(prometheus.GaugeOpts{
			Name: "flyball_journal_failing", Help: "1 if the last write failed.",
		}),
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "flyball_journal_size_bytes", Help: "Size of the journal on disk, its write-ahead log included.",
	}, size)
	for _, k := range append(kinds(), "other") {
		m.entries.WithLabelValues(string(k))
	}
	for _, op := range []string{"tick", "begin", "end", "note", "order", "cursor", "keep"} {
		m.seconds.WithLabelValues(op)
		m.errors.WithLabelValues(op)
	}
	m.pruned.WithLabelValues("ticks")
	m.pruned.WithLabelValues("entries")
	return m
}

func (m *metrics) added(ks []Kind) {
	for _, k := range ks {
		if !slices.Contains(kinds(), k) {
			k = "other"
		}
		m.entries.WithLabelValues(string(k)).Inc()
	}
}

// wrote is deferred by a write: err is what it returns. A refusal (a step is
// open, or has ended) is an answer and no failure.
func (m *metrics) wrote(op string, start time.Time, err *error) {
	m.seconds.WithLabelValues(op).Observe(time.Since(start).Seconds())
	switch {
	case *err == nil:
		m.failing.Set(0)
	case !refused(*err):
		m.errors.WithLabelValues(op).Inc()
		m.failing.Set(1)
	}
}
