package store

import "github.com/prometheus/client_golang/prometheus"

// The limits that a series can be refused by, as label values.
const (
	byGlobal = "global"
	byScrape = "scrape"
)

// metrics counts what the store does beyond what Prometheus' own metrics tell.
type metrics struct {
	refused *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flyball_store_series_refused_total",
			Help: "Samples of new series that a series limit refused. Series known before keep flowing.",
		}, []string{"limit"}),
	}
	reg.MustRegister(m.refused)
	m.refused.WithLabelValues(byGlobal)
	m.refused.WithLabelValues(byScrape)
	return m
}
