package views

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/promql"

	"flyball/collector/elastic/cluster"
	"flyball/collector/elastic/setup"
	"flyball/deploy/testservers"
)

// shifted is an engine whose samples are later by a while.
type shifted struct {
	engine
	by time.Duration
}

func (s shifted) Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) (promql.Matrix, error) {
	m, err := s.engine.Range(ctx, expr, from.Add(-s.by), to.Add(-s.by), step)
	for i := range m {
		m[i].Floats = slices.Clone(m[i].Floats)
		for j := range m[i].Floats {
			m[i].Floats[j].T += s.by.Milliseconds()
		}
	}
	return m, err
}

// server is a cluster on the real Elasticsearch with the datasets' templates.
func server(t *testing.T, streams setup.Streams, vs []View) *cluster.Cluster {
	t.Helper()
	es := testservers.SharedElasticsearch(t)
	c, err := cluster.New(cluster.Config{URLs: []string{es.URL()}}, cluster.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	report, err := setup.Apply(t.Context(), c, streams, Datasets(vs), slog.New(slog.DiscardHandler))
	if err != nil || len(report.Blocked) > 0 {
		t.Fatalf("apply: %v, blocked %v", err, report.Blocked)
	}
	return c
}

func ask(t *testing.T, c *cluster.Cluster, method, path, body string, into any) {
	t.Helper()
	b, err := c.Do(t.Context(), method, path, []byte(body))
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
}

// counts are the documents of each data stream of a namespace, by dataset.
func counts(t *testing.T, c *cluster.Cluster, namespace string) map[string]int {
	t.Helper()
	var found struct {
		Aggregations struct {
			Datasets struct {
				Buckets []struct {
					Key   string `json:"key"`
					Count int    `json:"doc_count"`
				} `json:"buckets"`
			} `json:"datasets"`
		} `json:"aggregations"`
	}
	ask(t, c, "POST", "/metrics-*-"+namespace+"/_refresh", "", nil)
	ask(t, c, "POST", "/metrics-*-"+namespace+"/_search", `{"size":0,"aggs":{"datasets":{"terms":{"field":"_index","size":100}}}}`, &found)
	out := map[string]int{}
	for _, b := range found.Aggregations.Datasets.Buckets {
		_, name, _ := strings.Cut(b.Key, "metrics-")
		name, _, _ = strings.Cut(name, "-")
		out[name] += b.Count
	}
	return out
}

// everything is a script of all recorded documents' metrics, and of three hosts with
// different loads.
func everything(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("load 15s\n")
	add := func(script string) {
		for line := range strings.Lines(script) {
			if strings.HasPrefix(line, "  ") {
				b.WriteString(line)
			}
		}
	}
	files, err := filepath.Glob("testdata/recorded/*.load")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		add(read(t, file))
	}
	for i, busy := range []float64{3, 9, 13.5} {
		host := fmt.Sprintf(`instance="10.0.0.%d:9100",job="node",pool="web",member="web-%d"`, i+1, i+1)
		for cpu := range 2 {
			fmt.Fprintf(&b, "  node_cpu_seconds_total{cpu=\"%d\",mode=\"user\",%s} 0+%gx40\n", cpu, host, busy)
			fmt.Fprintf(&b, "  node_cpu_seconds_total{cpu=\"%d\",mode=\"idle\",%s} 0+%gx40\n", cpu, host, 15-busy)
		}
	}
	add(balancers)
	return b.String()
}

