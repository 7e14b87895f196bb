package exporter

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Table documents, in Markdown, all metrics of a kind in the order in which the
// parts declare them.
func Table(kind string, parts []Part) string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, m := range newAbout(kind).all() {
		row(&b, m)
	}
	for _, p := range parts {
		for _, m := range p.Metrics {
			row(&b, m)
		}
	}
	return b.String()
}

func row(b *strings.Builder, m Metric) {
	kind := map[prometheus.ValueType]string{prometheus.CounterValue: "counter", prometheus.GaugeValue: "gauge", prometheus.UntypedValue: "untyped"}[m.Kind]
	labels := strings.Join(m.Labels, ", ")
	fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", m.Name, kind, labels, strings.ReplaceAll(m.Help, "|", "\\|"))
}
