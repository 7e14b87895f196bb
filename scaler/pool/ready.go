package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
)

const (
	probesAtOnce = 64              // members asked at one time
	firstWithin  = 2 * time.Second // what the first look spends on asking, at most; or half of the time that it has
	relookWithin = 5 * time.Second // what a look after a step may take
)

// errUnsaid is no answer of a member's: the question was broken off.
var errUnsaid = errors.New("the question was broken off")

// ready lets the members themselves say whether they are booting, ready or
// unhealthy; the provider's word on who is dead or leaving stands.
//
// Members are asked in the background, by [ready.Run]; a look tells what they
// said last. Only the first look asks them itself, so that after a restart those
// who are ready are so at once. Since when they are is kept in a file.
type ready struct {
	pool  scaler.Pool
	cfg   Ready
	state string // file
	now   func() time.Time
	log   *slog.Logger
	ask   func(ctx context.Context, addr string) error

	first   sync.Mutex // held by the first look until it is done
	mu      sync.Mutex
	looked  bool
	members []rules.Member // as the provider listed them last
	health  map[rules.MemberID]*health
	stale   bool // a step was done since the provider was looked at
	looking bool // the provider is looked at for that
	places  chan struct{}
	saving  sync.Mutex
}

// health is what a member said of itself.
type health struct {
	State  rules.State `json:"state"`
	Since  time.Time   `json:"since"`
	failed int         // in a row
	why    string      // what the last failure said
	asking bool
}

func newReady(p scaler.Pool, c Ready, state string, env Env) *ready {
	return &ready{
		pool: p, cfg: c, state: state, now: env.Now, log: env.Log, ask: newAsker(c, env.Dial),
		health: map[rules.MemberID]*health{}, places: make(chan struct{}, probesAtOnce),
	}
}

// Look implements [scaler.Pool].
func (r *ready) Look(ctx context.Context) ([]rules.Member, rules.Terms, error) {
	ms, terms, err := r.pool.Look(ctx)
	if err != nil {
		return nil, terms, err
	}
	if err := r.askFirst(ctx, ms, terms); err != nil {
		return nil, terms, err
	}
	r.track(ms, terms)
	r.mu.Lock()
	defer r.mu.Unlock()
	out := slices.Clone(ms)
	for i, m := range out {
		h := r.health[m.ID]
		switch {
		case h == nil: // it is dead or leaving
		case h.State != rules.Booting:
			out[i].State, out[i].Since = h.State, h.Since
		case m.State != rules.Booting: // the provider says active; it has not said so itself
			out[i].State, out[i].Since = rules.Booting, h.Since
		}
		if h != nil && h.failed > 0 {
			out[i].Note = strings.TrimPrefix(m.Note+", "+h.why, ", ")
		}
	}
	return out, terms, nil
}

// askFirst asks everybody once, on the first look.
func (r *ready) askFirst(ctx context.Context, ms []rules.Member, terms rules.Terms) error {
	r.first.Lock()
	defer r.first.Unlock()
	if r.hasLooked() {
		return nil
	}
	if err := r.recall(); err != nil {
		return err
	}
	r.track(ms, terms)
	within, cancel := context.WithTimeout(ctx, askWithin(ctx))
	defer cancel()
	var wg sync.WaitGroup
	r.round(within, &wg)
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looked = true
	return nil
}

// askWithin is how long members may be asked in a first look. Half of the time that is
// left is enough for the others: a look that fails asks everybody anew.
func askWithin(ctx context.Context) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return min(firstWithin, time.Until(end)/2)
	}
	return firstWithin
}

func (r *ready) hasLooked() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.looked
}

// Grow implements [scaler.Pool].
func (r *ready) Grow(ctx context.Context, s journal.Step) error {
	defer r.changed()
	return r.pool.Grow(ctx, s)
}

// Remove implements [scaler.Pool].
func (r *ready) Remove(ctx context.Context, s journal.Step) error {
	defer r.changed()
	return r.pool.Remove(ctx, s)
}

func (r *ready) changed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stale = true
}

// Run asks every member, each interval, until ctx ends and the last has answered.
// A member is not asked anew before it has answered, or its time is over; a slow
// one delays nobody.
func (r *ready) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(r.cfg.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if r.toRelook() {
			wg.Go(func() { r.relook(ctx) })
		}
		r.round(ctx, &wg)
	}
}

// toRelook reports whether a step may have changed the members since the provider was
// looked at, and nobody looks.
func (r *ready) toRelook() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.stale || !r.looked || r.looking {
		return false
	}
	r.stale, r.looking = false, true
	return true
}

