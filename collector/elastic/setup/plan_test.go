package setup

import (
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
