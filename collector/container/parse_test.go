package container

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/events"

	"flyball/collector/exporter"
)

// shapes are the engines whose answers were recorded.
func shapes() [][2]string {
	return [][2]string{{"docker", "v1"}, {"docker", "v2"}, {"podman", "v1"}, {"podman", "v2"}}
}

func TestEachEngineTellsWhatItWasRecordedWith(t *testing.T) {
	nameless := strings.NewReplacer(`,name="web-1"`, "", `{name="web-1"}`, "", `name="web-1",`, "")
	for _, s := range shapes() {
		t.Run(s[0]+" on cgroup "+s[1], func(t *testing.T) {
			e := newRecording(t)
			e.add("web-1", s[0], s[1])
			got := scrape(t, watch(t, e.Socket))
			var lines strings.Builder
			for _, k := range slices.Sorted(maps.Keys(got)) {
				if !strings.HasPrefix(k, "container_part_") && !strings.HasPrefix(k, "container_last_seen") {
					fmt.Fprintf(&lines, "%s %v\n", nameless.Replace(k), got[k])
				}
			}
			want := string(recorded(t, s[0]+"-"+s[1]+".told"))
			if d := cmp.Diff(want, lines.String()); d != "" {
				t.Errorf("told (-want +got):\n%s", d)
			}
		})
	}
}

func TestNumbersThatCannotBeAreAbsent(t *testing.T) {
	for in, want := range map[string]number{
		"0": figure(0), "17": figure(17), "1.5": figure(1.5), "4611686018427387000": figure(4611686018427387000),
		"-1": {}, "null": {}, `"17"`: {}, "true": {}, "[1]": {}, `{"a":1}`: {},
		"18446744073709551615": {}, "9223372036854771712": {}, "1e400": {},
	} {
		n := figure(99)
		if err := json.Unmarshal([]byte(in), &n); err != nil || n != want {
			t.Errorf("%s is %v, %v, want %v", in, n, err, want)
		}
	}
}

func TestCPUsOfAListAreCounted(t *testing.T) {
	for list, want := range map[string]number{
		"0": figure(1), "0-3": figure(4), "0-1,4": figure(3), " 2 , 5-6": figure(3),
		"": {}, "a": {}, "3-1": {}, "-1": {}, "0-": {}, "0-99999999": {}, "0,": {},
	} {
		if got := countCPUs(list); got != want {
			t.Errorf("%q: %v, want %v", list, got, want)
		}
	}
}