func TestDatasetsAreInElasticsearchOnceAndCanBeAsked(t *testing.T) {
	vs, ps := Load(Config{Shipped: true})
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	streams := setup.Streams{Namespace: "views", Retention: days}
	c := server(t, streams, vs)
	begin := floor(time.Now().Add(-20*time.Minute), time.Minute)
	from := shifted{loaded(t, everything(t)), begin.Sub(time.UnixMilli(0))}
	run := func(state *memory) *Runner {
		clock := &clock{begin.Add(10*time.Minute + 10*time.Second)}
		r, err := New(Options{
			Range: from, State: state, Deliver: c, Views: vs, Agent: here, Namespace: streams.Namespace, Now: func() time.Time { return clock.now },
		})
		if err != nil {
			t.Fatal(err)
		}
		clock.runUntil(t.Context(), r, begin.Add(10*time.Minute+20*time.Second))
		if s := r.Status(); s.Refused > 0 || s.Error != "" || len(s.Failing) > 0 {
			t.Fatalf("status %+v", s)
		}
		return r
	}
	r := run(began(begin))
	first := counts(t, c, streams.Namespace)
	want := slices.Sorted(maps.Keys(byDataset(vs)))
	if d := cmp.Diff(want, slices.Sorted(maps.Keys(first))); d != "" {
		t.Errorf("datasets in Elasticsearch (-want +got):\n%s", d)
	}
	sum := 0
	for _, n := range first {
		sum += n
	}
	if got := r.Status().Documents; got != sum || sum < 60*len(want) {
		t.Errorf("%d documents delivered, and %d are there: %v", got, sum, first)
	}
	run(began(begin))
	if d := cmp.Diff(first, counts(t, c, streams.Namespace)); d != "" {
		t.Errorf("the same stretch again (-first +second):\n%s", d)
	}
	t.Run("averages by host are PromQL's", func(t *testing.T) { averages(t, c, from, begin) })
	t.Run("fields are mapped as the integrations know them", func(t *testing.T) { mapped(t, c, vs) })
	t.Run("dimensions and text can be filtered by", func(t *testing.T) { filtered(t, c) })
}

// days are thirty.
const days = 30 * 24 * 3600e9

func byDataset(vs []View) map[string][]View {
	out := map[string][]View{}
	for _, v := range vs {
		out[v.Dataset] = append(out[v.Dataset], v)
	}
	return out
}

