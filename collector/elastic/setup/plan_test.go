package setup

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

func days(n int) model.Duration { return model.Duration(time.Duration(n) * 24 * time.Hour) }

func TestWhatElasticsearchGivesBackHasTheHashItWasWrittenWith(t *testing.T) {
	a := server(t)
	s := Streams{Namespace: "hash", Retention: days(30)}
	cpu := Dataset{
		Type: metrics, Name: "system.hash", TimeSeries: true, Dimensions: []string{"host.name", "system.core.id"},
		Fields: map[string]Field{
			"system.core.id":   {Type: "long"},
			"system.cpu.total": {Type: "double", Metric: "gauge", Unit: "percent"},
			"system.boot":      {Type: "date"}, "system.on": {Type: "boolean"}, "system.ip": {Type: "ip"},
		},
		Limit: 1_000_000,
	}
	ts := wanted(s, []Dataset{Samples(), Events(), cpu}, Version)
	for _, tt := range ts {
		r := tt.request()
		a.must(t, r.Method, r.Path, r.Body)
		answer := a.must(t, "GET", r.Path, nil)
		var there object
		for _, list := range answer {
			for _, v := range list.([]any) {
				for _, k := range []string{"component_template", "index_template"} {
					if c, ok := v.(object)[k].(object); ok {
						there = c
					}
				}
			}
		}
		want := there["_meta"].(object)["hash"]
		if got := hash(there); got != want {
			t.Errorf("%s: %s, was written with %s: %v", tt.name, got, want, normal(there))
		}
	}
}

func TestAPlanIsInOrderAndPrints(t *testing.T) {
	rs := Plan(Streams{Namespace: "default", Retention: days(30)}, []Dataset{Samples(), Events()})
	var paths []string
	for _, r := range rs {
		paths = append(paths, r.Method+" "+r.Path)
		if !json.Valid(r.Body) {
			t.Errorf("%s has the body %s", r.Path, r.Body)
		}
	}
	want := []string{
		"PUT /_component_template/flyball-default@lifecycle",
		"PUT /_component_template/flyball-metrics-prometheus.collector-default@shape",
		"PUT /_component_template/flyball-logs-flyball-default@shape",
		"PUT /_index_template/flyball-metrics-prometheus.collector-default",
		"PUT /_index_template/flyball-logs-flyball-default",
	}
	if !slices.Equal(paths, want) {
		t.Errorf("%q", paths)
	}
	text := rs[0].String()
	if !strings.HasPrefix(text, want[0]+"\n{\n  \"_meta\": {\n") || !strings.HasSuffix(text, "\n}\n") || !strings.Contains(text, `"data_retention": "30d"`) {
		t.Errorf("it prints\n%s", text)
	}
	for range 10 {
		if again := Plan(Streams{Namespace: "default", Retention: days(30)}, []Dataset{Samples(), Events()}); again[1].String() != rs[1].String() {
			t.Fatal("a plan differs from time to time")
		}
	}
}

func TestDurationsAreWrittenAsElasticsearchReadsThem(t *testing.T) {
	for d, want := range map[time.Duration]string{
		30 * 24 * time.Hour: "30d", 36 * time.Hour: "36h", 90 * time.Minute: "90m", 90 * time.Second: "90s", 1500 * time.Millisecond: "1500ms",
	} {
		if got := span(model.Duration(d)); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}

func TestPatternsOverlap(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"metrics-a-default", "metrics-a-default", true},
		{"metrics-*", "metrics-a-default", true},
		{"metrics-*-*", "metrics-a-default", true},
		{"*", "logs-flyball.*-default", true},
		{"logs-*-default", "logs-flyball.*-default", true},
		{"logs-flyball.scaling-*", "logs-flyball.*-default", true},
		{"logs-flyball-*", "logs-flyball.*-default", false},
		{"logs-flyball.*-other", "logs-flyball.*-default", false},
		{"metrics-a-default2", "metrics-a-default", false},
		{"", "*", true},
		{"", "a", false},
		{"*a", "b*", true},
		{"a*b", "a*c", false},
	} {
		if overlaps(tt.a, tt.b) != tt.want || overlaps(tt.b, tt.a) != tt.want {
			t.Errorf("%q and %q: want %v", tt.a, tt.b, tt.want)
		}
	}
}

func TestMistakesOfStreamsAreNamed(t *testing.T) {
	good := Streams{Namespace: "prod.eu_1", Retention: days(30)}
	for _, tt := range []struct {
		change func(*Streams)
		path   string
	}{
		{func(*Streams) {}, ""},
		{func(s *Streams) { s.Namespace = "" }, ".namespace"},
		{func(s *Streams) { s.Namespace = "Prod" }, ".namespace"},
		{func(s *Streams) { s.Namespace = "a-b" }, ".namespace"},
		{func(s *Streams) { s.Namespace = "a*" }, ".namespace"},
		{func(s *Streams) { s.Namespace = strings.Repeat("n", 101) }, ".namespace"},
		{func(s *Streams) { s.Retention = 0 }, ".retention"},
		{func(s *Streams) { s.Retention, s.ILMPolicy = 0, "ours" }, ""},
	} {
		s := good
		tt.change(&s)
		fs := s.Validate()
		if tt.path == "" && len(fs) != 0 || tt.path != "" && (len(fs) != 1 || fs[0].Path != tt.path || fs[0].Hint == "") {
			t.Errorf("%+v: %v, want %s", s, fs, tt.path)
		}
	}
}

func FuzzOverlaps(f *testing.F) {
	f.Add("metrics-*", "metrics-a-*", "metrics-a-default")
	f.Fuzz(func(t *testing.T, a, b, name string) {
		if strings.Contains(name, "*") || len(a)+len(b)+len(name) > 40 || strings.Count(a+b, "*") > 6 {
			return
		}
		if overlaps(a, name) && overlaps(b, name) && !overlaps(a, b) {
			t.Errorf("%q fits %q and %q, which are said not to overlap", name, a, b)
		}
		if overlaps(a, b) != overlaps(b, a) {
			t.Errorf("%q and %q", a, b)
		}
	})
}

func TestWhatWasDoneIsALineAndWhatWasLeftHasItsHintBelow(t *testing.T) {
	for want, r := range map[string]Result{
		"flyball-shop@lifecycle: as it should be":                                {Name: "flyball-shop@lifecycle", Done: Same},
		"metrics-system.cpu-shop: retention changed":                             {Name: "metrics-system.cpu-shop", Done: Retained},
		"flyball-shop@lifecycle: left alone: somebody changed it\n      move it": {Name: "flyball-shop@lifecycle", Done: Left, Why: "somebody changed it", Hint: "move it"},
	} {
		if got := fmt.Sprint(r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
