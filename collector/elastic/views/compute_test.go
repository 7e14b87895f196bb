package views

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
)

// only are the fields of a document that are asked for.
func only(doc map[string]any, names ...string) map[string]any {
	out := map[string]any{}
	for _, name := range names {
		if v, ok := doc[name]; ok {
			out[name] = v
		}
	}
	return out
}

const containers = `load 15s
  container_cpu_usage_seconds_total{job="flyball/containers",instance="local",id="ID1",name="web-1",image="app:2",pool="web",member="web-1",cpu="cpu00"} 0+3x40
  container_cpu_usage_seconds_total{job="flyball/containers",instance="local",id="ID1",name="web-1",image="app:2",pool="web",member="web-1",cpu="cpu01"} 0+1.5x40
  container_cpu_user_seconds_total{job="flyball/containers",instance="local",id="ID1",name="web-1",image="app:2",pool="web",member="web-1"} 0+3x40
  container_cpu_limit_cores{job="flyball/containers",instance="local",id="ID1",name="web-1",image="app:2",pool="web",member="web-1"} 0.5x40
  container_spec_cpu_quota{job="flyball/containers",instance="local",id="ID1",name="web-1",image="app:2",pool="web",member="web-1"} 50000x40
  container_cpu_usage_seconds_total{job="flyball/containers",instance="local",id="ID2",name="db",image="postgres:17",cpu="total"} 0+6x40
  container_cpu_limit_cores{job="flyball/containers",instance="local",id="ID2",name="db",image="postgres:17"} 4x40
  container_cpu_usage_seconds_total{job="cadvisor",instance="10.0.0.9:8080",id="/docker/ID3",name="cache",image="redis",cpu="total"} 0+7.5x40
  container_cpu_usage_seconds_total{job="cadvisor",instance="10.0.0.9:8080",id="/system.slice",cpu="total"} 0+7.5x40
  machine_cpu_cores{job="cadvisor",instance="10.0.0.9:8080",machine_id="m",boot_id="b"} 2x40
  container_cpu_usage_seconds_total{job="flyball/containers",instance="other",id="ID4",name="job",image="job",cpu="total"} 0+15x40
  container_cpu_limit_cores{job="flyball/containers",instance="other",id="ID4",name="job",image="job"} 1x40
  container_spec_cpu_quota{job="flyball/containers",instance="other",id="ID4",name="job",image="job"} 100000x40
`

const balancers = `load 15s
  haproxy_backend_current_sessions{job="haproxy",instance="edge",proxy="web"} 12x40
  haproxy_backend_status{job="haproxy",instance="edge",proxy="web",state="UP"} 1x40
  haproxy_backend_status{job="haproxy",instance="edge",proxy="web",state="DOWN"} 0x40
  haproxy_backend_connect_time_average_seconds{job="haproxy",instance="edge",proxy="web"} 0.0034x40
  haproxy_backend_downtime_seconds_total{job="haproxy",instance="edge",proxy="web"} 77x40
  haproxy_backend_sessions_total{job="haproxy",instance="edge",proxy="web"} 0+150x40
  haproxy_backend_active_servers{job="haproxy",instance="edge",proxy="web"} 3x40
  haproxy_frontend_current_sessions{job="haproxy",instance="edge",proxy="web"} 15x40
  haproxy_frontend_status{job="haproxy",instance="edge",proxy="web",state="UP"} 0x40
  haproxy_frontend_status{job="haproxy",instance="edge",proxy="web",state="DOWN"} 1x40
  haproxy_server_status{job="haproxy",instance="edge",proxy="web",server="s1",state="UP"} 1x40
  haproxy_server_status{job="haproxy",instance="edge",proxy="web",server="s1",state="DOWN"} 0x40
  haproxy_server_status{job="haproxy",instance="edge",proxy="web",server="s2",state="MAINT"} 1x40
  haproxy_server_check_status{job="haproxy",instance="edge",proxy="web",server="s1",state="L7OK"} 1x40
  haproxy_server_check_code{job="haproxy",instance="edge",proxy="web",server="s1"} 200x40
  haproxy_server_check_duration_seconds{job="haproxy",instance="edge",proxy="web",server="s1"} 0.0126x40
  haproxy_server_http_responses_total{job="haproxy",instance="edge",proxy="web",server="s1",code="5xx"} 9x40
  haproxy_server_http_responses_total{job="haproxy",instance="edge",proxy="web",server="s1",code="2xx"} 4000x40
  haproxy_server_current_throttle{job="haproxy",instance="edge",proxy="web",server="s1"} 60x40
`

