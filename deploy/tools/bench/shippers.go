package main

import (
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"flyball/deploy/tools/bench/targets"
)

// shipEvery is how long each keeps samples before it sends them.
const shipEvery = 10 * time.Second

// A shipper is a peer that scrapes, and sends what it scraped to Elasticsearch.
type shipper struct {
	peer
	stream   string         // the data stream of its samples
	template map[string]any // of the data stream; nil if it makes its own
}

// flyballShipping is Flyball with a block elasticsearch.
func flyballShipping(binary, url, namespace string) shipper {
	return shipper{
		peer: flyballWith(binary, map[string]any{
			"urls": []string{url}, "namespace": namespace, "ship": map[string]any{"every": shipEvery.String()},
		}),
		stream: "metrics-prometheus.collector-" + namespace,
	}
}

// A mode is a way in which the collector lays its documents out, and in which the
// index keeps them.
type mode struct {
	mapping    string // of the exporter: otel or ecs
	timeSeries bool
}

func (m mode) String() string {
	if m.timeSeries {
		return m.mapping + "-tsds"
	}
	return m.mapping + "-plain"
}

// modes are the collector's ways that lose nothing, for a layout of labels. It
// writes counters and gauges of one label set into two documents, as only counters
// have a time of their start. To a time series index these are the same: where
// families share label sets it refuses the second, which the collector takes for
// sent, so that half of the values are lost.
func modes(layout targets.Layout) []mode {
	if layout == targets.Shared {
		return []mode{{mapping: "otel"}, {mapping: "ecs"}}
	}
	return []mode{{mapping: "otel", timeSeries: true}}
}

// collector is an OpenTelemetry collector of which the samples pass from the
// receiver for Prometheus through the batches that its makers recommend.
func collector(binary, url, namespace string, m mode) shipper {
	stream := "metrics-prometheusreceiver." + m.mapping + "-" + namespace
	prepare := func(dir, addr string, scrape map[string]any) ([]string, error) {
		file := filepath.Join(dir, "otelcol.yaml")
		return []string{binary, "--config=" + file}, writeConfig(file, collectorConfig(addr, url, stream, m, scrape))
	}
	return shipper{
		peer:     peer{name: "otelcol-" + m.String(), ready: "/metrics", prepare: prepare},
		stream:   stream,
		template: m.template(stream),
	}
}

func collectorConfig(addr, url, stream string, m mode, scrape map[string]any) map[string]any {
	host, text, _ := strings.Cut(addr, ":")
	port, _ := strconv.Atoi(text) // the kernel chose it
	own := map[string]any{"host": host, "port": port}
	return map[string]any{
		"receivers":  map[string]any{"prometheus": map[string]any{"config": scrape}},
		"processors": map[string]any{"batch": nil},
		"exporters": map[string]any{"elasticsearch": map[string]any{
			"endpoints":             []string{url},
			"mapping":               map[string]any{"mode": m.mapping},
			"metrics_index":         stream,
			"metrics_dynamic_index": map[string]any{"enabled": false},
			"flush":                 map[string]any{"interval": shipEvery.String()},
		}},
		"service": map[string]any{
			"pipelines": map[string]any{"metrics": map[string]any{
				"receivers": []string{"prometheus"}, "processors": []string{"batch"}, "exporters": []string{"elasticsearch"},
			}},
			"telemetry": map[string]any{
				"logs": map[string]any{"level": "warn"},
				"metrics": map[string]any{"readers": []any{map[string]any{"pull": map[string]any{
					"exporter": map[string]any{"prometheus": own},
				}}}},
			},
		},
	}
}

// template is for the collector's data stream what a full Elasticsearch would
// bring along: numbers keep their precision, texts are keywords, and the index is
// compressed well. The names of the first four are those that the exporter gives.
func (m mode) template(stream string) map[string]any {
	dynamic := []any{}
	for _, metric := range []string{"counter", "gauge"} {
		for _, kind := range []string{"long", "double"} {
			field := map[string]any{"type": kind}
			if m.timeSeries {
				field["time_series_metric"] = metric
			}
			dynamic = append(dynamic, map[string]any{metric + "_" + kind: map[string]any{"mapping": field}})
		}
	}
	text := map[string]any{"type": "keyword"}
	if m.timeSeries {
		text["time_series_dimension"] = true
	}
	dynamic = append(
		dynamic,
		map[string]any{"texts": map[string]any{"match_mapping_type": "string", "mapping": text}},
		map[string]any{"doubles": map[string]any{"match_mapping_type": "double", "mapping": map[string]any{"type": "double"}}},
	)
	flat := map[string]any{"type": "object", "subobjects": false}
	settings := map[string]any{"index.codec": "best_compression", "index.mapping.total_fields.limit": 2000}
	if m.timeSeries {
		settings["index.mode"] = "time_series"
		settings["index.routing_path"] = []string{"attributes.*", "resource.attributes.*"}
	}
	return map[string]any{
		"index_patterns": []string{stream}, "data_stream": map[string]any{}, "priority": 500,
		"template": map[string]any{
			"settings": settings,
			"mappings": map[string]any{
				"dynamic_templates": dynamic,
				"properties": map[string]any{
					"@timestamp": map[string]any{"type": "date"}, "start_timestamp": map[string]any{"type": "date"},
					"attributes": flat, "metrics": flat,
					"resource": map[string]any{"properties": map[string]any{"attributes": flat}},
				},
			},
		},
	}
}
