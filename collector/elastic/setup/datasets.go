package setup

// mostFields is how many labels and metrics an index of samples knows.
const mostFields = 10_000

// Samples is the dataset of samples as they are. The package comment says what becomes
// of which document.
func Samples() Dataset {
	return Dataset{
		Type: metrics, Name: "prometheus.collector", TimeSeries: true,
		Dimensions: []string{"prometheus.metrics_names_fingerprint"},
		Flat:       []string{"prometheus.labels", "prometheus.metrics"},
		Dynamic: []Dynamic{
			{Name: "prometheus_labels", Paths: []string{"prometheus.labels.*"}, Field: Field{Type: keyword}, Dimension: true},
			{
				Name:  "prometheus_counters",
				Paths: []string{"prometheus.metrics.*_total", "prometheus.metrics.*_count", "prometheus.metrics.*_sum", "prometheus.metrics.*_bucket"},
				Field: Field{Type: "double", Metric: "counter"},
			},
			{Name: "prometheus_gauges", Paths: []string{"prometheus.metrics.*"}, Field: Field{Type: "double", Metric: "gauge"}},
		},
		Limit: mostFields,
	}
}

// Events is the dataset of the journal's entries: logs-flyball.KIND. Bodies of entries,
// which grow with every kind of thing that is told, are each one flattened field:
// whatever they hold, the mapping does not grow.
func Events() Dataset {
	word, number, text, body := Field{Type: keyword}, Field{Type: "long"}, Field{Type: "text"}, Field{Type: "flattened"}
	fs := map[string]Field{
		"message": text, "error.message": text, "flyball.explanation": text,
		"event.created": {Type: "date"}, "event.duration": number, "event.sequence": number,
		"flyball.size": number, "flyball.wants": number, "flyball.to": number, "flyball.count": number,
	}
	for _, name := range []string{
		"event.dataset", "event.kind", "event.category", "event.type", "event.action", "event.outcome", "event.reason", "event.code", "event.id",
		"rule.name", "rule.id", "trace.id", "user.name", "file.path", "related.hosts", "service.version",
		"flyball.target", "flyball.refusals.now", "flyball.refusals.began", "flyball.refusals.ended",
	} {
		fs[name] = word
	}
	for _, name := range []string{"decision", "step", "outcome", "order", "load", "life", "trouble", "body"} {
		fs["flyball."+name] = body
	}
	return Dataset{Type: logs, Name: "flyball.*", Fields: fs}
}
