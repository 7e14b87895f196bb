package container

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// watch makes a watch of an engine, closed at the end of the test.
func watch(t testing.TB, socket string, set ...func(*Config)) *Watch {
	t.Helper()
	c := Config{Name: "test", Socket: socket, Timeout: 5 * time.Second}
	for _, f := range set {
		f(&c)
	}
	if ms := c.Validate(); len(ms) > 0 {
		t.Fatalf("configuration: %+v", ms)
	}
	w, err := New(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.beat = 50 * time.Millisecond
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// run runs a watch until the end of the test, or until the function that it gives
// is called; it returns once events keep the watch.
func run(t testing.TB, w *Watch) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	ended := false
	end = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(end)
	eventually(t, 10*time.Second, "events keep the containers", w.set.isLive)
	return end
}

func timeout(d time.Duration) func(*Config) { return func(c *Config) { c.Timeout = d } }

// told is what an exporter told, by name and labels that are not empty but id
// and image: name{label="value",...}.
type toldBy map[string]float64

func scrape(t testing.TB, c prometheus.Collector) toldBy {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(c)
	families, err := reg.Gather()
	if err != nil {
		t.Fatalf("gather: %v", err)
	}
	out := toldBy{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			out[f.GetName()+labels(m)] = number64(m)
		}
	}
	return out
}