func TestCoresAreTheLeastOfWhatLimitsThem(t *testing.T) {
	quota := limits{cpuQuota: figure(150_000), cpuPeriod: figure(100_000)}
	for _, c := range []struct {
		name   string
		limits limits
		online number
		want   number
	}{
		{"no limit", limits{}, figure(8), figure(8)},
		{"a quota", quota, figure(8), figure(1.5)},
		{"a quota above the machine", quota, figure(1), figure(1)},
		{"pinned", limits{cpus: figure(2)}, figure(8), figure(2)},
		{"nothing known", limits{}, number{}, number{}},
		{"only the quota known", quota, number{}, figure(1.5)},
	} {
		u := usage{}
		u.CPU.Online = c.online
		if got := cores(sample{&Container{limits: c.limits}, &u}); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestAnInspectedContainer(t *testing.T) {
	got, err := parseInspect(recorded(t, "docker-inspect.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := Container{
		ID: "4c4e0f6a2b8d5f1a9c3e7b6d2f0a8c5e4b1d7f3a6c9e2b5d8f1a4c7e0b3d6f92", Name: "web-1", Image: "registry.example/shop/web:1.4.2",
		Labels: map[string]string{
			"com.docker.compose.project": "shop", "com.docker.compose.service": "web",
			"flyball.port": "8080", "flyball.path": "/internal/metrics", "flyball.job": "shop",
		},
		State: Running, Health: Healthy, Restarts: 2,
		Started:  time.Date(2026, 11, 20, 9, 30, 0, 500_000_000, time.UTC),
		Finished: time.Date(2026, 11, 20, 9, 29, 58, 250_000_000, time.UTC), NetworkMode: "shop_default",
		Networks:  []Network{{"backend", "d2c3", "172.19.0.3"}, {"shop_default", "d1c2", "172.18.0.3"}},
		published: map[string]address{"8080/tcp": {"0.0.0.0", "18080"}},
		limits: limits{
			cpuQuota: figure(50_000), cpuPeriod: figure(100_000), cpuShares: figure(512), cpus: figure(2),
			memory: figure(128 << 20), swap: figure(256 << 20), soft: figure(64 << 20),
		},
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(Container{}, address{}, limits{}, number{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestStatesAndHealthAreClosedLists(t *testing.T) {
	for in, want := range map[string]string{
		"running": Running, "configured": Created, "stopping": Running, "stopped": Exited, "initialized": Created,
		"dead": Dead, "": unknown, "on fire": unknown,
	} {
		if got := state(in); got != want {
			t.Errorf("state %q is %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"healthy": Healthy, "starting": Starting, "none": "", "well": ""} {
		if got := health(in); got != want {
			t.Errorf("health %q is %q, want %q", in, got, want)
		}
	}
}

func TestEventsThatMatter(t *testing.T) {
	heard := func(name string) []string {
		var out []string
		d := json.NewDecoder(bytes.NewReader(recorded(t, name)))
		for d.More() {
			var m events.Message
			if err := d.Decode(&m); err != nil {
				t.Fatal(err)
			}
			if id, what := concerns(m); id != "" {
				out = append(out, what)
			}
		}
		return out
	}
	want := []string{"create", "start", "health_status", "pause", "unpause", "rename", "oom", "die", "destroy", "connect"}
	if got := heard("docker-events.json"); !slices.Equal(got, want) {
		t.Errorf("docker: %v, want %v", got, want)
	}
	want = []string{"create", "start", "pause", "unpause", "rename", "die", "cleanup", "remove", "create", "start"}
	if got := heard("podman-events.json"); !slices.Equal(got, want) {
		t.Errorf("podman: %v, want %v", got, want)
	}
	id, what := concerns(events.Message{Type: "network", Action: "disconnect", Actor: events.Actor{ID: "podman-container"}})
	if id != "podman-container" || what != "disconnect" {
		t.Errorf("podman's network: %q %q", id, what)
	}
}

func TestEveryMetricIsToldByAnEngineThatCountsIt(t *testing.T) {
	e := newRecording(t)
	for _, s := range shapes() {
		e.add(s[0]+s[1], s[0], s[1])
	}
	e.end(e.add("ended", "docker", "v2"), 1, false)
	id := e.add("hangs", "docker", "v2")
	e.change(id, "", func(c *played) { c.fails = true })
	got := scrape(t, watch(t, e.Socket))
	for _, p := range Parts() {
		for _, m := range p.Metrics {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(got)), func(k string) bool { return strings.HasPrefix(k, m.Name+"{") }) {
				t.Errorf("%s is documented, and never told", m.Name)
			}
			if !strings.Contains(Table(), "`"+m.Name+"`") {
				t.Errorf("%s is not in the table", m.Name)
			}
		}
	}
}

func FuzzStats(f *testing.F) {
	for _, s := range shapes() {
		f.Add(recorded(f, s[0]+"-"+s[1]+"-stats.json"))
	}
	f.Add(recorded(f, "docker-ended-stats.json"))
	f.Add([]byte(`{"read":"2026-11-20T10:00:15Z","cpu_stats":[],"memory_stats":{"usage":-1,"stats":{"inactive_file":9e18}},"networks":{"\ud800":{"rx_bytes":1}}}`))
	w, err := New(Config{Name: "fuzz"}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := parseUsage(b)
		if err != nil {
			return
		}
		c := Container{ID: "id", Name: "name", State: Running}
		for _, v := range scrape(t, exporterOf(w, sample{&c, &u})) {
			if math.IsNaN(v) || v < 0 || v >= 1<<62*float64(max(1, len(u.Disks.Bytes)+len(u.Disks.Operations))) {
				t.Errorf("told %v", v)
			}
		}
	})
}

func FuzzInspect(f *testing.F) {
	f.Add(recorded(f, "docker-inspect.json"))
	f.Add(recorded(f, "podman-inspect.json"))
	f.Add([]byte(`{"Id":"x","State":{"Status":1,"Health":null,"StartedAt":"9999-99-99"},"HostConfig":{"NanoCpus":1e18,"CpuPeriod":-5,"CpusetCpus":"0-9999999999"},"Config":{"Labels":{"flyball.port":"0"}}}`))
	w, err := New(Config{Name: "fuzz"}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseInspect(b)
		if err != nil {
			return
		}
		if c.ID == "" || c.ExitCode < 0 || c.Restarts < 0 || len(short(c.ID)) > 12 {
			t.Errorf("%+v", c)
		}
		w.set.put(c)
		w.Targets()
		w.set.drop(c.ID)
		for _, r := range w.metrics.spec {
			if n := r.of(&c); n.there && (math.IsNaN(n.value) || n.value < 0) {
				t.Errorf("%s is %v", r.Name, n)
			}
		}
		if n := cores(sample{&c, &usage{}}); n.there && (math.IsNaN(n.value) || math.IsInf(n.value, 0) || n.value < 0) {
			t.Errorf("%v cores", n)
		}
	})
}

func FuzzEvent(f *testing.F) {
	for _, name := range []string{"docker-events.json", "podman-events.json"} {
		for line := range bytes.Lines(recorded(f, name)) {
			f.Add(line)
		}
	}
	w, err := New(Config{Name: "fuzz"}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m events.Message
		if json.Unmarshal(b, &m) != nil {
			return
		}
		w.heard(m)
		if id, what := concerns(m); id != "" && (noise(what) || !slices.Contains(w.dirty.take(), id)) {
			t.Errorf("%s of %q was not noted", what, id)
		}
		clear(w.set.kills)
	})
}

// exporterOf tells of one sample as a watch would.
func exporterOf(w *Watch, of sample) *exporter.Exporter {
	return exporter.New(exporter.Options{Kind: "container", Parts: []exporter.Part{{
		Name: "stats", Metrics: w.metrics.ofStats(),
		Read: func(_ context.Context, s *exporter.Sink) error {
			w.tellUsage(s, of)
			return nil
		},
	}}})
}
