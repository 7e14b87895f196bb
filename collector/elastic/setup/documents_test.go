package setup

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// A document of samples, by default one of agent a.
func sample(at time.Time, labels map[string]string, metrics map[string]any) object {
	return object{
		"@timestamp": at.UTC().Format("2006-01-02T15:04:05.000Z"),
		"agent.id":   "a", "agent.type": "flyball", "data_stream.dataset": "prometheus.collector", "host.name": "web-1", "labels.site": "ams3",
		"prometheus": object{"labels": labels, "metrics": metrics, "metrics_names_fingerprint": fmt.Sprint(len(metrics), sortedNames(metrics))},
	}
}

func sortedNames(m map[string]any) string {
	text, _ := json.Marshal(m)
	var names map[string]any
	_ = json.Unmarshal(text, &names)
	for k := range names {
		names[k] = 0
	}
	text, _ = json.Marshal(names)
	return hash(object{"names": string(text)})
}

// An outcome is what became of a document.
type outcome struct {
	status int
	typ    string
	reason string
}

// create sends documents in bulk.
func (a asker) create(t testing.TB, stream string, docs ...object) []outcome {
	t.Helper()
	var b strings.Builder
	for _, d := range docs {
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("{\"create\":{}}\n" + string(text) + "\n")
	}
	answer := a.must(t, "POST", "/"+stream+"/_bulk?require_data_stream=true&refresh=true", b.String())
	var os []outcome
	for _, i := range answer["items"].([]any) {
		item := i.(object)["create"].(object)
		o := outcome{status: int(item["status"].(float64))}
		if e, ok := item["error"].(object); ok {
			o.typ, o.reason = e["type"].(string), e["reason"].(string)
		}
		os = append(os, o)
	}
	return os
}

// samplesStream makes a data stream's templates and returns its name.
func samplesStream(t testing.TB, a asker, namespace string) string {
	t.Helper()
	a.apply(t, Plan(Streams{Namespace: namespace, Retention: days(30)}, []Dataset{Samples()}))
	return Samples().Pattern(namespace)
}

var web = map[string]string{"job": "node", "instance": "10.0.0.1:9100"}

// with is the labels of web and one more.
func with(name, value string) map[string]string {
	return map[string]string{"job": web["job"], "instance": web["instance"], name: value}
}

func TestEachSampleHasItsOutcome(t *testing.T) {
	a := server(t)
	stream := samplesStream(t, a, "outcomes")
	now := time.Now()
	one := map[string]any{"up": 1}
	for _, tt := range []struct {
		what   string
		doc    object
		status int
		typ    string
		field  string // that the reason names
	}{
		{"a document", sample(now, web, map[string]any{"up": 1, "requests_total": 7}), 201, "", ""},
		{"the same again", sample(now, web, map[string]any{"up": 1, "requests_total": 7}), 409, "version_conflict_engine_exception", ""},
		{"the same with other values", sample(now, web, map[string]any{"up": 0, "requests_total": 8}), 409, "version_conflict_engine_exception", ""},
		{"the same labels and time under another set of names", sample(now, web, map[string]any{"late": 1}), 201, "", ""},
		{"no labels", sample(now, nil, one), 201, "", ""},
		{"a label with a dot", sample(now, with("a.b", "x"), one), 201, "", ""},
		{"and one that would be its object", sample(now, with("a", "x"), one), 201, "", ""},
		{"metrics with dots", sample(now, web, map[string]any{"m": 1, "m.n": 2, "m.n_total": 3}), 201, "", ""},
		{"odd names", sample(now, with("é a..*", "x"), map[string]any{".a": 1, "b.": 2, `"q"`: 3, strings.Repeat("n", 300): 4}), 201, "", ""},
		{"a label without a name", sample(now, with("", "x"), one), 400, "document_parsing_exception", ""},
		{"a label named by spaces", sample(now, with("  ", "x"), one), 400, "document_parsing_exception", ""},
		{"a metric without a name", sample(now, web, map[string]any{"": 1}), 400, "document_parsing_exception", ""},
		{"a label of 2,000 bytes", sample(now, with("long", strings.Repeat("x", 2000)), one), 201, "", ""},
		{"another that differs at its end", sample(now, with("long", strings.Repeat("x", 1999)+"y"), one), 201, "", ""},
		{"a label of 32,766 bytes", sample(now, with("long", strings.Repeat("x", 32766)), one), 201, "", ""},
		{"a label of 32,767 bytes", sample(now, with("long", strings.Repeat("x", 32767)), one), 400, "document_parsing_exception", "prometheus.labels.long"},
		{"a label of 40,000 bytes", sample(now, with("long", strings.Repeat("x", 40000)), one), 400, "document_parsing_exception", "prometheus.labels.long"},
		{"a great number", sample(now, with("k", "great"), map[string]any{"up": math.MaxFloat64}), 201, "", ""},
		{"no number", sample(now, with("k", "NaN"), map[string]any{"up": "NaN"}), 400, "document_parsing_exception", "prometheus.metrics.up"},
		{"infinity", sample(now, with("k", "inf"), map[string]any{"up": "Infinity"}), 400, "document_parsing_exception", "prometheus.metrics.up"},
		{"null", sample(now, with("k", "null"), map[string]any{"up": nil}), 201, "", ""},
		{"text", sample(now, with("k", "text"), map[string]any{"up": "yes"}), 400, "document_parsing_exception", "prometheus.metrics.up"},
		{"six days ago", sample(now.Add(-6*24*time.Hour), web, one), 201, "", ""},
		{"eight days ago", sample(now.Add(-8*24*time.Hour), web, one), 400, "timestamp_error", ""},
		{"in 20 minutes", sample(now.Add(20*time.Minute), web, one), 201, "", ""},
		{"in 70 minutes", sample(now.Add(70*time.Minute), web, one), 400, "timestamp_error", ""},
	} {
		got := a.create(t, stream, tt.doc)[0]
		if got.status != tt.status || got.typ != tt.typ || !strings.Contains(got.reason, tt.field) {
			t.Errorf("%s: %+v, want %d %s %s", tt.what, got, tt.status, tt.typ, tt.field)
		}
	}
	other := sample(now, web, map[string]any{"up": 1, "requests_total": 7})
	other["agent.id"] = "b"
	if got := a.create(t, stream, other)[0]; got.status != 201 {
		t.Errorf("another agent's: %+v", got)
	}
}

