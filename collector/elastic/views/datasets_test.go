package views

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flyball/collector/elastic/setup"
)

func TestDatasetsHaveTheFieldsAndDimensionsOfTheirViews(t *testing.T) {
	vs, ps := Load(Config{Shipped: true})
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	byName := map[string]setup.Dataset{}
	for _, d := range Datasets(vs) {
		byName[d.Name] = d
		if !d.TimeSeries || d.Type != "metrics" {
			t.Errorf("%s is no time series of metrics", d.Name)
		}
		for _, name := range d.Dimensions {
			if d.Fields[name].Metric != "" {
				t.Errorf("%s: %s is a dimension and a metric", d.Name, name)
			}
		}
	}
	want := []string{
		"cassandra.metrics", "docker.cpu", "docker.diskio", "docker.memory", "docker.network", "haproxy.info", "haproxy.stat",
		"postgresql.bgwriter", "postgresql.database", "system.cpu", "system.diskio", "system.filesystem", "system.load",
		"system.memory", "system.network", "system.uptime",
	}
	if d := cmp.Diff(want, slices.Sorted(maps.Keys(byName))); d != "" {
		t.Errorf("datasets (-want +got):\n%s", d)
	}
	stat := byName["haproxy.stat"]
	if d := cmp.Diff([]string{
		"container.id", "haproxy.stat.component_type", "haproxy.stat.proxy.name", "haproxy.stat.service_name", "host.name",
		fingerprint, "service.address",
	}, stat.Dimensions); d != "" {
		t.Errorf("dimensions of haproxy.stat (-want +got):\n%s", d)
	}
	for name, want := range map[string]setup.Field{
		"haproxy.stat.component_type": {Type: "long"},
		"haproxy.stat.service_name":   {Type: "keyword"},
		"haproxy.stat.status":         {Type: "keyword"},
		"haproxy.stat.in.bytes":       {Type: "long", Metric: "counter", Unit: "byte"},
		"haproxy.stat.check.code":     {Type: "long"},
		"haproxy.stat.throttle.pct":   {Type: "double", Metric: "gauge"},
	} {
		if stat.Fields[name] != want {
			t.Errorf("%s is %+v, want %+v", name, stat.Fields[name], want)
		}
	}
}
