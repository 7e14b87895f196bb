package container

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// end is how and when a member ended.
type end struct {
	at     time.Time
	status string // for people
}

// endsOf returns how those ended who ended without being asked to, by ID; nil for
// one whose container is gone.
func (p *Pool) endsOf(ctx context.Context, cs []container.Summary, notes map[string]note) (map[string]*end, error) {
	var dead []container.Summary
	for _, c := range cs {
		if hasEnded(c.State) && notes[c.ID].Asked.IsZero() {
			dead = append(dead, c)
		}
	}
	ends := make([]*end, len(dead))
	err := each(len(dead), func(i int) (err error) {
		ends[i], err = p.end(ctx, dead[i])
		return err
	})
	out := map[string]*end{}
	for i, c := range dead {
		out[c.ID] = ends[i]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.ends, func(id string, _ *end) bool { return out[id] == nil }) // gone, or started again by somebody
	return out, err
}

// end asks the engine once how a member ended; nil if its container is gone.
func (p *Pool) end(ctx context.Context, c container.Summary) (*end, error) {
	p.mu.Lock()
	e := p.ends[c.ID]
	p.mu.Unlock()
	if e != nil {
		return e, nil
	}
	res, err := p.engine.ContainerInspect(ctx, c.ID, client.ContainerInspectOptions{})
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, explain("ask how "+c.Labels[labelMember]+" ended", err)
	}
	e = endOf(res.Container.State, p.now())
	p.mu.Lock()
	p.ends[c.ID] = e
	p.mu.Unlock()
	return e, nil
}

// endOf reads how a container ended. Where the engine does not say when, it was now.
func endOf(s *container.State, now time.Time) *end {
	if s == nil {
		return &end{now, "ended with a status that is not known"}
	}
	at, err := time.Parse(time.RFC3339Nano, s.FinishedAt)
	if err != nil || at.Year() < 2000 {
		at = now
	}
	return &end{at, statusOf(s)}
}

// statusOf says how a container ended, in the words that processes have for it.
func statusOf(s *container.State) string {
	text := fmt.Sprintf("ended with status %d", s.ExitCode)
	if sig := syscall.Signal(s.ExitCode - 128); sig > 0 && sig < 65 {
		text = fmt.Sprintf("ended by signal %d (%s)", int(sig), sig)
	}
	if s.OOMKilled {
		text += ", out of memory"
	}
	if s.Error != "" {
		text += ": " + strings.TrimSpace(s.Error)
	}
	return text
}