func TestViewsAreComputedAsByHand(t *testing.T) {
	id := func(n string) string { return strings.Repeat(n, 64) }
	containers := containers
	for _, n := range []string{"1", "2", "3", "4"} {
		containers = strings.ReplaceAll(containers, "ID"+n, id(n))
	}
	for _, c := range []struct {
		name, view, script string
		fields             []string
		want               []map[string]any
	}{
		{
			"shares of the machine's cores, where they are known", "docker.cpu", containers,
			[]string{"container.id", "container.name", "host.name", "docker.cpu.total.pct", "docker.cpu.total.norm.pct", "docker.cpu.user.pct", "docker.cpu.user.norm.pct", "docker.cpu.user.ticks", "labels.pool"},
			[]map[string]any{
				{"container.id": id("3"), "container.name": "cache", "host.name": "10.0.0.9", "docker.cpu.total.pct": 0.5, "docker.cpu.total.norm.pct": 0.25},
				{"container.id": id("1"), "container.name": "web-1", "host.name": "web-1", "labels.pool": "web", "docker.cpu.total.pct": 0.3, "docker.cpu.total.norm.pct": 0.075, "docker.cpu.user.pct": 0.2, "docker.cpu.user.norm.pct": 0.05, "docker.cpu.user.ticks": 60e9},
				{"container.id": id("2"), "container.name": "db", "host.name": "local", "docker.cpu.total.pct": 0.4, "docker.cpu.total.norm.pct": 0.1},
				{"container.id": id("4"), "container.name": "job", "host.name": "other", "docker.cpu.total.pct": 1.0},
			},
		},
		{
			"a backend", "haproxy.stat.backend", balancers,
			[]string{"haproxy.stat.service_name", "haproxy.stat.component_type", "haproxy.stat.status", "haproxy.stat.connection.time.avg", "haproxy.stat.downtime", "haproxy.stat.session.rate.value", "haproxy.stat.server.active", "event.dataset", "metricset.name", "service.type"},
			[]map[string]any{{
				"haproxy.stat.service_name": "BACKEND", "haproxy.stat.component_type": 1.0, "haproxy.stat.status": "UP", "haproxy.stat.connection.time.avg": 3.0, "haproxy.stat.downtime": 77.0,
				"haproxy.stat.session.rate.value": 10.0, "haproxy.stat.server.active": 3.0, "event.dataset": "haproxy.stat", "metricset.name": "stat", "service.type": "haproxy",
			}},
		},
		{
			"a frontend that is down", "haproxy.stat.frontend", balancers,
			[]string{"haproxy.stat.service_name", "haproxy.stat.component_type", "haproxy.stat.status", "haproxy.stat.session.current"},
			[]map[string]any{{"haproxy.stat.service_name": "FRONTEND", "haproxy.stat.component_type": 0.0, "haproxy.stat.status": "STOP", "haproxy.stat.session.current": 15.0}},
		},
		{
			"servers, one of them in maintenance", "haproxy.stat.server", balancers,
			[]string{"haproxy.stat.proxy.name", "haproxy.stat.service_name", "haproxy.stat.component_type", "haproxy.stat.status", "haproxy.stat.check.status", "haproxy.stat.check.code", "haproxy.stat.check.duration", "haproxy.stat.response.http.5xx", "haproxy.stat.response.http.2xx", "haproxy.stat.throttle.pct", "labels.state", "labels.proxy"},
			[]map[string]any{
				{
					"haproxy.stat.proxy.name": "web", "haproxy.stat.service_name": "s1", "haproxy.stat.component_type": 2.0, "haproxy.stat.status": "UP", "haproxy.stat.check.status": "L7OK",
					"haproxy.stat.check.code": 200.0, "haproxy.stat.check.duration": 13.0, "haproxy.stat.response.http.5xx": 9.0, "haproxy.stat.response.http.2xx": 4000.0, "haproxy.stat.throttle.pct": 60.0,
				},
				{"haproxy.stat.proxy.name": "web", "haproxy.stat.service_name": "s2", "haproxy.stat.component_type": 2.0, "haproxy.stat.status": "MAINT"},
			},
		},
		{
			"memory that users' node_exporters tell of, without swap", "system.memory",
			"load 15s\n" +
				"  node_memory_MemTotal_bytes{job=\"node\",instance=\"10.0.0.4:9100\"} 8000000000x40\n" +
				"  node_memory_MemFree_bytes{job=\"node\",instance=\"10.0.0.4:9100\"} 2000000000x40\n" +
				"  node_memory_MemAvailable_bytes{job=\"node\",instance=\"10.0.0.4:9100\"} 6000000000x40\n" +
				"  node_memory_SwapTotal_bytes{job=\"node\",instance=\"10.0.0.4:9100\"} 0x40\n" +
				"  node_memory_SwapFree_bytes{job=\"node\",instance=\"10.0.0.4:9100\"} 0x40\n" +
				"  node_memory_MemTotal_bytes{job=\"flyball/host\",instance=\"here\",rack=\"r1\"} 100x40\n",
			[]string{"host.name", "service.name", "system.memory.total", "system.memory.used.bytes", "system.memory.used.pct", "system.memory.actual.used.pct", "system.memory.swap.used.bytes", "system.memory.swap.used.pct", "labels.rack"},
			[]map[string]any{
				{
					"host.name": "10.0.0.4", "service.name": "node", "system.memory.total": 8e9, "system.memory.used.bytes": 6e9, "system.memory.used.pct": 0.75, "system.memory.actual.used.pct": 0.25,
					"system.memory.swap.used.bytes": 0.0,
				},
				{"host.name": "here", "service.name": "flyball/host", "system.memory.total": 100.0, "labels.rack": "r1"},
			},
		},
		{
			"checkpoints that PostgreSQL 17 counts elsewhere", "postgresql.bgwriter",
			"load 15s\n" +
				"  pg_stat_bgwriter_buffers_alloc_total{instance=\"orders\"} 5x40\n" +
				"  pg_stat_checkpointer_num_timed_total{instance=\"orders\"} 7x40\n" +
				"  pg_stat_checkpointer_write_time_total{instance=\"orders\"} 1234.5x40\n" +
				"  pg_stat_bgwriter_buffers_alloc_total{instance=\"old\"} 6x40\n" +
				"  pg_stat_bgwriter_checkpoints_timed_total{instance=\"old\"} 8x40\n",
			[]string{"host.name", "postgresql.bgwriter.buffers.allocated", "postgresql.bgwriter.checkpoints.scheduled", "postgresql.bgwriter.checkpoints.times.write.ms"},
			[]map[string]any{
				{"host.name": "old", "postgresql.bgwriter.buffers.allocated": 6.0, "postgresql.bgwriter.checkpoints.scheduled": 8.0},
				{"host.name": "orders", "postgresql.bgwriter.buffers.allocated": 5.0, "postgresql.bgwriter.checkpoints.scheduled": 7.0, "postgresql.bgwriter.checkpoints.times.write.ms": 1234.5},
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []map[string]any
			for _, doc := range documents(t, all(t)[c.view], c.script, at(5*time.Minute)) {
				got = append(got, only(doc, c.fields...))
			}
			byText := func(a, b map[string]any) int { return strings.Compare(text(a), text(b)) }
			slices.SortFunc(got, byText)
			slices.SortFunc(c.want, byText)
			if d := cmp.Diff(c.want, got, cmp.Comparer(near)); d != "" {
				t.Errorf("documents (-want +got):\n%s", d)
			}
		})
	}
}

