package main

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"flyball/rules/source"
)

var update = flag.Bool("update", false, "write the .want files anew")

// TestEveryMistakeOfAConfigurationIsTold runs the wrong flyball.yaml; package
// source runs the wrong rule files beside them.
func TestEveryMistakeOfAConfigurationIsTold(t *testing.T) {
	const bad = "testdata/config/bad"
	files, err := filepath.Glob(filepath.Join(bad, "flyball_*.yaml"))
	if err != nil || len(files) < 25 {
		t.Fatalf("%d files to try: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, ps := LoadConfig(file)
			if len(ps) == 0 {
				t.Fatal("no problem was found")
			}
			got := strings.ReplaceAll(source.Problems(ps).Error(), bad+"/", "") + "\n"
			if *update {
				if err := os.WriteFile(file+".want", []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file + ".want")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("what is said differs (-want +got):\n%s", diff)
			}
		})
	}
}

// good loads a good configuration and its rules.
func good(t *testing.T, name string) (Config, *source.Set) {
	t.Helper()
	c, ps := LoadConfig(filepath.Join("testdata/config/good", name, "flyball.yaml"))
	if len(ps) > 0 {
		t.Fatal(source.Problems(ps))
	}
	set, ps := source.Load(c.Rules.Dir, c.Known())
	if len(ps) > 0 {
		t.Fatal(source.Problems(ps))
	}
	return c, set
}

func TestGoodConfigurationsLoad(t *testing.T) {
	names, err := os.ReadDir("testdata/config/good")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		t.Run(n.Name(), func(t *testing.T) { good(t, n.Name()) })
	}
}

func TestAWholeConfigurationIsReadAsWritten(t *testing.T) {
	c, set := good(t, "whole")
	p := c.Prometheus
	if got := time.Duration(p.GlobalConfig.ScrapeInterval); got != 5*time.Second {
		t.Errorf("scrape interval %s", got)
	}
	if got := p.GlobalConfig.ExternalLabels.Get("site"); got != "ams3" {
		t.Errorf("external label site is %q", got)
	}
	if len(p.ScrapeConfigs) != 2 || len(p.ScrapeConfigs[1].ServiceDiscoveryConfigs) != 1 {
		t.Errorf("scrape configurations: %v", p.ScrapeConfigs)
	}
	if want := filepath.Join("testdata/config/good/whole", "data"); c.Data != want {
		t.Errorf("data is %s, want %s", c.Data, want)
	}
	if want := (Limits{Series: 200000, Scrape: 10000}); c.Limits != want {
		t.Errorf("limits are %+v", c.Limits)
	}
	if len(set.Groups) != 1 || len(set.Scale) != 1 || set.Scale[0].Missing.Stale != 15*time.Second {
		t.Errorf("rules: %+v", set)
	}
}

func TestWithoutAFileThisHostIsWatched(t *testing.T) {
	c := DefaultConfig()
	if c.Listen != "127.0.0.1:9480" || c.Data != "data" || c.Rules.Dir != "rules" || c.Collect.Host == nil {
		t.Errorf("defaults: %+v", c)
	}
	if got := c.Known().Interval; got != 15*time.Second {
		t.Errorf("interval %s", got)
	}
	empty, _ := good(t, "empty")
	if empty.Listen != c.Listen || empty.Limits != c.Limits || empty.Collect.Host == nil {
		t.Errorf("an empty file has other defaults: %+v", empty)
	}
	if off, _ := good(t, "no_host"); off.Collect.Host != nil {
		t.Error("host: none leaves the host watched")
	}
}

func TestAMissingFileIsAProblem(t *testing.T) {
	_, ps := LoadConfig(filepath.Join(t.TempDir(), "flyball.yaml"))
	if len(ps) != 1 || ps[0].Line != 0 {
		t.Errorf("problems: %v", ps)
	}
}

func TestProblemsTellNoSecret(t *testing.T) {
	_, ps := LoadConfig("testdata/config/bad/flyball_secret.yaml")
	if text := source.Problems(ps).Error(); strings.Contains(text, "hunter2") {
		t.Errorf("a password is told:\n%s", text)
	}
}

// TestTheSchemaSaysWhatItSaid shows in a diff of its file what editors are told anew.
func TestTheSchemaSaysWhatItSaid(t *testing.T) {
	const file = "testdata/config/flyball.schema.json"
	got := configSchema()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("the schema differs; go test -run %s -update writes it anew (-want +got):\n%s", t.Name(), diff)
	}
}

// schema compiles a published schema.
func schema(t *testing.T, b []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSchemasAcceptGoodFilesAndRefuseWrongOnes(t *testing.T) {
	schemas := map[string]*jsonschema.Schema{
		"flyball.yaml": schema(t, configSchema()), "web.scale.yaml": schema(t, source.ScaleSchema()),
	}
	files, err := filepath.Glob("testdata/config/good/*/flyball.yaml")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("testdata/config/good/*/rules/*.scale.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, more...) {
		v := value(t, file)
		if v == nil {
			continue // an empty file
		}
		s := schemas[filepath.Base(file)]
		if err := s.Validate(v); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		v.(map[string]any)["unknown"] = 1.0
		if s.Validate(v) == nil {
			t.Errorf("%s: an unknown field passes", file)
		}
	}
}

// value is a YAML file as JSON has it.
func value(t *testing.T, file string) any {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := yaml.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	j, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jsonschema.UnmarshalJSON(strings.NewReader(string(j)))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEveryFieldIsDescribed(t *testing.T) {
	for _, b := range [][]byte{configSchema(), source.ScaleSchema()} {
		var s map[string]any
		if err := json.Unmarshal(b, &s); err != nil {
			t.Fatal(err)
		}
		described(t, s, s["title"].(string))
	}
}

// described checks that every property below a schema has a description.
func described(t *testing.T, s map[string]any, path string) {
	t.Helper()
	for key, v := range s {
		switch v := v.(type) {
		case map[string]any:
			if key == "properties" {
				for name, p := range v {
					if p.(map[string]any)["description"] == nil {
						t.Errorf("%s.%s has no description", path, name)
					}
				}
			}
			described(t, v, path+"."+key)
		case []any:
			for _, x := range v {
				if m, ok := x.(map[string]any); ok {
					described(t, m, path)
				}
			}
		}
	}
}

func TestWhatCouldNotBeReadIsNotJudged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "flyball.yaml")
	if err := os.WriteFile(file, []byte("listen: [a]\nlimits: {series: -1}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, ps := LoadConfig(file)
	if len(ps) != 2 || ps[0].Path != "$.listen" || ps[1].Path != "$.limits.series" {
		t.Errorf("problems:\n%s", source.Problems(ps))
	}
}

func FuzzConfig(f *testing.F) {
	for _, pattern := range []string{"bad/flyball_*.yaml", "good/*/flyball.yaml"} {
		files, err := filepath.Glob("testdata/config/" + pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, ps := readConfig("flyball.yaml", b)
		if len(ps) == 0 && (c.Prometheus == nil || c.Listen == "" || c.Data == "") {
			t.Errorf("a configuration that is none passes: %+v", c)
		}
		_, _ = c.Known(), source.Problems(ps).Error()
	})
}
