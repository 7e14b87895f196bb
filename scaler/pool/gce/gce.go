// Package gce makes a pool of a managed instance group of Google's Compute Engine,
// zonal or regional.
//
// A member is an instance of the group; its ID is the instance's number, so one that
// the group makes anew under an old name is another member. An instance that is
// asked for and not made yet has none: its ID is "name/" and its name, until it has. All that is true of members is read from the group, which is as well the mark
// by which they are known: an empty data folder adopts them.
//
// Who resizes the group is declared, and held to. In mode direct Flyball names new
// members and chooses victims, and never sets a size, which would let the group
// choose. In mode only_scale_out Google's autoscaler adds members, and Flyball ends
// those it chose. In mode floor it sets the least size of Google's autoscaler, and
// touches no member. A group whose autoscaler says otherwise is drift: it is not
// acted on.
//
// Nothing is waited for but, for a few seconds, the operations that a step began;
// what they come to later is read by later looks. A member that cannot be made in
// time, or whose operation fails, counts as dead: the rules replace it, which hands back
// what the group would try to make for ever.
package gce

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/api/compute/v1"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
	"flyball/scaler/pool/transport"
)

var _ scaler.Pool = (*Pool)(nil)

// Env is what a pool is given by its surroundings.
type Env struct {
	Dir       string            // the pool's folder; nothing is kept in it, for the group knows all
	Now       func() time.Time  // default: time.Now
	Log       *slog.Logger      // default: discards
	Transport http.RoundTripper // default: one like http.DefaultTransport
	Metrics   *Metrics          // shared by all pools; nil: nothing is counted
}

// Pool is a pool of instances of one group. It is safe for concurrent use.
type Pool struct {
	name     string
	cfg      Config
	now      func() time.Time
	log      *slog.Logger
	metrics  *Metrics
	metadata http.RoundTripper // to the machine's own; no proxy is asked
	api      *compute.Service
	place    place

	acting  chan struct{} // held by a step
	looking chan struct{} // held by who asks for a new snapshot

	self self // the instance that Flyball runs on

	mu        sync.Mutex                   // what follows
	snap      *snapshot                    // nil: none was taken yet
	changes   int                          // steps begun and ended; a snapshot from before one is not believed
	acted     time.Time                    // last step
	waits     time.Time                    // until then the project has no requests left
	wanted    map[string]time.Time         // names asked for and not listed yet, since
	ended     map[rules.MemberID]time.Time // asked to end and still listed, since
	making    map[string]time.Time         // names in the making, since
	told      map[string]bool              // names that were not made in time, which a growth told
	stopped   map[rules.MemberID]time.Time // run no more, since
	states    map[rules.MemberID]standing
	machines  map[uint64]machine
	numbers   map[string]uint64  // of the instances that bore the names last
	open      map[string]pending // operations that are under way, by name
	failed    untold
	stillborn map[string]stillborn // by name
}

// New returns the pool of the group that c names. Nothing is asked yet.
func New(name string, c Config, env Env) (*Pool, error) {
	if fs := c.Validate("gce"); len(fs) > 0 {
		return nil, fmt.Errorf("configure pool %s: %s: %s", name, fs[0].Path, fs[0].Text)
	}
	c = c.withDefaults()
	base, metadata := env.Transport, env.Transport
	if base == nil {
		base, metadata = transport.New(), &http.Transport{DisableKeepAlives: true}
	}
	if env.Metrics != nil {
		env.Metrics.begin(name)
		base = counter{base, env.Metrics, name}
	}
	api, err := newService(c.Endpoint, newSigner(base, metadata, c))
	if err != nil {
		return nil, fmt.Errorf("configure pool %s: %w", name, err)
	}
	p := &Pool{
		name: name, cfg: c, now: env.Now, log: env.Log, metrics: env.Metrics, metadata: metadata, api: api, place: newPlace(api, c),
		acting: make(chan struct{}, 1), looking: make(chan struct{}, 1),
		wanted: map[string]time.Time{}, ended: map[rules.MemberID]time.Time{}, making: map[string]time.Time{}, told: map[string]bool{}, stopped: map[rules.MemberID]time.Time{},
		states: map[rules.MemberID]standing{}, machines: map[uint64]machine{}, numbers: map[string]uint64{}, open: map[string]pending{}, stillborn: map[string]stillborn{},
	}
	if p.now == nil {
		p.now = time.Now
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.log = p.log.With("pool", name)
	return p, nil
}

// where names the group for people.
func (p *Pool) where() string {
	in := "zone " + p.cfg.Zone
	if p.cfg.Region != "" {
		in = "region " + p.cfg.Region
	}
	return fmt.Sprintf("group %s in %s of project %s", p.cfg.Group, in, p.cfg.Project)
}

// take waits for a turn.
func take(ctx context.Context, turn chan struct{}) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the call before: %w", ctx.Err())
	}
}

func give(turn chan struct{}) { <-turn }

// changed makes snapshots from before now be of no worth.
func (p *Pool) changed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes++
	p.acted = p.now()
}

// requestID is by what Google knows a request that is repeated: the same for the
// same part of the same step, in the form of a UUID of RFC 9562, version 8.
func (p *Pool) requestID(s journal.Step, part int) string {
	victims := make([]string, 0, len(s.Victims))
	for _, v := range s.Victims {
		victims = append(victims, string(v))
	}
	slices.Sort(victims)
	names := slices.Sorted(slices.Values(s.Names))
	h := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%d\n%d\n%s\n%s", p.name, s.ID, s.Verb, s.To, part,
		strings.Join(names, ","), strings.Join(victims, ",")))
	h[6] = h[6]&0x0f | 0x80
	h[8] = h[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}