// relook asks the provider for the members after a step: a new one is asked at once,
// however seldom the pool is judged. A provider that hangs delays no question.
func (r *ready) relook(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, relookWithin)
	defer cancel()
	ms, terms, err := r.pool.Look(within)
	if err == nil {
		r.track(ms, terms)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looking = false
	r.stale = r.stale || err != nil // tried again
}

// round begins to ask everybody who is not being asked.
func (r *ready) round(ctx context.Context, wg *sync.WaitGroup) {
	for _, m := range r.toAsk() {
		wg.Go(func() {
			select {
			case r.places <- struct{}{}:
			case <-ctx.Done():
				r.heard(m.ID, errUnsaid)
				return
			}
			defer func() { <-r.places }()
			within, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
			defer cancel()
			err := r.ask(within, m.Addr)
			if ctx.Err() != nil {
				err = errUnsaid
			}
			r.heard(m.ID, err)
		})
	}
}

func (r *ready) toAsk() []rules.Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ms []rules.Member
	for _, m := range r.members {
		if h := r.health[m.ID]; h != nil && !h.asking && m.Addr != "" {
			h.asking = true
			ms = append(ms, m)
		}
	}
	return ms
}

// heard takes a member's answer down; err is nil for a yes.
func (r *ready) heard(id rules.MemberID, err error) {
	r.mu.Lock()
	h := r.health[id]
	if h == nil {
		r.mu.Unlock()
		return // is gone
	}
	h.asking = false
	before := h.State
	switch {
	case errors.Is(err, errUnsaid):
	case err == nil:
		h.failed = 0
		h.State = rules.Ready
	default:
		h.failed++
		h.why = err.Error()
		if h.State == rules.Ready && h.failed >= r.cfg.Failures {
			h.State = rules.Unhealthy
		}
	}
	state := h.State
	if state != before {
		h.Since = r.now()
	}
	member := rules.NamesOf([]rules.MemberID{id}, r.members)[0]
	r.mu.Unlock()
	if state != before {
		member.Note = ""
		told := []any{"member", member.String(), "from", before, "to", state}
		if err != nil {
			told = append(told, "err", err)
		}
		r.log.Info("member changed", told...)
		r.save()
	}
}

// track takes the provider's list over: who came is booting, who ended is forgotten,
// unless the list is not believed.
func (r *ready) track(ms []rules.Member, terms rules.Terms) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members = slices.Clone(ms)
	lives, listed := map[rules.MemberID]bool{}, map[rules.MemberID]bool{}
	for _, m := range ms {
		listed[m.ID] = true
		if m.State == rules.Dead || m.State == rules.Leaving {
			continue
		}
		lives[m.ID] = true
		if r.health[m.ID] == nil {
			r.health[m.ID] = &health{State: rules.Booting, Since: r.bootsSince(m)}
		}
	}
	for id := range r.health {
		if !lives[id] && (listed[id] || terms.Drift == "") {
			delete(r.health, id)
		}
	}
}

// bootsSince is since when a member that was not seen before boots. One that the provider
// calls ready, and be it for days, has all the time of a boot to say so itself: that it
// does not may be Flyball's own fault, which was moved, or lost its folder.
func (r *ready) bootsSince(m rules.Member) time.Time {
	if m.State == rules.Booting {
		return m.Since
	}
	return r.now()
}

// recall reads since when members are ready. A file that cannot be understood is
// no reason not to look: it costs a warm-up.
func (r *ready) recall() error {
	kept := map[rules.MemberID]*health{}
	switch err := recall(r.state, &kept); {
	case errors.Is(err, errUnread):
		r.log.Warn("who was ready is not known any more", "file", r.state, "err", err)
		return nil
	case err != nil:
		return fmt.Errorf("read who is ready: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, h := range kept {
		if h != nil && (h.State == rules.Ready || h.State == rules.Unhealthy) {
			r.health[id] = h
		}
	}
	return nil
}

// save keeps since when members are ready; what is lost costs a warm-up.
func (r *ready) save() {
	r.saving.Lock()
	defer r.saving.Unlock()
	r.mu.Lock()
	kept := map[rules.MemberID]health{}
	for id, h := range r.health {
		kept[id] = *h
	}
	r.mu.Unlock()
	if err := keep(r.state, kept); err != nil {
		r.log.Warn("who is ready is not kept", "err", err)
	}
}
