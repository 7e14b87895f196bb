package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flyball/collector/elastic/cluster"
	"flyball/collector/elastic/query"
	"flyball/deploy/testservers"
	"flyball/rules"
	"flyball/rules/source"
)

// elasticExample is a rule that is judged from Elasticsearch, as users copy it.
const elasticExample = "deploy/examples/elastic"

// A thesis is the example, a real Elasticsearch, and hosts that report to it.
type thesis struct {
	*testing.T
	cluster cluster.Config
	rule    rules.Scale
	now     time.Time
}

const thesisIndex = "metricbeat-8.19.0-thesis"

func newThesis(t *testing.T) *thesis {
	t.Helper()
	c, ps := LoadConfig(filepath.Join(elasticExample, "flyball.yaml"))
	if len(ps) > 0 {
		t.Fatal(source.Problems(ps))
	}
	set, ps := source.Load(c.Rules.Dir, c.Known())
	if len(ps) > 0 {
		t.Fatal(source.Problems(ps))
	}
	x := &thesis{T: t, cluster: c.Elasticsearch.Config, rule: set.Scale[0], now: time.Now().UTC().Truncate(time.Millisecond)}
	x.rule.Mode = rules.Act
	x.cluster.URLs = []string{testservers.SharedElasticsearch(t).URL()}
	x.send(http.MethodPut, "/_index_template/thesis", `{"index_patterns":["`+thesisIndex+`"],"priority":500,"template":{"settings":{"number_of_replicas":0},"mappings":{
"dynamic_templates":[{"words":{"match_mapping_type":"string","mapping":{"type":"keyword","ignore_above":1024}}},{"numbers":{"match_mapping_type":"double","mapping":{"type":"double"}}}],
"properties":{"@timestamp":{"type":"date"}}}}}`)
	t.Cleanup(func() { x.send(http.MethodDelete, "/_index_template/thesis", "") })
	return x
}

// send asks the server itself; any status but a success ends the test.
func (x *thesis) send(method, path, body string) string {
	x.Helper()
	r, err := http.NewRequest(method, x.cluster.URLs[0]+path, strings.NewReader(body))
	if err != nil {
		x.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		x.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil || a.StatusCode >= 300 || strings.Contains(string(text), `"errors":true`) {
		x.Fatalf("%s %s: %d %s %v", method, path, a.StatusCode, text, err)
	}
	return string(text)
}

// A reporter told its load every 10 s, from one age to another.
type reporter struct {
	name        string
	load        float64
	first, last time.Duration
}

// fresh are hosts that reported for three minutes, until 5 s ago.
func fresh(load float64, names ...string) []reporter {
	var hs []reporter
	for _, n := range names {
		hs = append(hs, reporter{n, load, 3 * time.Minute, 5 * time.Second})
	}
	return hs
}

// report writes what Metricbeat 8 writes for the module system, metricset cpu and,
// so that there are other documents of the same hosts, load.
func (x *thesis) report(hosts []reporter) {
	x.Helper()
	var b strings.Builder
	for _, h := range hosts {
		for age := h.last; age <= h.first; age += 10 * time.Second {
			at := x.now.Add(-age)
			common := fmt.Sprintf(`"@timestamp":%q,"agent":{"ephemeral_id":"0e5c","id":"b1f3","name":%q,"type":"metricbeat","version":"8.19.0"},"ecs":{"version":"8.0.0"},"host":{"name":%[2]q},"service":{"type":"system"}`,
				at.Format("2006-01-02T15:04:05.000Z"), h.name)
			fmt.Fprintf(&b, "{\"create\":{}}\n{%s,\"event\":{\"dataset\":\"system.cpu\",\"duration\":241334,\"module\":\"system\"},\"metricset\":{\"name\":\"cpu\",\"period\":10000},"+
				"\"system\":{\"cpu\":{\"cores\":2,\"idle\":{\"norm\":{\"pct\":%g},\"pct\":%g},\"total\":{\"norm\":{\"pct\":%g},\"pct\":%g}}}}\n",
				common, 1-h.load, 2*(1-h.load), h.load, 2*h.load)
			fmt.Fprintf(&b, "{\"create\":{}}\n{%s,\"event\":{\"dataset\":\"system.load\",\"duration\":1334,\"module\":\"system\"},\"metricset\":{\"name\":\"load\",\"period\":10000},\"system\":{\"load\":{\"1\":0.02,\"cores\":2}}}\n", common)
		}
	}
	x.send(http.MethodPost, "/"+thesisIndex+"/_bulk?refresh=true", b.String())
}

// read asks the example's question as the service does, by way of an address.
func (x *thesis) read(address string, members []rules.Member) rules.Answer {
	x.Helper()
	config := x.cluster
	config.URLs = []string{address}
	c, err := cluster.New(config, cluster.Options{})
	if err != nil {
		x.Fatal(err)
	}
	defer c.Close()
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = m.Name
	}
	q := query.New(query.Options{Search: c, Members: func(string) []string { return names }, Now: func() time.Time { return x.now }})
	ctx, stop := context.WithCancel(x.Context())
	ran := make(chan error, 1)
	go func() { ran <- q.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ran; err != nil {
			x.Error(err)
		}
	}()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		r, err := q.Query(ctx, x.rule.Signals[0].Query, x.now)
		switch {
		case err == nil:
			return rules.Answer{Reading: r}
		case !strings.Contains(err.Error(), "not answered yet") || time.Now().After(deadline):
			return rules.Answer{Err: err.Error()}
		}
	}
}

