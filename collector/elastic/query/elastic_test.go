package query

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"flyball/collector/elastic/cluster"
	"flyball/deploy/testservers"
	"flyball/rules"
)

// mapping is that of Metricbeat's for the fields that are used here.
const mapping = `{"settings":{"number_of_replicas":0},"mappings":{"properties":{"@timestamp":{"type":"date"},
"host":{"properties":{"name":{"type":"keyword"}}},"event":{"properties":{"dataset":{"type":"keyword"}}},"message":{"type":"text"},"word":{"type":"keyword"},
"system":{"properties":{"cpu":{"properties":{"total":{"properties":{"norm":{"properties":{"pct":{"type":"double"}}}}}}},
"load":{"properties":{"1":{"type":"double"}}}}}}}}`

const cpu = "system.cpu.total.norm.pct"

// A lab is a real Elasticsearch with an index of its own.
type lab struct {
	t     *testing.T
	url   string
	index string
	now   time.Time
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, url: testservers.SharedElasticsearch(t).URL(), now: time.Now().UTC().Truncate(time.Millisecond)}
	l.index = "metricbeat-" + strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	l.send(http.MethodPut, "/"+l.index, mapping)
	return l
}

// send asks the server itself; any status but a success ends the test.
func (l *lab) send(method, path, body string) string {
	l.t.Helper()
	r, err := http.NewRequest(method, l.url+path, strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-ndjson")
	if !strings.Contains(path, "_bulk") {
		r.Header.Set("Content-Type", "application/json")
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		l.t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil || a.StatusCode >= 300 || strings.Contains(string(text), `"errors":true`) {
		l.t.Fatalf("%s %s: %d %s %v", method, path, a.StatusCode, text, err)
	}
	return string(text)
}

// write creates documents: host, age and fields, as Metricbeat writes them.
func (l *lab) write(docs ...string) {
	l.t.Helper()
	l.send(http.MethodPost, "/"+l.index+"/_bulk?refresh=true", strings.Join(docs, ""))
}

func (l *lab) doc(host string, age time.Duration, fields string) string {
	return fmt.Sprintf("{\"create\":{}}\n{\"@timestamp\":%q,\"ecs\":{\"version\":\"8.0.0\"},\"host\":{\"name\":%q},%s}\n",
		l.now.Add(-age).Format("2006-01-02T15:04:05.000Z"), host, fields)
}

// load is a document of system.cpu.
func (l *lab) load(host string, age time.Duration, pct float64) string {
	return l.doc(host, age, fmt.Sprintf(`"event":{"dataset":"system.cpu","module":"system"},"metricset":{"name":"cpu","period":10000},"system":{"cpu":{"total":{"norm":{"pct":%g}}}}`, pct))
}

func (l *lab) simple() rules.Elastic {
	return rules.Elastic{Pool: "api", Index: l.index, Every: 30 * time.Second, Fold: "avg", Field: cpu, By: "host.name", Over: 2 * time.Minute}
}

// connect is a cluster at an address.
func connect(t *testing.T, address string) *cluster.Cluster {
	t.Helper()
	c, err := cluster.New(cluster.Config{URLs: []string{address}, Compress: true, Timeout: model.Duration(30 * time.Second)}, cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// ask asks once, as of the lab's time, for members; nil: they are not known.
func (l *lab) ask(q rules.Elastic, members ...string) (rules.Reading, error) {
	l.t.Helper()
	a := asker{search: connect(l.t, l.url), q: q, now: func() time.Time { return l.now }}
	ctx, cancel := context.WithTimeout(l.t.Context(), 20*time.Second)
	defer cancel()
	return a.ask(ctx, members)
}

// reads is a reading as text: member value age, ...
func reads(r rules.Reading, now time.Time) string {
	var out []string
	for _, p := range r.Points {
		at := r.Seen[p.Member]
		out = append(out, fmt.Sprintf("%s %.3g %s", p.Member, p.Value, now.Sub(at)))
	}
	return strings.Join(append(out, fmt.Sprintf("newest %s", now.Sub(r.Newest))), ", ")
}

func TestOneRequestReadsValueAgeAndCoverage(t *testing.T) {
	l := newLab(t)
	s := time.Second
	l.write(
		l.load("api-1", 5*s, 0.2), l.load("api-1", 15*s, 0.4), l.load("api-1", 130*s, 9), // one before the window
		l.load("api-2", 20*s, 0.5), l.load("api-2", 119*s, 0.7),
		l.load("api-3", 121*s, 0.9), // silent for longer than the window
		l.doc("api-3", 2*s, `"event":{"dataset":"system.load"},"system":{"load":{"1":3.5}}`), // another metric of a silent one
		l.load("api-4", 3*s, 0.01), // destroyed in the window
		l.load("db-1", 3*s, 1),
		l.load("api-5", -20*s, 0.3), l.load("api-5", 4*s, 0.1), // a clock that is a little ahead
	)
	filtered := l.simple()
	filtered.Filter = "host.name: api-* AND NOT host.name: api-4"
	biggest := l.simple()
	biggest.Fold = "max"
	least := l.simple()
	least.Fold = "min"
	total := l.simple()
	total.Fold = "sum"
	wild := l.simple()
	wild.Index = "metricbeat-*," + l.index + "*,-metricbeat-nothing*"
	wild.Filter = "_index: " + l.index
	for _, c := range []struct {
		name    string
		q       rules.Elastic
		members []string
		want    string
	}{
		{"only present members count", l.simple(), []string{"api-1", "api-2", "api-3", "api-5"}, "api-1 0.3 5s, api-2 0.6 20s, api-5 0.1 4s, newest 4s"},
		{"members that are not known all count", l.simple(), nil, "api-1 0.3 5s, api-2 0.6 20s, api-4 0.01 3s, api-5 0.1 4s, db-1 1 3s, newest 3s"},
		{"the filter leaves documents out", filtered, nil, "api-1 0.3 5s, api-2 0.6 20s, api-5 0.1 4s, newest 4s"},
		{"the largest", biggest, []string{"api-1", "api-2"}, "api-1 0.4 5s, api-2 0.7 20s, newest 5s"},
		{"the smallest", least, []string{"api-1", "api-2"}, "api-1 0.2 5s, api-2 0.5 20s, newest 5s"},
		{"the sum", total, []string{"api-1", "api-2"}, "api-1 0.6 5s, api-2 1.2 20s, newest 5s"},
		{"several indices", wild, []string{"api-1"}, "api-1 0.3 5s, newest 5s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := l.ask(c.q, c.members...)
			if got := reads(r, l.now); err != nil || got != c.want || r.Partial != "" || len(r.Seen) != len(r.Points) {
				t.Errorf("reads %s, want %s (%q, %v)", got, c.want, r.Partial, err)
			}
		})
	}
}

func TestDocumentsFromTheFutureAreDoubtful(t *testing.T) {
	l := newLab(t)
	l.write(l.load("api-1", 5*time.Second, 0.2), l.load("api-2", 5*time.Second, 0.2), l.load("api-2", -time.Hour, 0.9))
	r, err := l.ask(l.simple(), "api-1", "api-2")
	want := "documents of api-2 are ahead of our clock, so their age is not known: set the clocks"
	if got := reads(r, l.now); err != nil || r.Partial != want || got != "api-1 0.2 5s, api-2 0.2 5s, newest 5s" {
		t.Errorf("reads %s (%q, %v)", got, r.Partial, err)
	}
	l.write(l.load("api-9", -time.Hour, 0.9))
	if r, err := l.ask(l.simple(), "api-9"); !errors.Is(err, rules.ErrNoData) {
		t.Errorf("only the future is known, and read is %s: %v", reads(r, l.now), err)
	}
}

func TestOurOwnDataStreamsAreReadByTheirLabels(t *testing.T) {
	l := newLab(t)
	l.index = "metrics-prometheus.querytest-default"
	l.send(http.MethodPut, "/_index_template/querytest", `{"index_patterns":["metrics-prometheus.querytest-*"],"data_stream":{},"priority":300,
"template":{"settings":{"index.mode":"time_series","index.routing_path":["prometheus.labels.*"],"number_of_replicas":0},"mappings":{"properties":{"@timestamp":{"type":"date"},
"prometheus":{"properties":{"labels":{"properties":{"member":{"type":"keyword","time_series_dimension":true},"pool":{"type":"keyword","time_series_dimension":true}}},
"metrics":{"properties":{"busy":{"type":"double","time_series_metric":"gauge"},"requests_total":{"type":"double","time_series_metric":"counter"}}}}}}}}}`)
	doc := func(member string, age time.Duration, busy float64) string {
		return fmt.Sprintf("{\"create\":{}}\n{\"@timestamp\":%d,\"prometheus\":{\"labels\":{\"pool\":\"api\",\"member\":%q},\"metrics\":{\"busy\":%g,\"requests_total\":1000}}}\n",
			l.now.Add(-age).UnixMilli(), member, busy)
	}
	l.write(doc("api-1", time.Second, 0.5), doc("api-1", 11*time.Second, 0.7), doc("api-2", 2*time.Second, 0.1))
	q := l.simple()
	q.Field, q.By, q.Filter = "prometheus.metrics.busy", "prometheus.labels.member", "prometheus.labels.pool: api"
	r, err := l.ask(q, "api-1", "api-2", "api-3")
	if got := reads(r, l.now); err != nil || got != "api-1 0.6 1s, api-2 0.1 2s, newest 1s" {
		t.Errorf("reads %s: %v", got, err)
	}
	q.Field = "prometheus.metrics.requests_total" // Elasticsearch 8.10 and later averages it without a word
	if _, err := l.ask(q, "api-1"); err == nil || !strings.Contains(err.Error(), "prometheus.metrics.requests_total is a counter, whose avg says nothing of the load: read a gauge") {
		t.Errorf("a counter is averaged: %v", err)
	}
}

func TestWhatCannotBeReadSaysSo(t *testing.T) {
	l := newLab(t)
	l.write(l.load("api-1", time.Second, 0.5), l.doc("api-1", time.Second, `"message":"hello","word":"x"`))
	ask := func(change func(q *rules.Elastic)) rules.Elastic {
		q := l.simple()
		change(&q)
		return q
	}
	for _, c := range []struct {
		name  string
		q     rules.Elastic
		cause cause
		want  string
	}{
		{"a field that is not there", ask(func(q *rules.Elastic) { q.Field = "system.cpu.pct" }), unfit, "has the field system.cpu.pct: see its spelling"},
		{"a field that is a word", ask(func(q *rules.Elastic) { q.Field = "word" }), unfit, "word is of type keyword, and a number is wanted"},
		{"a field that is a date", ask(func(q *rules.Elastic) { q.Field = "@timestamp" }), unfit, "@timestamp is of type date, and a number is wanted"},
		{"a member field that is not there", ask(func(q *rules.Elastic) { q.By = "host.id" }), unfit, "has the field host.id"},
		{"a member field of text", ask(func(q *rules.Elastic) { q.By = "message" }), unfit, "message is of type text, which cannot tell members apart: write a keyword, perhaps message.keyword"},
		{"an index that is not there", ask(func(q *rules.Elastic) { q.Index = "nowhere" }), refused, "no such index [nowhere]: see index"},
		{"a wildcard without an index", ask(func(q *rules.Elastic) { q.Index = "nowhere-*" }), unfit, "no index is called nowhere-*"},
		{"a filter that is no Lucene", ask(func(q *rules.Elastic) { q.Filter = "a~^" }), refused, "see the filter, or the body"},
		{"a filter that nothing passes", ask(func(q *rules.Elastic) { q.Filter = "host.name: db-*" }), noData, "no data: no document of the last 2m has system.cpu.total.norm.pct, a present member in host.name, and passes the filter"},
		{"a member that is silent", l.simple(), noData, "no data: no document of the last 2m has system.cpu.total.norm.pct and a present member in host.name"},
		{"a body that is no search", rules.Elastic{Index: l.index, Every: time.Second, Body: `{"agsg":{}}`, ValuePath: "hits.total.value", TimePath: "aggregations.t.value"}, refused, "Unknown key for a START_OBJECT in [agsg]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := l.ask(c.q, "api-7")
			if err == nil || causeOf(err) != c.cause || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s (%+v)", err, c.want, r)
			}
			if errors.Is(err, rules.ErrNoData) != (c.cause == noData) {
				t.Errorf("no data is told wrongly: %v", err)
			}
		})
	}
	nobody := asker{search: nil, q: l.simple(), now: time.Now}
	if _, err := nobody.ask(t.Context(), []string{}); !errors.Is(err, rules.ErrNoData) {
		t.Errorf("without members: %v", err)
	}
}

func TestASearchOfOnesOwnIsReadAlongItsPaths(t *testing.T) {
	l := newLab(t)
	l.write(l.load("api-1", 5*time.Second, 0.2), l.load("api-1", 15*time.Second, 0.4), l.load("api-2", 20*time.Second, 0.5), l.load("db-1", time.Second, 1))
	for i := range 30 {
		l.write(l.doc("fat", time.Minute, fmt.Sprintf(`"message":%q`, strings.Repeat("x", 50_000)+fmt.Sprint(i))))
	}
	by := func(size int) string {
		return fmt.Sprintf(`{"query":{"exists":{"field":%q}},"aggs":{"by":{"terms":{"field":"host.name","size":%d,"order":{"_key":"asc"}},"aggs":{"cpu":{"percentiles":{"field":%q,"percents":[50]}},"newest":{"max":{"field":"@timestamp"}}}}}}`, cpu, size, cpu)
	}
	raw := func(body, value, member, at string) rules.Elastic {
		return rules.Elastic{Pool: "api", Index: l.index, Every: 30 * time.Second, Body: body, ValuePath: value, MemberPath: member, TimePath: at}
	}
	newest := `"newest":{"max":{"field":"@timestamp"}}`
	for _, c := range []struct {
		name string
		q    rules.Elastic
		want string // what is read, or a part of what is said
	}{
		{"a list by member", raw(by(10), "aggregations.by.buckets[*].cpu.values['50.0']", "key", "newest.value"), "api-1 0.3 5s, api-2 0.5 20s, newest 5s"},
		{"its times as text", raw(by(10), "aggregations.by.buckets[*].doc_count", "key", "newest.value_as_string"), "api-1 2 5s, api-2 1 20s, newest 5s"},
		{"one value for the pool, without a size", raw(`{"aggs":{`+newest+`}}`, "hits.total.value", "", "aggregations.newest.value"), " 34 0s, newest 1s"},
		{"the newest document itself", raw(`{"size":1,"sort":[{"@timestamp":"desc"}],"query":{"exists":{"field":"`+cpu+`"}}}`, "hits.hits[0]._source.system.cpu.total.norm.pct", "", "hits.hits[0]._source['@timestamp']"), " 1 0s, newest 1s"},
		{"a list that is cut short", raw(by(1), "aggregations.by.buckets[*].doc_count", "key", "newest.value"), "aggregations.by.buckets leaves members out"},
		{"a value that is not there", raw(by(9), "aggregations.by.value", "", "aggregations.by.value"), "value_path: aggregations.by.value is not in the answer"},
		{"a list that is none", raw(by(9), "aggregations.by[*].doc_count", "key", "newest.value"), "aggregations.by is no list"},
		{"a member that is no name", raw(by(9), "aggregations.by.buckets[*].doc_count", "doc_count", "newest.value"), "doc_count is no name"},
		{"a time that is none", raw(by(9), "aggregations.by.buckets[*].doc_count", "key", "key"), "key is no time"},
		{"a value that is no number", raw(by(9), "aggregations.by.buckets[*].key", "key", "newest.value"), "key is no number"},
		{"an aggregation over nothing", raw(`{"query":{"term":{"host.name":"gone"}},"aggs":{"v":{"avg":{"field":"`+cpu+`"}},`+newest+`}}`, "aggregations.v.value", "", "aggregations.newest.value"), "no data: the answer has no value with a time"},
		{"whole documents", raw(`{"size":30,"sort":[{"@timestamp":"asc"}]}`, "hits.total.value", "", "hits.hits[0]._source['@timestamp']"), "it answers with more than 1 MB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := l.ask(c.q, "api-1", "api-2")
			got := reads(r, l.now)
			if c.q.MemberPath == "" && err == nil {
				got = fmt.Sprintf(" %.3g 0s, newest %s", r.Points[0].Value, l.now.Sub(r.Newest))
			}
			if err != nil {
				got = err.Error()
			}
			if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
				t.Errorf("reads %s, want %s", got, c.want)
			}
		})
	}
}

