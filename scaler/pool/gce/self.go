package gce

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/api/compute/v1"

	"flyball/rules"
)

// selfURL is where an instance learns its own number; other machines do not find it.
const selfURL = "http://metadata.google.internal/computeMetadata/v1/instance/id"

// selfTime bounds the one question that is asked there.
const selfTime = time.Second

// readSelf is the number of the instance that this program runs on; 0 if it runs on
// none.
func readSelf(ctx context.Context, through http.RoundTripper) uint64 {
	ctx, cancel := context.WithTimeout(ctx, selfTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, selfURL, nil)
	if err != nil {
		return 0
	}
	r.Header.Set("Metadata-Flavor", "Google")
	res, err := through.RoundTrip(r)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 64))
	id, bad := strconv.ParseUint(strings.TrimSpace(string(raw)), 10, 64)
	if err != nil || bad != nil || res.StatusCode != http.StatusOK || res.Header.Get("Metadata-Flavor") != "Google" {
		return 0
	}
	return id
}

// here reports whether Flyball runs on an instance. It is asked for once, at the first
// look, and only where the instances are Google's own.
func (p *Pool) here(ctx context.Context, m *compute.ManagedInstance) bool {
	if p.cfg.Endpoint != defaultEndpoint {
		return false
	}
	p.selfOnce.Do(func() { p.self = readSelf(context.WithoutCancel(ctx), p.base) })
	return m.Id != 0 && m.Id == p.self
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