// api are n members that have been ready for an hour.
func (x *thesis) api(n int) []rules.Member {
	var ms []rules.Member
	for i := range n {
		name := fmt.Sprintf("api-%d", i+1)
		ms = append(ms, rules.Member{ID: rules.MemberID(name), Name: name, State: rules.Ready, Since: x.now.Add(-time.Hour)})
	}
	return ms
}

// inPart is an address whose answers say that they are not whole.
func (x *thesis) inPart(change func(a map[string]any)) string {
	target, err := url.Parse(x.cluster.URLs[0])
	if err != nil {
		x.Fatal(err)
	}
	s := httptest.NewServer(&httputil.ReverseProxy{
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
	})
	x.Cleanup(s.Close)
	return s.URL
}

func TestTheElasticExampleDecidesByTheMeanOfItsPresentHosts(t *testing.T) {
	x := newThesis(t)
	all := []string{"api-1", "api-2", "api-3", "api-4"}
	real := x.cluster.URLs[0]
	timedOut := x.inPart(func(a map[string]any) { a["timed_out"] = true })
	shards := x.inPart(func(a map[string]any) {
		if s, ok := a["_shards"].(map[string]any); ok {
			s["failed"] = 1
		}
	})
	gone := "http://" + freeAddress(t)
	silent := reporter{"api-4", 0.05, 10 * time.Minute, 3 * time.Minute} // since 3 minutes
	for _, c := range []struct {
		name    string
		size    int
		hosts   []reporter
		at      string
		want    string
		because string
	}{
		{"above 45 % it grows by one", 4, fresh(0.5, all...), real, "scale_out 5 signal", "0.50 > 0.45, adds 1"},
		{"the mean counts, not one host", 4, append(fresh(0.9, "api-1"), append(fresh(0.3, "api-2"), fresh(0.2, all[2:]...)...)...), real, "keep 4 in_band", "0.10 <= 0.40 <= 0.45"},
		{"between the two it rests", 4, fresh(0.3, all...), real, "keep 4 in_band", "0.10 <= 0.30 <= 0.45"},
		{"below 10 % it shrinks by one", 4, fresh(0.05, all...), real, "scale_in 3 signal", "0.05 < 0.10"},
		{"busy hosts that were destroyed do not count", 4, append(fresh(0.05, all...), fresh(1, "api-7", "api-8")...), real, "scale_in 3 signal", "0.05 < 0.10"},
		{"idle hosts that were destroyed do not count", 4, append(fresh(0.5, all...), fresh(0, "api-7", "api-8", "api-9")...), real, "scale_out 5 signal", "0.50 > 0.45"},
		{"other hosts do not count", 4, append(fresh(0.3, all...), fresh(1, "db-1", "db-2", "db-3", "db-4")...), real, "keep 4 in_band", "0.10 <= 0.30 <= 0.45"},
		{"a host that came late has its mean of what it has", 2, append(fresh(0.6, "api-1"), reporter{"api-2", 0.4, 20 * time.Second, 5 * time.Second}), real, "scale_out 3 signal", "0.50 > 0.45"},
		{"one silent host of four is low coverage", 4, append(fresh(0.05, all[:3]...), silent), real, "keep 4 low_coverage", "3 of 4 members heard of"},
		{"one silent host of five counts as busy", 5, append(fresh(0.05, "api-1", "api-2", "api-3", "api-5"), silent), real, "keep 5 in_band", "1 that may be busy"},
		{"silence does not keep it from growing", 4, append(fresh(0.9, all[:3]...), silent), real, "scale_out 5 signal", "0.90 > 0.45"},
		{"a shipper that is slow is still heard", 4, hostsAt(0.05, 100*time.Second, all...), real, "scale_in 3 signal", "0.05 < 0.10"},
		{"a dead shipper is missing data", 4, hostsAt(0.01, 4*time.Minute, all...), real, "keep 4 missing_data", "no document of the last 2m has system.cpu.total.norm.pct"},
		{"an answer that was cut off by time is missing data", 4, fresh(0.01, all...), timedOut, "keep 4 missing_data", "only a part was searched in time"},
		{"an answer without some shards is missing data", 4, fresh(0.01, all...), shards, "keep 4 missing_data", "shards failed"},
		{"an Elasticsearch that is away is missing data", 4, fresh(0.01, all...), gone, "keep 4 missing_data", "connection refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := *x
			x.T = t
			x.report(c.hosts)
			defer x.send(http.MethodDelete, "/"+thesisIndex, "")
			members := x.api(c.size)
			in := rules.Inputs{Members: members, Terms: rules.Terms{Names: true, Victims: true}, Answers: []rules.Answer{x.read(c.at, members)}}
			before := rules.Memory{Version: rules.MemoryVersion, Judged: x.now.Add(-time.Second)}
			d, _ := rules.Decide(x.rule, in, before, x.now)
			if got := fmt.Sprintf("%s %d %s", d.Verdict, d.To, d.Reason); got != c.want {
				t.Errorf("decided %s, want %s\n%s", got, c.want, d.Explain())
			}
			if !strings.Contains(d.Signals[0].Because, c.because) {
				t.Errorf("because %q lacks %q", d.Signals[0].Because, c.because)
			}
		})
	}
}