func labels(m *dto.Metric) string {
	var ls []string
	for _, l := range m.GetLabel() {
		if l.GetValue() != "" && l.GetName() != "id" && l.GetName() != "image" {
			ls = append(ls, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
		}
	}
	if ls == nil {
		return ""
	}
	return "{" + strings.Join(ls, ",") + "}"
}

func number64(m *dto.Metric) float64 {
	switch {
	case m.GetCounter() != nil:
		return m.GetCounter().GetValue()
	case m.GetGauge() != nil:
		return m.GetGauge().GetValue()
	}
	return m.GetUntyped().GetValue()
}

// wants checks some of what was told.
func (got toldBy) wants(t testing.TB, want toldBy) {
	t.Helper()
	for k, v := range want {
		if g, ok := got[k]; !ok {
			t.Errorf("%s is absent, want %g", k, v)
		} else if g != v {
			t.Errorf("%s is %g, want %g", k, g, v)
		}
	}
}

// lacks checks that nothing of some names was told.
func (got toldBy) lacks(t testing.TB, prefixes ...string) {
	t.Helper()
	for k := range got {
		for _, p := range prefixes {
			if strings.HasPrefix(k, p) {
				t.Errorf("%s is there, want none", k)
			}
		}
	}
}

func TestAContainerIsKnownAndGoneWithinASecondOfItsEvent(t *testing.T) {
	e := newRecording(t)
	e.add("old", "docker", "v2")
	w := watch(t, e.Socket)
	run(t, w)
	if got := names(w); !slices.Equal(got, []string{"old"}) {
		t.Fatalf("at first: %v", got)
	}
	for _, engine := range []string{"docker", "podman"} {
		id := e.add("new", engine, "v1")
		eventually(t, time.Second, "the new container is known", knows(w, "new", "old"))
		scrape(t, w).wants(t, toldBy{`container_state{name="new",state="running"}`: 1})

		e.change(id, "pause", func(c *played) { dig(c.inspect, "State")["Status"] = "paused" })
		eventually(t, time.Second, "it is paused", func() bool { return w.Containers()[0].State == Paused })
		e.change(id, "rename", func(c *played) { c.inspect["Name"] = "/renamed" })
		eventually(t, time.Second, "it has its new name", knows(w, "old", "renamed"))
		e.end(id, 3, false)
		eventually(t, time.Second, "it has ended", func() bool { return w.Containers()[1].State == Exited })
		got := scrape(t, w)
		got.wants(t, toldBy{`container_state{name="renamed",state="exited"}`: 1, `container_exit_code{name="renamed"}`: 3})
		got.lacks(t, `container_memory_usage_bytes{name="renamed"`, `container_start_time_seconds{name="renamed"`)

		e.remove(id)
		eventually(t, time.Second, "it is gone", knows(w, "old"))
		scrape(t, w).lacks(t, `container_state{name="renamed"`)
	}
}

func TestWhileEventsAreFollowedAScrapeAsksForStatsOnly(t *testing.T) {
	e := newRecording(t)
	e.add("a", "docker", "v2")
	e.end(e.add("b", "docker", "v2"), 0, false)
	w := watch(t, e.Socket)
	w.beat = time.Hour
	run(t, w)
	inspected, listed := e.timesAsked("inspect"), e.timesAsked("list")
	for range 3 {
		scrape(t, w)
	}
	if got := e.timesAsked("stats"); got != 3 {
		t.Errorf("asked %d times for what is used, want 3: once a scrape for the one that runs", got)
	}
	if e.timesAsked("inspect") != inspected || e.timesAsked("list") != listed {
		t.Errorf("asked again for what the events tell: %v", e.asked)
	}
}

func TestWithoutRunAScrapeAsksForEverything(t *testing.T) {
	e := newRecording(t)
	id := e.addQuietly("a", "podman", "v1")
	w := watch(t, e.Socket)
	scrape(t, w).wants(t, toldBy{"container_up": 1, `container_state{name="a",state="running"}`: 1, `container_memory_usage_bytes{name="a"}`: 1228800})
	e.addQuietly("b", "docker", "v2")
	e.end(id, 1, false)
	got := scrape(t, w)
	got.wants(t, toldBy{`container_exit_code{name="a"}`: 1, `container_memory_usage_bytes{name="b"}`: 73400320})
	got.lacks(t, `container_memory_usage_bytes{name="a"`)
	e.remove(id)
	scrape(t, w).lacks(t, `container_state{name="a"`)
}

func TestWhatNoEventToldIsFoundWithTheNextList(t *testing.T) {
	e := newRecording(t)
	id := e.add("a", "docker", "v2")
	w := watch(t, e.Socket)
	run(t, w)
	e.mu.Lock()
	e.forgets = true
	e.mu.Unlock()
	e.add("b", "docker", "v2")
	eventually(t, 5*time.Second, "the new one is found", knows(w, "a", "b"))
	e.change(id, "", func(c *played) { dig(c.inspect, "State", "Health")["Status"] = "unhealthy" })
	eventually(t, 5*time.Second, "the change of health is found", func() bool { return w.Containers()[0].Health == Unhealthy })
	e.remove(id)
	eventually(t, 5*time.Second, "the one that is gone is dropped", knows(w, "b"))
}

func TestAnEngineOfAnotherVersionIsMetAnew(t *testing.T) {
	e := newRecording(t)
	e.add("a", "docker", "v2")
	w := watch(t, e.Socket)
	scrape(t, w).wants(t, toldBy{`container_state{name="a",state="running"}`: 1})
	for _, version := range []string{"1.47", "1.41"} {
		e.speaks(version)
		scrape(t, w).wants(t, toldBy{`container_state{name="a",state="running"}`: 1, `container_part_up{part="containers"}`: 1})
	}
	e.speaks("1.39")
	scrape(t, w).wants(t, toldBy{"container_up": 0, `container_down{reason="protocol"}`: 1})
}

func TestOldPodmansMistakeAboutTrafficIsPutRight(t *testing.T) {
	for version, received := range map[string]float64{"": 1006, "3.4.7": 8112, "4.3.1": 8112, "4.4.0": 1006, "5.2.0": 1006, "dev": 1006} {
		e := newRecording(t)
		e.podman = version
		e.add("a", "podman", "v1")
		scrape(t, watch(t, e.Socket)).wants(t, toldBy{
			`container_network_receive_bytes_total{interface="network",name="a"}`:  received,
			`container_network_transmit_bytes_total{interface="network",name="a"}`: 1006 + 8112 - received,
		})
	}
}

func TestOldContainersThatEndedAreNotAllKept(t *testing.T) {
	e := newRecording(t)
	for i := range mostEnded + 20 {
		e.addQuietly(fmt.Sprintf("job-%03d", i), "podman", "v1")
	}
	for _, c := range e.containers {
		dig(c.inspect, "State")["Status"] = "exited"
	}
	for _, c := range e.containers {
		if c.inspect["Name"] == "/job-001" {
			dig(c.inspect, "State")["Status"] = "running"
		}
	}
	w := watch(t, e.Socket)
	scrape(t, w)
	got := names(w)
	if len(got) != mostEnded+1 || got[0] != "job-001" || got[1] != "job-020" {
		t.Errorf("%d are known, from %v on", len(got), got[:2])
	}
}

func TestOnlyWhatTheConfigurationIncludesIsTold(t *testing.T) {
	e := newRecording(t)
	for _, name := range []string{"web-1", "web-2", "web-debug", "db"} {
		e.add(name, "docker", "v2")
	}
	w := watch(t, e.Socket, func(c *Config) { c.Include, c.Exclude = "web-.*", "web-2|.*-debug" })
	scrape(t, w).lacks(t, `container_state{name="web-2"`, `container_state{name="web-debug"`, `container_state{name="db"`)
	if got := names(w); !slices.Equal(got, []string{"web-1"}) {
		t.Errorf("known: %v", got)
	}
}

func TestAMembersSeriesNameItsPool(t *testing.T) {
	e := newRecording(t)
	id := e.add("web-7", "podman", "v1")
	e.change(id, "", func(c *played) {
		dig(c.inspect, "Config")["Labels"] = map[string]any{LabelPool: "web", LabelMember: "web-7", "com.example.tier": "front"}
	})
	e.add("db", "docker", "v2")
	w := watch(t, e.Socket, func(c *Config) { c.Labels = []string{"com.example.tier"} })
	scrape(t, w).wants(t, toldBy{
		`container_memory_working_set_bytes{container_label_com_example_tier="front",member="web-7",name="web-7",pool="web"}`: 1228800,
		`container_memory_working_set_bytes{name="db"}`:                                                                       73400320 - 41943040,
		`container_cpu_limit_cores{container_label_com_example_tier="front",member="web-7",name="web-7",pool="web"}`:          0.5,
	})
}

func TestChangedHoldsOneValueHoweverMuchChanges(t *testing.T) {
	e := newRecording(t)
	w := watch(t, e.Socket)
	run(t, w)
	for i := range 5 {
		e.add(fmt.Sprint(i), "docker", "v2")
	}
	eventually(t, time.Second, "all are known", func() bool { return len(names(w)) == 5 })
	<-w.Changed()
	select {
	case <-w.Changed():
		t.Error("told twice")
	default:
	}
	e.happen(w.Containers()[0].ID, "update") // and nothing changes
	e.add("last", "docker", "v2")
	<-w.Changed()
	eventually(t, time.Second, "the last is known", func() bool { return len(names(w)) == 6 })
}
