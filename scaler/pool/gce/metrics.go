package gce

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics is what is counted of all pools of this kind.
type Metrics struct {
	requests    *prometheus.CounterVec
	recommended *prometheus.GaugeVec
	target      *prometheus.GaugeVec
	failed      *prometheus.GaugeVec
}

// NewMetrics registers what is counted.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flyball_gce_requests_total", Help: "Requests to the Compute API and for its tokens, by how they were answered: 2xx to 5xx, or lost.",
		}, []string{"pool", "answer"}),
		recommended: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "flyball_gce_recommended_size", Help: "Members that Google's autoscaler would have, whether it acts or not.",
		}, []string{"pool"}),
		target: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "flyball_gce_target_size", Help: "Members that the managed instance group is to have.",
		}, []string{"pool"}),
		failed: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "flyball_gce_failing_members", Help: "Members in the making whose last attempt failed, by what the error is about.",
		}, []string{"pool", "class"}),
	}
	r.MustRegister(m.requests, m.recommended, m.target, m.failed)
	return m
}

// begin makes the series of a pool.
func (m *Metrics) begin(pool string) {
	for _, answer := range []string{"2xx", "4xx", "5xx", "lost"} {
		m.requests.WithLabelValues(pool, answer)
	}
	for _, c := range classes() {
		m.failed.WithLabelValues(pool, string(c))
	}
}

// Forget removes the series of a pool that is no more.
func (m *Metrics) Forget(pool string) {
	of := prometheus.Labels{"pool": pool}
	m.requests.DeletePartialMatch(of)
	m.recommended.DeletePartialMatch(of)
	m.target.DeletePartialMatch(of)
	m.failed.DeletePartialMatch(of)
}

// counter counts the requests of one pool.
type counter struct {
	base http.RoundTripper
	m    *Metrics
	pool string
}

func (c counter) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := c.base.RoundTrip(r)
	answer := "lost"
	if err == nil {
		answer = strconv.Itoa(res.StatusCode/100) + "xx"
	}
	c.m.requests.WithLabelValues(c.pool, answer).Inc()
	return res, err
}

// looked shows what a look saw.
func (m *Metrics) looked(pool string, s *snapshot) {
	m.target.WithLabelValues(pool).Set(float64(s.group.TargetSize))
	if s.native != nil {
		m.recommended.WithLabelValues(pool).Set(float64(s.native.RecommendedSize))
	} else {
		m.recommended.DeleteLabelValues(pool)
	}
	count := map[class]int{}
	for _, x := range s.members {
		if f, failed := attempted(x); failed && inTheMaking(x) {
			count[f.class]++
		}
	}
	for _, c := range classes() {
		m.failed.WithLabelValues(pool, string(c)).Set(float64(count[c]))
	}
}
