package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
)

// A list that lacks many is not believed until it says the same for so long, and in
// so many looks.
const (
	disbelief    = 5 * time.Minute
	doubtedLooks = 10
)

// A member that came less than lag ago and is missed, while this program runs for less
// than that, may only not be listed yet: who knew better than the list that it was made
// was the program before this one.
const lag = time.Minute

// awaited is how long a name that was asked for is waited for: one that comes later
// was asked for by nobody.
const awaited = time.Hour

// drift knows who was there and who was asked to end, and so sees what others did to
// the pool. A list from which more than a third of the members have vanished, and at
// least two, or all, without our asking, is drift: it may be the list that is wrong
// (half of seven is three or four), and nothing is done until it is whole again, or has
// said the same for long enough. What is less than that is told, and taken as it is.
//
// Members are known by their names, for a provider may make one anew under its name.
// A pool that takes no victims chooses itself who ends: there somebody is missed only
// if fewer are listed than were ordered last.
type drift struct {
	scaler.Pool
	file  string
	now   func() time.Time
	log   *slog.Logger
	count func(what string)
	begun time.Time     // when this program began
	turn  chan struct{} // held by a look: an older list must not be compared after a newer one

	mu    sync.Mutex
	read  bool
	known known
	looks int // in a row that said the same while there is doubt
}

// known is what is kept of a pool.
type known struct {
	Members map[string]seen      `json:"members"`           // by name
	Awaited map[string]time.Time `json:"awaited,omitempty"` // names asked for and not listed yet, since
	Ordered int                  `json:"ordered,omitempty"` // the size ordered last, where no victims are taken
	Begun   bool                 `json:"begun"`             // the pool was looked at
	Missed  []string             `json:"missed,omitempty"`  // who vanished from a list that is not believed; sorted
	Since   time.Time            `json:"since,omitzero"`    // they are missed
}

// seen is a member as it was listed last.
type seen struct {
	ID    rules.MemberID `json:"id"`
	Ended bool           `json:"ended,omitempty"` // it was asked to end, by us or by others
	Came  time.Time      `json:"came,omitzero"`   // when it was listed first
}

// What happens behind our back, as it is counted.
const (
	driftVanished = "vanished" // a member is gone, and was not asked to end by us
	driftAppeared = "appeared" // a member came that was not asked for by us
	driftDoubted  = "doubted"  // a list was not believed from here on
)

func newDrift(p scaler.Pool, name, file string, env Env) *drift {
	d := &drift{
		Pool: p, file: file, now: env.Now, log: env.Log.With("pool", name), count: func(string) {},
		begun: env.Now(), turn: make(chan struct{}, 1),
		known: known{Members: map[string]seen{}, Awaited: map[string]time.Time{}},
	}
	if env.Metrics != nil {
		d.count = env.Metrics.drifts(name)
	}
	return d
}

// Look implements [scaler.Pool].
func (d *drift) Look(ctx context.Context) ([]rules.Member, rules.Terms, error) {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return nil, rules.Terms{}, fmt.Errorf("wait for the look before: %w", ctx.Err())
	}
	ms, terms, err := d.Pool.Look(ctx)
	if err != nil {
		return nil, terms, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.recall(); err != nil {
		return nil, terms, err
	}
	if text := d.compare(ms, terms); text != "" {
		terms.Drift = strings.TrimPrefix(terms.Drift+"; "+text, "; ")
	}
	return ms, terms, nil
}

// Grow implements [scaler.Pool].
func (d *drift) Grow(ctx context.Context, s journal.Step) error {
	if err := d.note(func() {
		for _, n := range s.Names {
			d.known.Awaited[n] = d.now()
		}
		d.known.Ordered = s.To
	}); err != nil {
		return err
	}
	return d.Pool.Grow(ctx, s)
}

// Remove implements [scaler.Pool].
func (d *drift) Remove(ctx context.Context, s journal.Step) error {
	if err := d.note(func() {
		for n, m := range d.known.Members {
			if slices.Contains(s.Victims, m.ID) {
				m.Ended = true
				d.known.Members[n] = m
			}
		}
		d.known.Ordered = s.To
	}); err != nil {
		return err
	}
	return d.Pool.Remove(ctx, s)
}

// note writes down what is about to be asked for.
func (d *drift) note(change func()) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.recall(); err != nil {
		return err
	}
	change()
	d.save()
	return nil
}

// compare holds a list against what is known, and says why it is not believed; "": it
// is, and is what is known from now on.
func (d *drift) compare(ms []rules.Member, terms rules.Terms) string {
	listed := map[string]rules.Member{}
	for _, m := range ms {
		listed[m.Name] = m
	}
	missed := d.missed(listed)
	if young := d.young(missed); len(young) > 0 {
		return fmt.Sprintf("%s came less than %s ago and vanished from the provider's list, which may lag", shortened(young), lag)
	}
	if d.doubtful(missed, ms, terms) {
		if text := d.doubt(missed); text != "" {
			return text
		}
	}
	changed := len(d.known.Missed) > 0
	d.known.Missed, d.known.Since, d.looks = nil, time.Time{}, 0
	d.report(missed, listed, terms)
	if d.learn(listed) || changed {
		d.save()
	}
	return ""
}

