package container

import (
	"testing"
	"time"
)

// A run of a container, as an engine tells of it, in letters: s it starts, o the
// kernel kills something in it, i it is inspected after an end for want of memory,
// r it is inspected while it runs, l the stream of events is lost.
func TestEachKillForWantOfMemoryCountsOnce(t *testing.T) {
	for _, c := range []struct {
		name, happened string
		want           int
	}{
		{"docker: an event, then the end", "srosi", 1 + 1},
		{"docker: the event of the same end", "soi", 1},
		{"docker: the event comes late", "sio", 1},
		{"docker: a child is killed twice, and the container lives", "soro", 2},
		{"docker: killed, started again and killed before anybody asks", "sososoi", 3},
		{"podman: only the end is told", "sisi", 2},
		{"podman: asked twice about one end", "sii", 1},
		{"it had ended before it was watched", "i", 1},
		{"the stream was lost after a kill that was heard", "sroli", 1},
		{"the stream was lost before a kill", "sli", 1},
		{"the stream was lost between two kills", "soilsi", 2},
		{"nothing", "srlr", 0},
	} {
		s := newSet()
		started := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
		for _, what := range c.happened {
			switch what {
			case 's':
				started = started.Add(time.Minute)
				s.happened("id", "start")
			case 'o':
				s.happened("id", "oom")
			case 'i':
				s.put(Container{ID: "id", Started: started, OOMKilled: true})
			case 'r':
				s.put(Container{ID: "id", Started: started})
			case 'l':
				s.setLive(false)
			}
		}
		if got := s.oomKills("id"); got != c.want {
			t.Errorf("%s (%s): %d, want %d", c.name, c.happened, got, c.want)
		}
	}
}
