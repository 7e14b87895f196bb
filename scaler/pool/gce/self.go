package gce

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/api/compute/v1"

	"flyball/rules"
)

// The question to the machine's metadata is bounded, and asked again only so often: the
// network may not be up yet, and the machine may be busy.
const (
	selfTime  = time.Second
	selfAgain = time.Minute
)

// A self is the instance that this program runs on, as far as is known.
type self struct {
	mu    sync.Mutex
	id    uint64    // 0: none, or none that is known
	sure  bool      // it is not asked for again
	again time.Time // it is asked for no sooner
}

// readSelf is the number of the instance that this program runs on; 0 if it runs on
// none, or if that is not sure.
func readSelf(ctx context.Context, through http.RoundTripper) (id uint64, sure bool) {
	ctx, cancel := context.WithTimeout(ctx, selfTime)
	defer cancel()
	raw, err := readMetadata(ctx, through, "instance/id")
	if err != nil {
		return 0, errors.Is(err, errNotThere) || errors.Is(err, syscall.ECONNREFUSED)
	}
	if id, err = strconv.ParseUint(strings.TrimSpace(string(raw)), 10, 64); err != nil {
		return 0, false
	}
	return id, true
}

// runsOn is the instance that Flyball runs on; 0: none. It is asked for until that is
// sure, and only where the instances are Google's own.
func (p *Pool) runsOn(ctx context.Context) uint64 {
	if p.cfg.Endpoint != defaultEndpoint {
		return 0
	}
	s := &p.self
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := p.now(); !s.sure && !now.Before(s.again) {
		s.id, s.sure = readSelf(context.WithoutCancel(ctx), p.metadata)
		s.again = now.Add(selfAgain)
	}
	return s.id
}

// here reports whether Flyball runs on an instance.
func (p *Pool) here(ctx context.Context, m *compute.ManagedInstance) bool {
	return m.Id != 0 && m.Id == p.runsOn(ctx)
}

// keep marks the member that Flyball runs on, which is never ended.
func (p *Pool) keep(ctx context.Context, s *snapshot, ms []rules.Member) []rules.Member {
	at := slices.IndexFunc(s.members, func(m *compute.ManagedInstance) bool { return p.here(ctx, m) })
	for i := range ms {
		ms[i].Kept = at >= 0 && ms[i].ID == idOf(s.members[at])
	}
	return ms
}

// findSelf tells whether Flyball runs on a member of the pool that it resizes.
func (p *Pool) findSelf(ctx context.Context, s *snapshot) (f rules.Finding, is bool) {
	for _, m := range s.members {
		if p.here(ctx, m) {
			return rules.Finding{
				What: "where Flyball runs", Text: "it runs on " + nameOf(m) + ", a member of this pool, which it never ends; the group may",
				Hint: "run it on a machine of its own",
			}, true
		}
	}
	return f, false
}