func averages(t *testing.T, c *cluster.Cluster, from shifted, begin time.Time) {
	var found struct {
		Aggregations struct {
			Hosts struct {
				Buckets []struct {
					Key  string `json:"key"`
					Busy struct {
						Value float64 `json:"value"`
					} `json:"busy"`
				} `json:"buckets"`
			} `json:"hosts"`
		} `json:"aggregations"`
	}
	begin = begin.Add(2 * time.Minute) // before, rates are of less than a window
	ask(t, c, "POST", "/metrics-system.cpu-views/_search", fmt.Sprintf(
		`{"size":0,"query":{"bool":{"filter":[{"query_string":{"query":"labels.pool: web AND host.name: web-*"}},{"range":{"@timestamp":{"gte":%d}}}]}},
		"aggs":{"hosts":{"terms":{"field":"host.name"},"aggs":{"busy":{"avg":{"field":"system.cpu.total.norm.pct"}}}}}}`, begin.UnixMilli()), &found)
	got := map[string]float64{}
	for _, b := range found.Aggregations.Hosts.Buckets {
		got[b.Key] = b.Busy.Value
	}
	m, err := from.Range(t.Context(), `1 - avg by (member) (rate(node_cpu_seconds_total{mode="idle",pool="web"}[1m]))`, begin, begin.Add(8*time.Minute), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{}
	for _, s := range m {
		sum := 0.0
		for _, p := range s.Floats {
			sum += p.F
		}
		want[s.Metric.Get("member")] = sum / float64(len(s.Floats))
	}
	if d := cmp.Diff(want, got, cmp.Comparer(near)); d != "" || len(got) != 3 {
		t.Errorf("system.cpu.total.norm.pct by host.name (-PromQL +Elasticsearch):\n%s", d)
	}
	if !near(got["web-2"], 0.6) {
		t.Errorf("web-2 is busy by %v, want 0.6", got["web-2"])
	}
}

func mapped(t *testing.T, c *cluster.Cluster, vs []View) {
	for dataset := range byDataset(vs) {
		var caps struct {
			Fields map[string]map[string]struct {
				Type   string `json:"type"`
				Metric string `json:"time_series_metric"`
			} `json:"fields"`
		}
		ask(t, c, "GET", "/metrics-"+dataset+"-views/_field_caps?fields=*", "", &caps)
		for name, f := range factsOf(t, dataset).Fields {
			for typ, x := range caps.Fields[name] {
				if typ != f.ours() || f.Metric != "" && x.Metric != f.Metric {
					t.Errorf("%s is a %s %s, and a %s %s with the integration", name, typ, x.Metric, f.Type, f.Metric)
				}
			}
		}
		for _, name := range []string{"labels.member", "labels.pool"} {
			if _, text := caps.Fields[name]["text"]; text {
				t.Errorf("%s: %s is no keyword", dataset, name)
			}
		}
	}
}

func filtered(t *testing.T, c *cluster.Cluster) {
	for query, want := range map[string]int{
		"event.dataset: postgresql.database AND postgresql.database.oid: 12379 AND postgresql.database.name: postgres":  61,
		"postgresql.database.stats_reset: [2024-05-01T09:57:46.179Z TO 2024-05-01T09:57:46.179Z]":                       61,
		"haproxy.stat.component_type: 2 AND haproxy.stat.status: UP AND haproxy.stat.service_name: s1":                  61,
		"haproxy.stat.status: MAINT AND haproxy.stat.proxy.name: web":                                                   61,
		"container.name: metricbeat_beat_run_8ba23fa682a6 AND event.dataset: docker.cpu AND docker.cpu.total.pct: >0.1": 57,
		"cassandra.metrics.system.version: 3.11.11":                                                                     61,
		"system.memory.total: 67514814464 AND service.type: system":                                                     61,
		"system.uptime.duration.ms: 522806000":                                                                          61,
	} {
		var found struct {
			Count int `json:"count"`
		}
		body, err := json.Marshal(map[string]any{"query": map[string]any{"query_string": map[string]any{"query": query}}})
		if err != nil {
			t.Fatal(err)
		}
		ask(t, c, "POST", "/metrics-*-views/_count", string(body), &found)
		// At the edges a rate has no window yet.
		if found.Count < want-1 || found.Count > want {
			t.Errorf("%d documents, want %d: %s", found.Count, want, query)
		}
	}
}

func TestAFieldThatTheMappingRefusesLeavesTheOthers(t *testing.T) {
	v := View{When: "a", Fields: map[string]Field{"conflict.a": {Query: "a", Type: double}, "conflict.b": {Query: "b", Type: long}}}.named("conflict.made")
	streams := setup.Streams{Namespace: "refused", Retention: days}
	es := testservers.SharedElasticsearch(t)
	dead := t.TempDir()
	c, err := cluster.New(cluster.Config{URLs: []string{es.URL()}}, cluster.Options{Dir: dead})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// A user's own component template goes before ours.
	ask(t, c, "PUT", "/_component_template/metrics-conflict.made@custom", `{"template":{"mappings":{"properties":{"conflict":{"properties":{"a":{"type":"ip"}}}}}}}`, nil)
	shape := v
	shape.Fields = map[string]Field{"conflict.b": v.Fields["conflict.b"]}
	if _, err := setup.Apply(t.Context(), c, streams, Datasets([]View{shape}), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	begin := floor(time.Now().Add(-10*time.Minute), time.Minute)
	from := shifted{loaded(t, "load 15s\n  a{instance=\"h1\"} 1.5x20\n  b{instance=\"h1\"} 7x20\n"), begin.Sub(time.UnixMilli(0))}
	clock := &clock{begin.Add(2*time.Minute + 10*time.Second)}
	for range 2 {
		r, err := New(Options{
			Range: from, State: began(begin), Deliver: c, Views: []View{v}, Agent: here, Namespace: streams.Namespace, Now: func() time.Time { return clock.now },
		})
		if err != nil {
			t.Fatal(err)
		}
		clock.now = begin.Add(2*time.Minute + 10*time.Second)
		clock.runUntil(t.Context(), r, begin.Add(2*time.Minute+20*time.Second))
		if s := r.Status(); s.Refused != 12 || !strings.Contains(s.Error, "conflict.a") {
			t.Errorf("status %+v", s)
		}
		if d := cmp.Diff(map[string]int{"conflict.made": 12}, counts(t, c, streams.Namespace)); d != "" {
			t.Errorf("documents (-want +got):\n%s", d)
		}
	}
	var found struct {
		Count int `json:"count"`
	}
	ask(t, c, "POST", "/metrics-conflict.made-refused/_count", `{"query":{"bool":{"filter":[{"term":{"conflict.b":7}},{"term":{"host.name":"h1"}}]}}}`, &found)
	if found.Count != 12 {
		t.Errorf("%d documents have the field that is not refused, want 12", found.Count)
	}
	letters, err := filepath.Glob(filepath.Join(dead, "*"))
	if err != nil || len(letters) == 0 || !strings.Contains(read(t, letters[0]), "conflict.a") {
		t.Errorf("dead letters: %v, %v", letters, err)
	}
}