func TestSamplesAreFoundByTheirLabels(t *testing.T) {
	a := server(t)
	stream := samplesStream(t, a, "found")
	now := time.Now()
	var docs []object
	for i := range 20 {
		docs = append(docs, sample(now.Add(time.Duration(i)*time.Second), with("member.name", fmt.Sprint("web-", i%2)), map[string]any{"load": i, "seconds_sum": i}))
	}
	for _, o := range a.create(t, stream, docs...) {
		if o.status != 201 {
			t.Fatal(o)
		}
	}
	answer := a.must(t, "POST", "/"+stream+"/_search", object{
		"size": 0, "query": object{"term": object{"prometheus.labels.job": "node"}},
		"aggs": object{"by": object{
			"terms": object{"field": "prometheus.labels.member.name"},
			"aggs":  object{"load": object{"sum": object{"field": "prometheus.metrics.load"}}, "most": object{"max": object{"field": "prometheus.metrics.seconds_sum"}}},
		}, "host": object{"terms": object{"field": "host.name"}}, "site": object{"terms": object{"field": "labels.site"}}},
	})
	text, _ := json.Marshal(answer["aggregations"])
	for _, want := range []string{
		`{"doc_count":10,"key":"web-0","load":{"value":90},"most":{"value":18}}`,
		`{"doc_count":10,"key":"web-1","load":{"value":100},"most":{"value":19}}`,
		`{"doc_count":20,"key":"ams3"}`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	for _, f := range []string{"agent.type", "data_stream.dataset"} { // kept by columns only
		if got := count(t, a, stream, object{"exists": object{"field": f}}); got != 20 {
			t.Errorf("%s is in %d documents", f, got)
		}
	}
	if got := count(t, a, stream, object{"term": object{"data_stream.dataset": "prometheus.collector"}}); got != 20 {
		t.Errorf("%d documents are of the dataset", got)
	}
}

// count returns how many documents fit a query.
func count(t testing.TB, a asker, stream string, query object) int {
	t.Helper()
	return int(a.must(t, "POST", "/"+stream+"/_count", object{"query": query})["count"].(float64))
}

func TestMetricsBeyondTheLimitAreKeptAndTheRestIsKnown(t *testing.T) {
	a := server(t)
	few := Samples()
	few.Limit = 200
	a.apply(t, Plan(Streams{Namespace: "limit", Retention: days(30)}, []Dataset{few}))
	stream := few.Pattern("limit")
	now := time.Now()
	many := map[string]any{}
	for i := range 300 {
		many[fmt.Sprintf("metric_%03d", i)] = i
	}
	docs := []object{
		sample(now, web, map[string]any{"up": 1}), sample(now, web, many),
		sample(now, with("late", "x"), map[string]any{"up": 1}), sample(now, with("late", "y"), map[string]any{"up": 1}),
	}
	for i, o := range a.create(t, stream, docs...) {
		if o.status != 201 {
			t.Errorf("document %d: %+v", i, o)
		}
	}
	answer := a.must(t, "POST", "/"+stream+"/_search", object{"query": object{"term": object{"_ignored": "prometheus.metrics.metric_299"}}})
	text, _ := json.Marshal(answer)
	if !strings.Contains(string(text), `"metric_299":299`) {
		t.Errorf("the last metric is not in %.300s", text)
	}
	if got := count(t, a, stream, object{"exists": object{"field": "prometheus.metrics.up"}}); got != 3 {
		t.Errorf("up is in %d documents, want 3", got)
	}
	if got := count(t, a, stream, object{"term": object{"_ignored": "prometheus.labels.late"}}); got != 2 {
		t.Errorf("a late label is left out of %d documents, want 2", got)
	}
}

func TestAUsersMappingOfOneMetricCostsOnlyDocumentsWithIt(t *testing.T) {
	a := server(t)
	custom := Samples()
	custom.Name = "prometheus.conflict"
	a.must(t, "PUT", "/_component_template/metrics-prometheus.conflict@custom", object{"template": object{"mappings": object{"properties": object{
		"prometheus": object{"properties": object{"metrics": object{"subobjects": false, "properties": object{"up": object{"type": "ip"}}}}},
	}}}})
	a.apply(t, Plan(Streams{Namespace: "conflict", Retention: days(30)}, []Dataset{custom}))
	now := time.Now()
	got := a.create(t, custom.Pattern("conflict"),
		sample(now, web, map[string]any{"up": 1}),
		sample(now, web, map[string]any{"down": 1, "load": 2}),
		sample(now, web, map[string]any{"up": 1, "load": 2}))
	for i, want := range []int{400, 201, 400} {
		if got[i].status != want || want == 400 && !strings.Contains(got[i].reason, "[prometheus.metrics.up] of type [ip]") {
			t.Errorf("document %d: %+v, want %d", i, got[i], want)
		}
	}
}

func TestExplanationsOfAllKindsGrowNoMapping(t *testing.T) {
	a := server(t)
	a.apply(t, Plan(Streams{Namespace: "events", Retention: days(30)}, []Dataset{Events()}))
	const stream = "logs-flyball.scaling-events"
	var docs []object
	for i := range 3000 {
		docs = append(docs, object{
			"@timestamp": time.Now().UTC(), "message": "web: out", "event.action": "scale_out", "rule.name": "web", "labels.pool": "web",
			"flyball.to": 7, "flyball.explanation": strings.Repeat("because ", 5000*(i/2999)),
			"flyball.decision": object{fmt.Sprintf("signal_%d", i): object{"value": i, "because": strings.Repeat("x", 40000*(i/2999))}, "to": []int{i}, "deep": object{"er": object{"x": i%2 == 0}}},
		})
	}
	for i, o := range a.create(t, stream, docs[:1500]...) {
		if o.status != 201 {
			t.Fatalf("document %d: %+v", i, o)
		}
	}
	before := fields(t, a, stream)
	for i, o := range a.create(t, stream, docs[1500:]...) {
		if o.status != 201 {
			t.Fatalf("document %d: %+v", i, o)
		}
	}
	if got := fields(t, a, stream); got != before {
		t.Errorf("the mapping grew from %d to %d bytes", before, got)
	}
	for _, q := range []object{
		{"term": object{"flyball.decision.signal_2999.value": "2999"}},
		{"bool": object{"filter": []object{{"match": object{"message": "out"}}, {"term": object{"flyball.decision.signal_7.value": "7"}}}}},
	} {
		if got := count(t, a, stream, q); got != 1 {
			t.Errorf("%v finds %d documents, want 1", q, got)
		}
	}
	if got := count(t, a, stream, object{"term": object{"labels.pool": "web"}}); got != 3000 {
		t.Errorf("%d documents of the pool", got)
	}
}

// fields is the size of a data stream's mapping.
func fields(t testing.TB, a asker, stream string) int {
	t.Helper()
	text, _ := json.Marshal(a.must(t, "GET", "/"+stream+"/_mapping", nil))
	return len(text)
}
