package container

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestAfterTheStreamBrokeAllIsReadAnew(t *testing.T) {
	e := newRecording(t)
	gone := e.add("gone", "docker", "v2")
	stays := e.add("stays", "docker", "v2")
	w := watch(t, e.Socket)
	run(t, w)
	e.stop()
	eventually(t, 5*time.Second, "the loss is noticed", func() bool { return !w.set.isLive() })
	got := scrape(t, w)
	got.wants(t, toldBy{"container_up": 0, `container_down{reason="refused"}`: 1})
	got.lacks(t, "container_state")

	e.remove(gone)
	e.add("came", "docker", "v2")
	e.change(stays, "", func(c *played) { c.inspect["RestartCount"] = 7 })
	e.start()
	scrape(t, w).wants(t, toldBy{"container_up": 1, `container_restarts_total{name="stays"}`: 7}) // it does not wait for the stream
	eventually(t, 6*time.Second, "events are followed again", w.set.isLive)
	if got := names(w); !slices.Equal(got, []string{"came", "stays"}) {
		t.Errorf("known: %v", got)
	}
	e.add("later", "docker", "v2")
	eventually(t, time.Second, "events are heard", knows(w, "came", "later", "stays"))
}

func TestAnEngineThatHangsIsDownAndComesBackByItself(t *testing.T) {
	e := newRecording(t)
	e.add("a", "docker", "v2")
	w := watch(t, e.Socket, timeout(300*time.Millisecond))
	run(t, w)
	e.freeze()
	begun := time.Now()
	got := scrape(t, w)
	if took := time.Since(begun); took > time.Second {
		t.Errorf("a scrape took %s with a timeout of 300ms", took)
	}
	got.wants(t, toldBy{"container_up": 0, `container_down{reason="timeout"}`: 1})
	eventually(t, 5*time.Second, "the hang is noticed", func() bool { return !w.set.isLive() })
	e.thaw()
	scrape(t, w).wants(t, toldBy{"container_up": 1, `container_state{name="a",state="running"}`: 1})
	eventually(t, 6*time.Second, "events are followed again", w.set.isLive)
}

func TestContainersWhoseStatsHangCostOnlyThemselves(t *testing.T) {
	for _, hanging := range []int{1, workers + 4} {
		t.Run(fmt.Sprint(hanging), func(t *testing.T) {
			e := newRecording(t)
			for i := range hanging {
				id := e.add(fmt.Sprintf("hangs-%d", i), "docker", "v2")
				e.change(id, "", func(c *played) { c.hangs = true })
			}
			for i := range 30 {
				e.add(fmt.Sprintf("works-%d", i), "docker", "v2")
			}
			w := watch(t, e.Socket, timeout(8*time.Second))
			run(t, w)
			for range 2 {
				got := scrape(t, w)
				want := toldBy{"container_up": 1, `container_part_up{part="stats"}`: 1, `container_stats_missing{name="hangs-0",reason="timeout"}`: 1}
				for i := range 30 {
					want[fmt.Sprintf(`container_memory_usage_bytes{name="works-%d"}`, i)] = 73400320
				}
				got.wants(t, want)
				got.lacks(t, `container_memory_usage_bytes{name="hangs`)
			}
		})
	}
}

func TestWhenNobodysStatsCanBeReadThePartIsDown(t *testing.T) {
	e := newRecording(t)
	id := e.add("a", "docker", "v2")
	e.change(id, "", func(c *played) { c.stats = []byte(`{"read": what`) })
	w := watch(t, e.Socket)
	scrape(t, w).wants(t, toldBy{
		"container_up": 1, `container_part_up{part="containers"}`: 1, `container_state{name="a",state="running"}`: 1,
		`container_part_up{part="stats"}`: 0, `container_part_down{part="stats",reason="protocol"}`: 1,
	})
}

func TestAContainerThatEndsWhileItIsReadIsNoError(t *testing.T) {
	for _, how := range []struct {
		name string
		end  func(e *recording, id string)
	}{
		{"docker tells of the year 1", func(e *recording, id string) {
			e.change(id, "", func(c *played) { c.stats = recorded(t, "docker-ended-stats.json") })
		}},
		{"podman tells nothing", func(e *recording, id string) {
			e.change(id, "", func(c *played) { c.stats = nil })
		}},
		{"an error, and it has ended", func(e *recording, id string) {
			e.change(id, "", func(c *played) {
				c.fails = true
				dig(c.inspect, "State")["Status"] = "exited"
			})
		}},
		{"it is gone", func(e *recording, id string) {
			e.mu.Lock()
			defer e.mu.Unlock()
			delete(e.containers, id)
		}},
	} {
		t.Run(how.name, func(t *testing.T) {
			e := newRecording(t)
			id := e.add("ends", "docker", "v2")
			e.add("stays", "docker", "v2")
			w := watch(t, e.Socket)
			w.beat = time.Hour
			run(t, w)
			how.end(e, id)
			got := scrape(t, w)
			got.wants(t, toldBy{`container_part_up{part="stats"}`: 1, `container_memory_usage_bytes{name="stays"}`: 73400320})
			got.lacks(t, "container_stats_missing", `container_memory_usage_bytes{name="ends"`, `container_cpu_usage_seconds_total{cpu="total",name="ends"`)
		})
	}
}