// hostsAt are hosts that fell silent some time ago.
func hostsAt(load float64, last time.Duration, names ...string) []reporter {
	var hs []reporter
	for _, n := range names {
		hs = append(hs, reporter{n, load, last + time.Minute, last})
	}
	return hs
}

// A filter that is refused at load is one that Elasticsearch refuses, too, but for
// the operators of Kibana's language, which it takes for words.
func TestAFilterIsRefusedOnlyIfElasticsearchRefusesIt(t *testing.T) {
	x := newThesis(t)
	x.report(fresh(0.5, "api-1"))
	defer x.send(http.MethodDelete, "/"+thesisIndex, "")
	text, err := os.ReadFile(filepath.Join(elasticExample, "rules", "api.scale.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, c := range []struct {
		filter string
		want   bool // whether both take it
	}{
		{`host.name: api-*`, true},
		{`host.name:api-* AND (a:b OR NOT c:"d")`, true},
		{`*:*`, true},
		{`_exists_:host.name AND x:>=0.5`, true},
		{`x:[1 TO 5} OR y:{* TO "x"]`, true},
		{`+host.name:(api-1 api-2) -tags:/te.t/`, true},
		{`"a phrase"~2 term~ term^2 !no`, true},
		{`url.path:\/health a\:b \(c\) \"`, true},
		{`a && b || c`, true},
		{`a - b`, true},
		{`&&a`, true},
		{`(a OR b`, false},
		{`a) OR b`, false},
		{`a AND ()`, false},
		{`a "b`, false},
		{`a:/b`, false},
		{`a:[1 TO 5`, false},
		{`a:[1 TO ]`, false},
		{`a:1]`, false},
		{`a AND`, false},
		{`a AND OR b`, false},
		{`NOT`, false},
		{`OR a`, false},
		{`a:`, false},
		{`a:b:c`, false},
		{`a -`, false},
		{`a \`, false},
	} {
		body, err := json.Marshal(map[string]any{"query": map[string]any{"query_string": map[string]any{"query": c.filter}}})
		if err != nil {
			t.Fatal(err)
		}
		theirs := strings.Contains(x.send(http.MethodPost, "/"+thesisIndex+"/_validate/query", string(body)), `"valid":true`)
		rule := strings.Replace(string(text), "'host.name: api-*'", "'"+c.filter+"'", 1)
		if err := os.WriteFile(filepath.Join(dir, "api.scale.yaml"), []byte(rule), 0o600); err != nil {
			t.Fatal(err)
		}
		_, ps := source.Load(dir, source.Known{})
		if ours := len(ps) == 0; ours != c.want || theirs != c.want {
			t.Errorf("%s: we take it: %v, Elasticsearch: %v, want %v: %v", c.filter, ours, theirs, c.want, source.Problems(ps))
		}
	}
}
