package source

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flyball/rules"
)

// signalOf loads a rule of one signal, whose fields are given.
func signalOf(t *testing.T, fields string) rules.Signal {
	t.Helper()
	text := "scale:\n  web:\n    min: 2\n    max: 20\n    signals:\n      load:\n        " + strings.ReplaceAll(strings.TrimSpace(fields), "\n", "\n        ") + "\n"
	return load(t, folder(t, map[string]string{"web.scale.yaml": text}), under()).Scale[0].Signals[0]
}

func TestASignalFromElasticsearchIsReadAsWritten(t *testing.T) {
	const body = `{"aggs":{"by":{"aggs":{"load":{"avg":{"field":"load"}},"newest":{"max":{"field":"@timestamp"}}},"terms":{"field":"host.name","size":500}}},"query":{"range":{"@timestamp":{"gte":"now-2m"}}},"size":0}`
	simple := rules.Elastic{
		Pool: "web", Index: "metrics-*", Every: 30 * time.Second,
		Fold: "avg", Field: "system.cpu.total.norm.pct", By: "host.name", Over: 2 * time.Minute,
	}
	whole := rules.Elastic{
		Pool: "web", Index: "metricbeat-*,-metricbeat-test", Every: 15 * time.Second,
		Filter: "host.name: api-* AND NOT tags: test", Fold: "max", Field: "load", By: "prometheus.labels.member", Over: 90 * time.Second,
	}
	raw := rules.Elastic{
		Pool: "web", Index: "metrics-*", Every: 30 * time.Second, Body: body,
		ValuePath: "aggregations.by.buckets[*].load.value", MemberPath: "key", TimePath: "newest.value",
	}
	one := rules.Elastic{
		Pool: "web", Index: "metrics-*", Every: 30 * time.Second, Body: `{"aggs":{"newest":{"max":{"field":"@timestamp"}}},"track_total_hits":true}`,
		ValuePath: "hits.total.value", TimePath: "aggregations.newest.value",
	}
	paths := "\nvalue_path: aggregations.by.buckets[*].load.value\nmember_path: key\ntime_path: newest.value\ntarget: 60%"
	for name, c := range map[string]struct {
		fields string
		want   rules.Signal
	}{
		"defaults": {
			"source: elastic\nindex: metrics-*\navg: system.cpu.total.norm.pct\ntarget: 60%",
			rules.Signal{Query: simple, Scope: rules.PerMember, Unit: "percent", Target: 0.6, Stale: 150 * time.Second},
		},
		"all of it": {
			"source: elastic\nindex: metricbeat-*,-metricbeat-test\nfilter: 'host.name: api-* AND NOT tags: test'\nmax: load\nby: prometheus.labels.member\nover: 90s\nevery: 15s\nstale: 5m\nper_member: 80",
			rules.Signal{Query: whole, Scope: rules.PerMember, Share: 80, Stale: 5 * time.Minute},
		},
		"a band over the members": {
			"source: elastic\nindex: metrics-*\navg: system.cpu.total.norm.pct\nout: {above: 45%, add: 1}\nin: {below: 10%}",
			rules.Signal{Query: simple, Scope: rules.PerMember, Unit: "percent", Stale: 150 * time.Second, Band: &rules.Band{Above: 0.45, Add: rules.Amount{Members: 1}, Below: 0.1}},
		},
		"a search as JSON": {
			"source: elastic\nindex: metrics-*\nbody: |\n  " + body + paths,
			rules.Signal{Query: raw, Scope: rules.PerMember, Unit: "percent", Target: 0.6, Stale: 150 * time.Second},
		},
		"a search as YAML": {
			`source: elastic
index: metrics-*
body:
  query: {range: {"@timestamp": {gte: now-2m}}}
  size: 0
  aggs:
    by:
      terms: {field: host.name, size: 500}
      aggs: {newest: {max: {field: "@timestamp"}}, load: {avg: {field: load}}}` + paths,
			rules.Signal{Query: raw, Scope: rules.PerMember, Unit: "percent", Target: 0.6, Stale: 150 * time.Second},
		},
		"one value for the pool": {
			"source: elastic\nindex: metrics-*\nbody: {track_total_hits: true, aggs: {newest: {max: {field: '@timestamp'}}}}\nvalue_path: hits.total.value\ntime_path: aggregations.newest.value\nper_member: 80",
			rules.Signal{Query: one, Scope: rules.WholePool, Share: 80, Stale: 150 * time.Second},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.Name, c.want.Rule, c.want.Expr = "load", "web.scale.yaml:6", c.want.Query.(rules.Elastic).String()
			if diff := cmp.Diff(c.want, signalOf(t, c.fields)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestASearchIsTheSameHoweverItIsWritten(t *testing.T) {
	for yaml, want := range map[string]string{
		"{a: 1, b: [1.50, -2.5, null, true, '1', x], c: {}}":   `{"a":1,"b":[1.50,-2.5,null,true,"1","x"],"c":{}}`,
		"&x {a: {b: <tag> & more}}":                            `{"a":{"b":"<tag> & more"}}`,
		"{q: &q {m: 1}, r: *q, s: {<<: *q, n: 2}}":             `{"q":{"m":1},"r":{"m":1},"s":{"m":1,"n":2}}`,
		`'{"b": 12345678901234567890, "a": "é"}'`:              `{"a":"é","b":12345678901234567890}`,
		"{time: 2026-11-21T10:00:00Z, date: 2026-11-21, n: ~}": `{"date":"2026-11-21","n":null,"time":"2026-11-21T10:00:00Z"}`,
	} {
		got, ps := Decode[struct {
			Body searchBody `yaml:"body"`
		}]("f.yaml", []byte("body: "+yaml+"\n"))
		if len(ps) > 0 || string(got.Body) != want {
			t.Errorf("%s is %s, want %s: %v", yaml, got.Body, want, Problems(ps))
		}
	}
}

func TestWithoutAnElasticsearchNoSignalIsReadFromIt(t *testing.T) {
	dir := folder(t, map[string]string{"web.scale.yaml": `scale:
  web:
    min: 2
    max: 20
    signals:
      cpu: {source: elastic, index: metrics-*, avg: system.cpu.total.norm.pct, target: 60%}
`})
	k := under()
	k.Elastic = false
	_, ps := Load(dir, k)
	if len(ps) != 1 || !strings.Contains(ps[0].Error(), "web.scale.yaml:6:21: scale.web.signals.cpu.source: there is no Elasticsearch to read from") || !strings.Contains(ps[0].Hint, "elasticsearch: {urls:") {
		t.Errorf("told is %v", Problems(ps))
	}
	load(t, dir, Known{Interval: time.Second}) // a configuration that is not known may have one
}

// filters are filters in Lucene's syntax with what is wrong with each; "" if
// nothing is. Package query asks Elasticsearch itself about such.
func TestAFilterThatCannotBeReadIsToldWithItsPlace(t *testing.T) {
	for text, want := range map[string]string{
		`host.name: api-*`:                       ``,
		`host.name:api-* AND (a:b OR NOT c:"d")`: ``,
		`*:*`:                                    ``,
		`_exists_:load AND load:>=0.5`:           ``,
		`load:[1 TO 5} OR load:{* TO "x"]`:       ``,
		`+host.name:(api-1 api-2) -tags:/te.t/`:  ``,
		`"a phrase"~2 term~ term^2 !no`:          ``,
		`url.path:\/health a\:b \(c\) \"`:        ``,
		`a:["1 TO 5]`:                            ``,
		`brown fox`:                              ``,
		`a && b || c`:                            ``,
		`@timestamp:[now-1d/d TO now]`:           ``,

		`(a OR b`:      `1: the parenthesis is not closed`,
		`a) OR b`:      `2: a parenthesis is closed that was not opened`,
		`a AND ()`:     `7: the parentheses are empty`,
		`a "b`:         `3: the quote is not closed`,
		`a:"b\"`:       `3: the quote is not closed`,
		`a:/b`:         `3: the regular expression is not closed`,
		`/var/log/a`:   `9: the regular expression is not closed`,
		`a:[1 TO 5`:    `3: the range is not closed`,
		`a:[1 TO ]`:    `3: the range lacks one of its ends`,
		`a:1]`:         `4: a range ends that did not begin`,
		`a AND`:        `3: nothing follows AND`,
		`a AND OR b`:   `3: nothing follows AND`,
		`(a OR) b`:     `4: nothing follows OR`,
		`NOT`:          `1: nothing follows NOT`,
		`OR a`:         `1: nothing stands before OR`,
		`(&& a)`:       `2: nothing stands before &&`,
		`a:`:           `2: nothing follows a colon`,
		`a:b:c`:        `4: a second colon`,
		`: a`:          `1: no field stands before the colon`,
		`a -`:          `3: nothing follows -`,
		`a \`:          `3: nothing follows the backslash`,
		`a and b`:      `3: Lucene takes and for a word to look for`,
		`not a`:        `1: Lucene takes not for a word to look for`,
		`a:x "and" or`: `11: Lucene takes or for a word to look for`,
	} {
		f, got := filter{text: text}, ""
		if m := f.check(); m != nil {
			got = itoa(f.at+1) + ": " + m.Text
			if m.Hint == "" {
				t.Errorf("%s: no hint", text)
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestTheSchemaKnowsSignalsFromElasticsearch(t *testing.T) {
	var schema any
	if err := json.Unmarshal(ScaleSchema(), &schema); err != nil {
		t.Fatal(err)
	}
	path, err := rules.ParsePath("properties.scale.additionalProperties.properties.signals.additionalProperties.anyOf[1].properties")
	if err != nil {
		t.Fatal(err)
	}
	fields, err := path.In(schema)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(elasticFields(), "source") {
		f, _ := fields.(map[string]any)[name].(map[string]any)
		if f["description"] == nil {
			t.Errorf("%s has no description: %v", name, f)
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{`host.name: api-* AND (a:b OR NOT c:"d")`, `a:[1 TO 5}`, `/a/ \`, `a && (b || !c)`, "and"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		x := filter{text: text}
		if m := x.check(); m != nil && (x.at < 0 || x.at > len(text) || m.Text == "" || m.Hint == "") {
			t.Errorf("%q at %d of %d: %+v", text, x.at, len(text), m)
		}
	})
}

func FuzzSearch(f *testing.F) {
	for _, s := range []string{"{a: [1, x]}", "|\n  {\"a\": 1}\n", "&a {b: *a}", "{<<: {a: 1}}", "[", "'{'", "!!x 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file := []byte("body: " + text + "\n")
		got, ps := Decode[struct {
			Body searchBody `yaml:"body"`
		}]("f.yaml", file)
		checkProblems(t, file, ps)
		if len(ps) > 0 || got.Body == "" {
			return
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(got.Body), &m); err != nil || strings.ContainsAny(string(got.Body), "\n") {
			t.Errorf("%q is %q: %v", text, got.Body, err)
		}
		got.Body.aggregations()
	})
}