func near(a, b float64) bool { return a == b || a-b < 1e-9 && b-a < 1e-9 }

// text is what a document is sorted by: its words.
func text(doc map[string]any) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(doc)) {
		if s, ok := doc[name].(string); ok {
			b.WriteString(name + "=" + s + ";")
		}
	}
	return b.String()
}

func TestADocumentIsWholeAndNested(t *testing.T) {
	v := View{
		When: "up", By: map[string]Dimension{"device": {Field: "disk.name", Type: keyword}, "nr": {Field: "disk.nr", Type: long}, "no": {Field: "disk.no", Type: long}},
		Set: map[string]Constant{"disk.kind": {Value: "ssd", Type: keyword}, "disk.generation": {Value: "3", Type: long}},
		Fields: map[string]Field{
			"disk.a.b.c": {Query: "a", Type: long}, "disk.a.d": {Query: "b", Type: double}, "up": {Query: "up", Type: boolean},
			"disk.since": {Query: "since", Type: date}, "disk.state": {Query: "state == 1", Type: keyword, Label: "state"},
		},
	}.named("disk.health")
	v.Dataset, v.Module, v.Metricset = "disk.health", "disk", "health"
	ls := `device="sd\"a",nr="7",no="seven",instance="10.0.0.4:9100",job="node",x_y="z",site="lies"`
	docs := documents(t, v, "load 15s\n"+
		"  a{"+ls+"} 2.5x10\n  b{"+ls+"} 2.5x10\n  up{"+ls+"} 1x10\n  since{"+ls+"} 1795170000.5x10\n"+
		"  state{"+ls+",state=\"new\"} 0x10\n  state{"+ls+",state=\"old\"} 1x10\n", at(time.Minute))
	if len(docs) != 1 {
		t.Fatalf("%d documents: %v", len(docs), docs)
	}
	want := map[string]any{
		"@timestamp": "1970-01-01T00:01:00.000Z", "ecs.version": "8.11.0",
		"data_stream.type": "metrics", "data_stream.dataset": "disk.health", "data_stream.namespace": "default",
		"event.dataset": "disk.health", "event.module": "disk", "event.kind": "metric", "metricset.name": "health", "metricset.period": 10000.0,
		"agent.id": "7", "agent.name": "here", "agent.type": "flyball", "agent.version": "1.2", "labels.site": "ams3", "labels.x_y": "z",
		"host.name": "10.0.0.4", "service.address": "10.0.0.4:9100", "service.name": "node", "service.type": "disk",
		"disk.name": `sd"a`, "disk.nr": 7.0, "disk.kind": "ssd", "disk.generation": 3.0,
		"disk.a.b.c": 3.0, "disk.a.d": 2.5, "up": true, "disk.since": "2026-11-20T10:20:00.500Z", "disk.state": "old",
	}
	got := maps.Clone(docs[0])
	if got[fingerprint] == "" {
		t.Error("no fingerprint")
	}
	delete(got, fingerprint)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("document (-want +got):\n%s", d)
	}
}

