package elastic

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flyball/collector/elastic/cluster"
	"flyball/collector/elastic/events"
	"flyball/collector/elastic/samples"
	"flyball/collector/elastic/setup"
	"flyball/collector/elastic/views"
)

// Status is how far an Elasticsearch is supplied.
type Status struct {
	Cluster cluster.Status `json:"cluster"`
	Unready string         `json:"unready,omitempty"` // why the templates do not stand; nothing is sent until they do
	Again   time.Time      `json:"again,omitzero"`    // when they are written again
	Left    []string       `json:"left,omitempty"`    // what of others' stands in our place, and what to do
	Blocked []string       `json:"blocked,omitempty"` // data streams, or patterns of them, that nothing is sent to because of that
	Samples samples.Status `json:"samples"`           // zero if none are sent because of that
	Views   views.Status   `json:"views"`
	Events  events.Status  `json:"events"`
}

// Status tells how far it is; nil if no Elasticsearch is configured.
func (s *Shipper) Status() *Status {
	l := s.current()
	if l == nil {
		return nil
	}
	st := &Status{Cluster: l.cluster.Status()}
	l.mu.Lock()
	defer l.mu.Unlock()
	st.Events = l.events.Status()
	st.Unready, st.Again, st.Blocked = l.unready, l.again, l.report.Blocked
	for _, x := range l.report.Left() {
		st.Left = append(st.Left, x.Name+": "+x.Why+": "+x.Hint)
	}
	if l.samples != nil && !l.report.Blocks(l.stream(setup.Samples())) {
		st.Samples = l.samples.Status()
	}
	if l.views != nil {
		st.Views = l.views.Status()
	}
	return st
}

// stands keeps how setting up went, and when it is tried again if it did not.
func (l *Line) stands(r setup.Report, err error, again time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report, l.again = r, again
	if l.unready = ""; err != nil {
		l.unready = err.Error()
	}
}

// readiness tells whether the templates stand.
type readiness struct {
	desc *prometheus.Desc
	of   *Shipper
}

func newReadiness(s *Shipper) *readiness {
	return &readiness{of: s, desc: prometheus.NewDesc("flyball_elastic_ready",
		"1 if the templates stand, so that documents are sent, 0 while they do not. Absent if no Elasticsearch is configured.", nil, nil)}
}

// Describe tells the one metric.
func (r *readiness) Describe(out chan<- *prometheus.Desc) { out <- r.desc }

// Collect tells the metric, if there is anything to be ready for.
func (r *readiness) Collect(out chan<- prometheus.Metric) {
	l := r.of.current()
	if l == nil {
		return
	}
	ready := 0.0
	l.mu.Lock()
	if l.unready == "" {
		ready = 1
	}
	l.mu.Unlock()
	out <- prometheus.MustNewConstMetric(r.desc, prometheus.GaugeValue, ready)
}