// missed are the members that were there, were not asked to end, and are not listed.
func (d *drift) missed(listed map[string]rules.Member) []string {
	var out []string
	for n, m := range d.known.Members {
		if _, there := listed[n]; !there && !m.Ended {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// young are those of the missed who may only not be listed yet.
func (d *drift) young(missed []string) []string {
	now := d.now()
	if now.Sub(d.begun) >= lag {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(missed), func(n string) bool { return now.Sub(d.known.Members[n].Came) >= lag })
}

// doubtful reports whether so many are missed that the list may be wrong.
func (d *drift) doubtful(missed []string, ms []rules.Member, terms rules.Terms) bool {
	if len(missed) == 0 || !terms.Victims && d.known.Ordered > 0 && len(ms) >= d.known.Ordered {
		return false
	}
	there := 0
	for _, m := range d.known.Members {
		if !m.Ended {
			there++
		}
	}
	if !terms.Victims && d.known.Ordered == 0 {
		return len(ms) == 0
	}
	return len(missed) >= 2 && 3*len(missed) > there || len(ms) == 0
}

// doubt says why a list is not believed; "" if it has said the same for long enough.
func (d *drift) doubt(missed []string) string {
	now := d.now()
	if !slices.Equal(missed, d.known.Missed) || now.Before(d.known.Since) {
		if len(d.known.Missed) == 0 {
			d.count(driftDoubted)
			d.log.Error("many members vanished from the provider's list, which is not believed", "members", missed)
		}
		d.known.Missed, d.known.Since, d.looks = missed, now, 0
		d.save()
	}
	d.looks++
	until := d.known.Since.Add(disbelief)
	if d.looks >= doubtedLooks && !now.Before(until) {
		return ""
	}
	return fmt.Sprintf("%d of %d members vanished from the provider's list and were not asked to end (%s); it is believed if it says the same until %s",
		len(missed), len(d.known.Members), shortened(missed), until.UTC().Format("15:04:05Z"))
}

// shortened names the first few.
func shortened(names []string) string {
	if len(names) > 3 {
		return strings.Join(names[:3], ", ") + ", ..."
	}
	return strings.Join(names, ", ")
}

// report tells what others did to the pool, once.
func (d *drift) report(missed []string, listed map[string]rules.Member, terms rules.Terms) {
	if !d.known.Begun {
		if len(listed) > 0 {
			d.log.Info("members were there before this was known of them", "members", slices.Sorted(maps.Keys(listed)))
		}
		return
	}
	for _, n := range missed {
		if terms.Victims {
			d.count(driftVanished)
			d.log.Warn("a member is gone that was not asked to end", "member", n, "id", d.known.Members[n].ID)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(listed)) {
		_, before := d.known.Members[n]
		_, asked := d.known.Awaited[n]
		if !before && !asked && terms.Names {
			d.count(driftAppeared)
			d.log.Warn("a member came that was not asked for", "member", n, "id", listed[n].ID)
		}
	}
}

// learn takes a list over, and reports whether anything is new.
func (d *drift) learn(listed map[string]rules.Member) bool {
	changed := !d.known.Begun
	d.known.Begun = true
	for n := range d.known.Members {
		if _, there := listed[n]; !there {
			delete(d.known.Members, n)
			changed = true
		}
	}
	for n, m := range listed {
		old, before := d.known.Members[n]
		is := seen{ID: m.ID, Ended: m.State == rules.Leaving || old.Ended && old.ID == m.ID, Came: old.Came}
		if old.ID != m.ID {
			is.Came = d.now().UTC().Round(0)
		}
		if !before || is != old {
			d.known.Members[n] = is
			changed = true
		}
	}
	for n, since := range d.known.Awaited {
		if _, there := listed[n]; there || d.now().Sub(since) > awaited {
			delete(d.known.Awaited, n)
			changed = true
		}
	}
	return changed
}

// recall reads what was kept, once. A file that cannot be understood is as none: all
// that is there is taken as it is.
func (d *drift) recall() error {
	if d.read {
		return nil
	}
	kept := known{}
	switch err := recall(d.file, &kept); {
	case errors.Is(err, errUnread):
		d.log.Warn("who was in the pool is not known any more", "file", d.file, "err", err)
		kept = known{}
	case err != nil:
		return fmt.Errorf("read who was in the pool: %w", err)
	}
	d.known = kept
	if d.known.Members == nil {
		d.known.Members = map[string]seen{}
	}
	if d.known.Awaited == nil {
		d.known.Awaited = map[string]time.Time{}
	}
	d.read = true
	return nil
}

// save keeps what is known. What is lost may be taken for drift after a restart, for
// a few minutes.
func (d *drift) save() {
	if err := keep(d.file, d.known); err != nil {
		d.log.Warn("who is in the pool is not kept", "err", err)
	}
}