func TestSetsOfLabelsOfOneHostAreDifferentTimeSeries(t *testing.T) {
	docs := documents(t, all(t)["system.load"], "load 15s\n"+
		"  node_load1{instance=\"10.0.0.4:9100\",job=\"node\",env=\"a\"} 1x10\n"+
		"  node_load1{instance=\"10.0.0.4:9100\",job=\"node\",env=\"b\"} 1x10\n"+
		"  node_load5{instance=\"10.0.0.4:9100\",job=\"node\",env=\"b\"} 1x10\n", at(time.Minute))
	if len(docs) != 2 || docs[0][fingerprint] == docs[1][fingerprint] || docs[0]["labels.env"] == docs[1]["labels.env"] {
		t.Errorf("documents %v", docs)
	}
	other := all(t)["system.load"].named("another")
	if a, b := fingerprintOf(all(t)["system.load"]), fingerprintOf(other); a == b {
		t.Errorf("two views of a dataset have one fingerprint: %s", a)
	}
}

func TestValuesThatATypeCannotHoldAreLeftOut(t *testing.T) {
	v := View{When: "a", Fields: map[string]Field{"x.long": {Query: "a", Type: long}, "x.date": {Query: "a", Type: date}, "x.double": {Query: "a", Type: double}}}.named("x")
	for value, want := range map[string]int{"1e19": 1, "-5": 2, "1795170000": 3, "NaN": 0, "+Inf": 0, "1e300": 1, "253402300800": 2} {
		docs := documents(t, v, "load 15s\n  a{instance=\"h\"} "+value+" "+value+" "+value+" "+value+" "+value+"\n", at(time.Minute))
		got := 0
		for _, doc := range docs {
			got = len(only(doc, "x.long", "x.date", "x.double"))
		}
		if got != want {
			t.Errorf("%s: %d fields hold it, want %d", value, got, want)
		}
	}
}

// fingerprintOf is that of a view's series without labels.
func fingerprintOf(v View) string {
	return newLayout(v, "default", here, time.Second, "1m").fingerprint(labels.EmptyLabels())
}
