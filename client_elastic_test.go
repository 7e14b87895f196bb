package main

import (
	"testing"
	"time"

	"flyball/collector/elastic"
	"flyball/collector/elastic/cluster"
	"flyball/collector/elastic/events"
	"flyball/collector/elastic/samples"
	"flyball/collector/elastic/views"
	"flyball/scaler"
)

// supplying is the status of a service that supplies an Elasticsearch, changed.
func supplying(change func(*elastic.Status)) overview {
	ago := func(d time.Duration) time.Time { return clientNow.Add(-d) }
	e := &elastic.Status{
		Cluster: cluster.Status{
			URLs: []string{"https://es-1.example.net:9200", "https://es-2.example.net:9200"}, Reachable: true, Since: ago(62 * time.Minute),
			Created: 48213, Requests: 512, Bytes: 4 << 20, Letters: "/var/lib/flyball/dead-letters.ndjson",
		},
		Samples: samples.Status{Cursor: ago(8 * time.Second), Lag: 8.2, Samples: 912_000, Documents: 40_000},
		Views:   views.Status{Views: 14, Until: ago(14 * time.Second), Lag: 14.9, Documents: 8_100},
		Events:  events.Status{Cursor: 113, Newest: 113, Sent: 113},
	}
	change(e)
	st := scaler.Status{Version: "0.1.0", Started: ago(63 * time.Minute), Now: clientNow}
	return overview{st, e}
}

func untroubled(*elastic.Status) {}

func unasked(e *elastic.Status) {
	*e = elastic.Status{Cluster: cluster.Status{URLs: e.Cluster.URLs}, Unready: "not asked yet", Samples: e.Samples}
}

func unreached(e *elastic.Status) {
	e.Cluster.Reachable, e.Cluster.Since = false, clientNow.Add(-12*time.Minute-4*time.Second)
	e.Cluster.Error, e.Cluster.ErrorAt = "connect to https://es-2.example.net:9200: dial tcp 10.0.0.5:9200: connect: connection refused", clientNow
	e.Samples.Lag, e.Views.Lag, e.Events.Behind = 733, 740, 3
	e.Events.Error, e.Events.Since = "the same", clientNow.Add(-12*time.Minute)
}

func unready(e *elastic.Status) {
	e.Views = views.Status{}
	e.Samples.Lag = 3*3600 + 65
	e.Unready = "set up Elasticsearch: this Elasticsearch cannot be used: version 8.12.2 lacks more than 21 dimensions, of more than 1,024 bytes, " +
		"fields beyond the limit that cost no document (ignore_dynamic_beyond_limit); upgrade it to 8.14 or later"
	e.Again = clientNow.Add(4*time.Minute + 10*time.Second)
}

func recovered(e *elastic.Status) {
	e.Cluster.Since = clientNow.Add(-3 * time.Minute)
	e.Cluster.Error, e.Cluster.ErrorAt = "Elasticsearch answers 503\x1b[2J Service Unavailable", clientNow.Add(-185*time.Second)
	e.Views.Error, e.Views.ErrorAt = "older than an hour, and not told", clientNow.Add(-61*time.Minute)
}

func troubled(e *elastic.Status) {
	e.Cluster.Buried, e.Cluster.Refused = 12, 14
	e.Samples.Skipped = map[string]uint64{"nan": 7}
	e.Samples.Error = "read samples: the store is closed"
	e.Samples.Lost = samples.Loss{Samples: 9000, Seconds: 4321.5}
	e.Events.Behind, e.Events.Lag, e.Events.Lost = 3, 250, 2
	e.Events.Error, e.Events.Since = "look up documents: Elasticsearch answers 403 Forbidden", clientNow.Add(-4*time.Minute)
	e.Views.Failing = []string{"cpu system.cpu.total.norm.pct: many-to-many matching", "a b: c", "a c: c", "a d: c", "a e: c"}
	e.Views.Skipped = 7200
	e.Views.Error, e.Views.ErrorAt = "docker.cpu is refused: document_parsing_exception: failed to parse field", clientNow.Add(-65*time.Second)
}

func foreigners(e *elastic.Status) {
	e.Samples = samples.Status{}
	e.Left = []string{"metrics-prometheus.collector-default: the data stream metrics-prometheus.collector-default is there, and was not made by our templates: set elasticsearch.namespace to another name, or have it removed"}
	e.Blocked = []string{"metrics-prometheus.collector-default"}
}

func TestLongAddressesLeaveRoom(t *testing.T) {
	for want, urls := range map[string][]string{
		"":                                    nil,
		"127.0.0.1:9200":                      {"http://127.0.0.1:9200"},
		"es:9200 +2":                          {"https://es:9200", "https://b:9200", "https://c:9200"},
		"deployment.europe-west3.gcp.clo… +1": {"https://deployment.europe-west3.gcp.cloud.example.net:443", "https://b"},
	} {
		if got := whereabouts(urls); got != want {
			t.Errorf("%q are shown as %q, want %q", urls, got, want)
		}
	}
}
