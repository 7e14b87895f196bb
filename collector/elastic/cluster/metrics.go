package cluster

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are those of all clusters of a process, one after the other.
type Metrics struct {
	documents *prometheus.CounterVec // stream, outcome
	bytes     prometheus.Counter
	requests  *prometheus.CounterVec // outcome
	retries   *prometheus.CounterVec // reason
	buried    *prometheus.CounterVec // stream, reason
	duration  prometheus.Histogram
	up        prometheus.Gauge
	letters   prometheus.Gauge

	mu    sync.Mutex
	words map[string]bool // Elasticsearch's, that are reasons
}

const (
	mostWords = 100     // reasons of dead letters; further ones are
	otherWord = "other" // this one
)

// NewMetrics registers the metrics with reg, once in a process; a reload makes a
// new Cluster with the same ones. A nil reg registers nothing.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "flyball", Subsystem: "elastic", Name: name, Help: help}
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts(counter(name, help)))
	}
	m := &Metrics{
		documents: prometheus.NewCounterVec(counter("documents_total", "Documents that Elasticsearch answered for good, by data stream: created, known (it had them already) or refused."), []string{"stream", "outcome"}),
		bytes:     prometheus.NewCounter(counter("bytes_total", "Bytes of the bodies of requests to Elasticsearch, as sent.")),
		requests:  prometheus.NewCounterVec(counter("requests_total", "Requests to Elasticsearch, by how they ended."), []string{"outcome"}),
		retries:   prometheus.NewCounterVec(counter("retries_total", "Documents that had to be sent again, by why."), []string{"reason"}),
		buried:    prometheus.NewCounterVec(counter("dead_letters_total", "Documents that were given up and written to the file of dead letters, by data stream and by Elasticsearch's word for why."), []string{"stream", "reason"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "flyball", Subsystem: "elastic", Name: "request_duration_seconds",
			Help:    "How long Elasticsearch took to answer a request.",
			Buckets: []float64{.005, .02, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}),
		up:      gauge("up", "1 while Elasticsearch answers as it should, 0 while it does not."),
		letters: gauge("dead_letters_bytes", "Size of the file of dead letters."),
		words:   map[string]bool{},
	}
	m.requests.WithLabelValues(string(fine))
	for _, t := range troubles() {
		m.requests.WithLabelValues(string(t))
		m.retries.WithLabelValues(string(t))
	}
	if reg != nil {
		reg.MustRegister(m.documents, m.bytes, m.requests, m.retries, m.buried, m.duration, m.up, m.letters)
	}
	return m
}

// asked counts one request.
func (m *Metrics) asked(took time.Duration, size int64) {
	m.duration.Observe(took.Seconds())
	m.bytes.Add(float64(size))
}

// settled counts documents of a stream that are answered for good.
func (m *Metrics) settled(stream string, t tally) {
	m.documents.WithLabelValues(stream, "created").Add(float64(t.created))
	m.documents.WithLabelValues(stream, "known").Add(float64(t.known))
	m.documents.WithLabelValues(stream, "refused").Add(float64(t.refused))
}

// word is a reason as a label: one of a bounded number.
func (m *Metrics) word(reason string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if reason == "" || !m.words[reason] && len(m.words) >= mostWords {
		return otherWord
	}
	m.words[reason] = true
	return reason
}
