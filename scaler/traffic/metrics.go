package traffic

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics is what a balancer counts. Gauges are read from its table when asked.
type metrics struct {
	registry     *prometheus.Registry
	requests     *prometheus.CounterVec
	rejected     *prometheus.CounterVec
	refused      prometheus.Counter
	redispatched prometheus.Counter
	aborted      prometheus.Counter
	duration     prometheus.Histogram
}

func newMetrics(t *table) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flyball_balance_requests_total",
			Help: "Requests by the status that the client got; 499 is a client that left before its answer.",
		}, []string{"code"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flyball_balance_rejected_total",
			Help: "Requests answered with 503 because no member was ready: the queue was full, or the wait was over.",
		}, []string{"reason"}),
		refused:      counter("flyball_balance_refused_connections_total", "Connections that a member refused."),
		redispatched: counter("flyball_balance_redispatched_total", "Requests sent to another member because the first refused the connection."),
		aborted:      counter("flyball_balance_aborted_total", "Answers cut off in their middle, by the member or by the client."),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "flyball_balance_request_duration_seconds",
			Help:    "From the arrival of a request to the end of its answer, waiting for a member included.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
	}
	for _, code := range []int{http.StatusOK, statusGone, http.StatusBadGateway, http.StatusServiceUnavailable} {
		m.requests.WithLabelValues(strconv.Itoa(code))
	}
	for _, reason := range []string{"queue_full", "timeout"} {
		m.rejected.WithLabelValues(reason)
	}
	m.registry.MustRegister(m.requests, m.rejected, m.refused, m.redispatched, m.aborted, m.duration,
		newTableGauges(t), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

// tableGauges tells of the table's members as they are when asked, so that a
// member that is forgotten leaves no series behind.
type tableGauges struct {
	table                      *table
	open, up, admitted, queued *prometheus.Desc
}

func newTableGauges(t *table) *tableGauges {
	member := []string{"member"}
	return &tableGauges{
		table:    t,
		open:     prometheus.NewDesc("flyball_balance_open_requests", "Requests in progress.", member, nil),
		up:       prometheus.NewDesc("flyball_balance_member_up", "1 while the member answers the balancer's check.", member, nil),
		admitted: prometheus.NewDesc("flyball_balance_member_admitted", "1 while the member is in rotation.", member, nil),
		queued:   prometheus.NewDesc("flyball_balance_queued_requests", "Requests that wait for a member.", nil, nil),
	}
}

// Describe implements [prometheus.Collector].
func (g *tableGauges) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(g, ch) }

// Collect implements [prometheus.Collector].
func (g *tableGauges) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	gauge(g.queued, g.table.queued())
	for _, m := range g.table.table().Members {
		gauge(g.open, m.Open, m.Name)
		gauge(g.up, one(m.Up), m.Name)
		gauge(g.admitted, one(m.Admitted), m.Name)
	}
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}
