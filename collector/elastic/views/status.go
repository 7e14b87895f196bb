package views

import (
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flyball/collector/elastic/cluster"
)

// Status is how far the datasets are.
type Status struct {
	Views     int       `json:"views"`             // that are computed
	Until     time.Time `json:"until"`             // documents of all times up to this are delivered
	Lag       float64   `json:"lag_seconds"`       // how long ago that was; 0 if there are no views
	Documents int       `json:"documents"`         // delivered since the start, known ones among them
	Refused   int       `json:"refused"`           // refusals of documents or fields of theirs since the start
	Skipped   float64   `json:"skipped_seconds"`   // of time that was too long ago to be computed, since the start
	Failing   []string  `json:"failing,omitempty"` // views and fields whose expressions fail, with the error
	Error     string    `json:"error,omitempty"`   // last trouble, refusals included; "" if there was none
	ErrorAt   time.Time `json:"error_at,omitzero"` // when that was
}

// Status tells how far the datasets are.
func (r *Runner) Status() Status {
	now := r.o.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.status
	if s.Views > 0 {
		s.Lag = now.Sub(s.Until).Seconds()
	}
	for _, key := range slices.Sorted(maps.Keys(r.broken)) {
		s.Failing = append(s.Failing, key+": "+r.broken[key])
	}
	return s
}

// delivered counts documents by dataset.
func (r *Runner) delivered(counts map[string]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for dataset, n := range counts {
		r.status.Documents += n
		r.o.Metrics.documents.WithLabelValues(dataset).Add(float64(n))
	}
}

// refusal counts and shows a refusal.
func (r *Runner) refusal(dataset string, why cluster.Refusal) {
	r.o.Metrics.refused.WithLabelValues(dataset).Inc()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Refused++
	r.status.Error, r.status.ErrorAt = dataset+" is refused: "+why.Type+": "+why.Reason, r.o.Now()
}

// Metrics are the package's own.
type Metrics struct {
	documents *prometheus.CounterVec
	refused   *prometheus.CounterVec
	failures  prometheus.Counter
	skipped   prometheus.Counter
	computing prometheus.Counter
	until     atomic.Int64 // milliseconds of Unix time; 0: nothing is computed
}

// behind is how many seconds ago the time was up to which all is delivered.
func (m *Metrics) behind() float64 {
	until := m.until.Load()
	if until == 0 {
		return 0
	}
	return time.Since(time.UnixMilli(until)).Seconds()
}

// NewMetrics makes the metrics, once per process, so that a reload can make a new
// Runner. Without a registerer they are nobody's.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "flyball_elastic_views_" + name, Help: help})
	}
	byDataset := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "flyball_elastic_views_" + name, Help: help}, []string{"dataset"})
	}
	m := &Metrics{
		documents: byDataset("documents_total", "Documents of computed datasets that Elasticsearch has, or has refused for good."),
		refused:   byDataset("refused_total", "Refusals of documents of computed datasets, or of fields of theirs."),
		failures:  counter("query_failures_total", "Expressions of views that were given up for a stretch of time."),
		skipped:   counter("skipped_seconds_total", "Time for which datasets were not computed, because it was too long ago."),
		computing: counter("computing_seconds_total", "Time spent evaluating views."),
	}
	lag := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "flyball_elastic_views_lag_seconds", Help: "How long ago the time was up to which documents of computed datasets were delivered; 0 while none are computed.",
	}, m.behind)
	if reg != nil {
		reg.MustRegister(m.documents, m.refused, m.failures, m.skipped, m.computing, lag)
	}
	return m
}

// of makes the series of a dataset, so that they are there before anything happens.
func (m *Metrics) of(dataset string) {
	m.documents.WithLabelValues(dataset)
	m.refused.WithLabelValues(dataset)
}
