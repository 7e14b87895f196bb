package container

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/moby/moby/client"
)

// facts are what is asked of an engine once.
type facts struct {
	hidden    bool   // its containers' addresses cannot be reached from this machine
	kind      string // why, for people
	logDriver string // its default; podman's Docker-compatible API does not say
}

// learn asks the engine what it is, until it has answered once.
func (p *Pool) learn(ctx context.Context) (facts, error) {
	p.mu.Lock()
	known := p.facts
	p.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	res, err := p.engine.Info(ctx, client.InfoOptions{})
	if err != nil {
		return facts{}, explain("ask the engine about itself", err)
	}
	f := facts{logDriver: res.Info.LoggingDriver}
	switch {
	case slices.Contains(res.Info.SecurityOptions, "name=rootless"):
		f.hidden, f.kind = true, "rootless"
	case res.Info.OperatingSystem == "Docker Desktop":
		f.hidden, f.kind = true, "Docker Desktop"
	}
	p.mu.Lock()
	p.facts = &f
	p.mu.Unlock()
	return f, nil
}

// explain says what was being done. Why an engine cannot be reached, and what to do
// about it, is said by who dials.
func explain(doing string, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the address that the client makes up
	}
	return fmt.Errorf("%s: %w", doing, err)
}
