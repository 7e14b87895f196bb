package digitalocean

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what is asked of DigitalOcean. The label account is the name of the
// file that has the account's token, without its folder.
type Metrics struct {
	calls     *prometheus.CounterVec
	remaining *prometheus.GaugeVec
	listed    *prometheus.GaugeVec
	droplets  *prometheus.GaugeVec
	strangers *prometheus.GaugeVec
}

// NewMetrics registers what is counted; with nil it is counted for nobody.
func NewMetrics(r prometheus.Registerer) *Metrics {
	gauge := func(name, help, label string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "flyball_digitalocean_" + name, Help: help}, []string{label})
	}
	m := &Metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flyball_digitalocean_calls_total",
			Help: "Requests to DigitalOcean's API, by method and how they went; refused ones were not sent, for the budget was spent.",
		}, []string{"account", "method", "outcome"}),
		remaining: gauge("remaining_calls", "Requests that are left of the hour's, as the API says.", "account"),
		listed:    gauge("list_timestamp_seconds", "When the list of all Droplets was read last.", "account"),
		droplets:  gauge("droplets", "Droplets in the account, whoever made them.", "account"),
		strangers: gauge("strangers", "Droplets that bear a pool's tag and are no members, for Flyball did not make them.", "pool"),
	}
	if r != nil {
		r.MustRegister(m.calls, m.remaining, m.listed, m.droplets, m.strangers)
	}
	return m
}

func (m *Metrics) call(account string, r *http.Request, outcome string) {
	m.calls.WithLabelValues(account, r.Method, outcome).Inc()
}