// spoil is a server before the real one that changes its answers.
func (l *lab) spoil(change func(a map[string]any)) string {
	target, err := url.Parse(l.url)
	if err != nil {
		l.t.Fatal(err)
	}
	p := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Header.Del("Accept-Encoding") },
		ModifyResponse: func(r *http.Response) error {
			var a map[string]any
			if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
				return err
			}
			change(a)
			b, err := json.Marshal(a)
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
			r.Header.Del("Content-Length")
			return err
		},
	}
	s := httptest.NewServer(p)
	l.t.Cleanup(s.Close)
	return s.URL
}

func TestAnAnswerInPartIsNone(t *testing.T) {
	l := newLab(t)
	l.write(l.load("api-1", time.Second, 0.01), l.load("api-2", time.Second, 0.01))
	raw := rules.Elastic{Pool: "api", Index: l.index, Every: 30 * time.Second, Body: `{"aggs":{"n":{"max":{"field":"@timestamp"}}}}`, ValuePath: "hits.total.value", TimePath: "aggregations.n.value"}
	set := func(part, name string, value any) func(map[string]any) {
		return func(a map[string]any) {
			if part == "" {
				a[name] = value
				return
			}
			m, _ := a[part].(map[string]any)
			if m == nil {
				m = map[string]any{}
				a[part] = m
			}
			m[name] = value
		}
	}
	for _, c := range []struct {
		name   string
		change func(map[string]any)
		cause  cause
		want   string
	}{
		{"cut off by time", set("", "timed_out", true), partial, "only a part was searched in time"},
		{"shards failed", set("_shards", "failed", 1), partial, "1 of 1 shards failed"},
		{"clusters were skipped", set("_clusters", "skipped", 1), partial, "1 of the clusters did not answer in full"},
		{"clusters answered in part", set("_clusters", "partial", 2), partial, "2 of the clusters did not answer in full"},
		{"nothing that a search answers", set("", "_shards", nil), unreadable, "not one to a search"},
	} {
		for form, q := range map[string]rules.Elastic{"simple": l.simple(), "raw": raw} {
			t.Run(form+" "+c.name, func(t *testing.T) {
				a := asker{search: connect(t, l.spoil(c.change)), q: q, now: func() time.Time { return l.now }}
				r, err := a.ask(t.Context(), []string{"api-1", "api-2"})
				if err == nil || causeOf(err) != c.cause || !strings.Contains(err.Error(), c.want) || len(r.Points) > 0 {
					t.Errorf("%v, want %s (%+v)", err, c.want, r)
				}
			})
		}
	}
	others := l.spoil(func(a map[string]any) {
		if aggs, ok := a["aggregations"].(map[string]any); ok {
			aggs["by"].(map[string]any)["sum_other_doc_count"] = 3
		}
	})
	a := asker{search: connect(t, others), q: l.simple(), now: func() time.Time { return l.now }}
	if _, err := a.ask(t.Context(), nil); err == nil || causeOf(err) != partial {
		t.Errorf("members were cut off: %v", err)
	}
}

func TestAHungOrCutConnectionHoldsNobodyUp(t *testing.T) {
	l := newLab(t)
	l.write(l.load("api-1", time.Second, 0.25))
	p := testservers.StartProxy(t, strings.TrimPrefix(l.url, "http://"))
	q := l.simple()
	q.Every = time.Second
	s := New(Options{Search: connect(t, "http://"+p.Addr()), Members: func(string) []string { return []string{"api-1"} }})
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	}()
	until := func(want string) {
		t.Helper()
		deadline := time.Now().Add(20 * time.Second)
		for {
			began := time.Now()
			r, err := s.Query(ctx, q, time.Now())
			if took := time.Since(began); took > firstWait+500*time.Millisecond {
				t.Fatalf("a judgement was held up for %s", took)
			}
			got := "ok"
			if err != nil {
				got = string(causeOf(err))
			} else if diff := cmp.Diff([]rules.Point{{Member: "api-1", Value: 0.25}}, r.Points); diff != "" {
				t.Fatal(diff)
			}
			if got == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("it does not come to %s but to %s: %v", want, got, err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	until("ok")
	p.Hang()
	until("timeout")
	p.Restore(t)
	until("ok")
	p.Cut()
	until("unreachable")
	p.Restore(t)
	until("ok")
}
