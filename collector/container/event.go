package container

import (
	"strings"

	"github.com/moby/moby/api/types/events"
)

// concerns says which container an event is about, and what happened to it in
// one word; "" if it changes nothing that is kept.
func concerns(m events.Message) (id, what string) {
	switch m.Type {
	case events.ContainerEventType:
		what, _, _ = strings.Cut(string(m.Action), ":") // health_status: healthy
		if noise(what) {
			return "", ""
		}
		return m.Actor.ID, what
	case events.NetworkEventType:
		if m.Action != "connect" && m.Action != "disconnect" {
			return "", ""
		}
		if of := m.Actor.Attributes["container"]; of != "" {
			return of, string(m.Action)
		}
		return m.Actor.ID, string(m.Action) // podman names the container itself
	}
	return "", ""
}

// noise is what happens to a container without a change of what is kept. Checks
// of health alone cause three such events each.
func noise(what string) bool {
	switch what {
	case "attach", "detach", "commit", "copy", "archive-path", "extract-to-dir", "export", "top", "resize", "exec", "init":
		return true
	}
	return strings.HasPrefix(what, "exec_")
}
