package samples

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Why samples were lost.
const (
	byRetention = "retention" // the store dropped them
	byAge       = "outdated"  // too old for the data stream
)

// Metrics are those of all shippers of a process, one after the other.
type Metrics struct {
	shipped  prometheus.Counter
	repaired prometheus.Counter
	skipped  *prometheus.CounterVec // reason
	buried   prometheus.Counter
	lost     *prometheus.CounterVec // reason
	seconds  *prometheus.CounterVec // reason
	dirty    prometheus.Gauge
	reading  prometheus.Counter
	progress progress
}

// NewMetrics registers the metrics with reg, once in a process; a reload makes a new
// Shipper with the same ones. A nil reg registers nothing.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "flyball", Subsystem: "elastic", Name: name, Help: help}
	}
	m := &Metrics{
		shipped:  prometheus.NewCounter(opts("samples_shipped_total", "Samples that Elasticsearch acknowledged, those included that it had already.")),
		repaired: prometheus.NewCounter(opts("samples_repaired_total", "Of the samples that Elasticsearch acknowledged, those that came late and were sent alone.")),
		skipped:  prometheus.NewCounterVec(opts("samples_skipped_total", "Samples that are not sent, by why."), []string{"reason"}),
		buried:   prometheus.NewCounter(opts("samples_buried_total", "Samples that Elasticsearch refuses, or would, and that went to the dead letters.")),
		lost:     prometheus.NewCounterVec(opts("samples_lost_total", "Samples that could not be sent in time, as far as they can be counted, by why."), []string{"reason"}),
		seconds:  prometheus.NewCounterVec(opts("lost_seconds_total", "Length of what could not be sent in time, by why."), []string{"reason"}),
		dirty:    prometheus.NewGauge(prometheus.GaugeOpts(opts("dirty_stretches", "Stretches of time that must be read again, because samples came late."))),
		reading:  prometheus.NewCounter(opts("reading_seconds_total", "Time that reading samples from the store took.")),
	}
	m.progress.lag = prometheus.NewDesc("flyball_elastic_lag_seconds", "How far behind the present the samples are that Elasticsearch has. Absent while none are sent.", nil, nil)
	for _, why := range []string{stale, nan, infinite, duplicate} {
		m.skipped.WithLabelValues(why)
	}
	for _, why := range []string{byRetention, byAge} {
		m.lost.WithLabelValues(why)
		m.seconds.WithLabelValues(why)
	}
	if reg != nil {
		reg.MustRegister(m.shipped, m.repaired, m.skipped, m.buried, m.lost, m.seconds, m.dirty, m.reading, &m.progress)
	}
	return m
}

// progress tells how far behind the shipper of the hour is.
type progress struct {
	lag *prometheus.Desc
	of  atomic.Pointer[Shipper]
}

// Describe tells the one metric.
func (p *progress) Describe(out chan<- *prometheus.Desc) { out <- p.lag }

// Collect tells the lag, if there is a shipper.
func (p *progress) Collect(out chan<- prometheus.Metric) {
	if s := p.of.Load(); s != nil {
		out <- prometheus.MustNewConstMetric(p.lag, prometheus.GaugeValue, s.Status().Lag)
	}
}

// Status tells how far shipping is, since this process began or was reloaded.
type Status struct {
	Cursor    time.Time         `json:"cursor"`      // all before was sent, but for what is dirty
	Lag       float64           `json:"lag_seconds"` // of the cursor behind the present
	Samples   uint64            `json:"samples"`     // acknowledged
	Documents uint64            `json:"documents"`   // acknowledged
	Repaired  uint64            `json:"repaired"`    // of the samples, those that came late
	Skipped   map[string]uint64 `json:"skipped"`     // samples that are not sent, by why: stale, nan, infinite, duplicate
	Buried    uint64            `json:"buried"`      // samples that went to the dead letters
	Lost      Loss              `json:"lost"`
	Dirty     int               `json:"dirty"`           // stretches to be read again
	Error     string            `json:"error,omitempty"` // what keeps it from going on; "" if nothing does
}

// A Loss is what could not be sent in time.
type Loss struct {
	Samples uint64  `json:"samples"` // as far as they can be counted
	Seconds float64 `json:"seconds"` // length of what was lost
}

// counts count for metrics and status at once.
type counts struct {
	metrics *Metrics
	mu      sync.Mutex
	status  Status
	aged    aged
}

// aged is what was too old for the data stream, in the window at hand.
type aged struct {
	count int
	span  stretch
}

func (c *counts) skip(why string, n int) {
	c.metrics.skipped.WithLabelValues(why).Add(float64(n))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status.Skipped == nil {
		c.status.Skipped = map[string]uint64{}
	}
	c.status.Skipped[why] += uint64(n)
}

func (c *counts) sent(samples, documents int) {
	c.metrics.shipped.Add(float64(samples))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.Samples += uint64(samples)
	c.status.Documents += uint64(documents)
}

func (c *counts) repaired(samples int) {
	c.metrics.repaired.Add(float64(samples))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.Repaired += uint64(samples)
}

func (c *counts) buried(samples int) {
	c.metrics.buried.Add(float64(samples))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.Buried += uint64(samples)
}

// outdated notes samples that are too old for the data stream.
func (c *counts) outdated(p part) {
	at := p.rows[0].at
	if c.aged.count == 0 {
		c.aged.span = stretch{at, at + 1}
	}
	c.aged.span = stretch{min(c.aged.span.From, at), max(c.aged.span.To, at+1)}
	c.aged.count += len(p.rows)
}

func (c *counts) lost(why string, samples int, length time.Duration) {
	c.metrics.lost.WithLabelValues(why).Add(float64(samples))
	c.metrics.seconds.WithLabelValues(why).Add(length.Seconds())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.Lost.Samples += uint64(samples)
	c.status.Lost.Seconds += length.Seconds()
}

// failed notes what keeps the shipper from going on; nil: nothing does.
func (c *counts) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.Error = ""
	if err != nil {
		c.status.Error = err.Error()
	}
}
