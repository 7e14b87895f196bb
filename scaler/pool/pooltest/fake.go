package pooltest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
)

var _ scaler.Pool = (*Fake)(nil)

// Knobs are how a [Fake] misbehaves, and how long things take with it.
type Knobs struct {
	LookErr, GrowErr, RemoveErr error         // the call fails and does nothing
	GrowLost, RemoveLost        error         // the call fails, and yet is done
	Most                        int           // members there can be; 0 is any number
	Delay                       time.Duration // of every call, by the real clock or that of a synctest bubble
	Boot                        time.Duration // from made to ready; 0: at once
	Lists                       time.Duration // from made to listed
	Leaves                      time.Duration // from asked to gone
	Grace                       time.Duration // a stubborn member ends when asked again after this
	Stubborn                    bool          // members made from now on ignore the first wish
	NeverReady                  bool          // members made from now on boot for ever
	CrashAfter                  time.Duration // members made from now on end by themselves; 0: never
}

// Call is one call that a [Fake] got.
type Call struct {
	Verb string // look, grow, remove
	Step journal.Step
	At   time.Time
	Err  error
}

// Fake is a pool in memory: deterministic, without goroutines, and as old as the
// clock it is given says. Nothing survives but it itself: after a simulated
// restart the same Fake is used again. It is safe for concurrent use.
type Fake struct {
	mu      sync.Mutex
	now     func() time.Time
	terms   rules.Terms
	knobs   Knobs
	members []*fakeMember
	serial  int
	calls   []Call
	made    map[string]int
}

type fakeMember struct {
	rules.Member
	listed, ready, dies, gone time.Time // zero: never
	sick, stubborn            bool
	asked                     time.Time
}

// NewFake returns an empty pool with a provider's terms.
func NewFake(now func() time.Time, terms rules.Terms) *Fake {
	return &Fake{now: now, terms: terms, made: map[string]int{}}
}

// Set turns the knobs.
func (f *Fake) Set(turn func(*Knobs)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	turn(&f.knobs)
}

// Kill ends a member without asking.
func (f *Fake) Kill(id rules.MemberID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.find(id); m != nil {
		m.dies = f.now()
	}
}

// Sick makes a member unhealthy, or well again.
func (f *Fake) Sick(id rules.MemberID, sick bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.find(id); m != nil {
		m.sick = sick
	}
}

// Calls returns the calls so far, in their order.
func (f *Fake) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// Made says how often a member of that name was made.
func (f *Fake) Made(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.made[name]
}

// Living counts the members that live and were not asked to end, listed or not.
func (f *Fake) Living() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.living())
}

// Look implements [scaler.Pool].
func (f *Fake) Look(ctx context.Context) ([]rules.Member, rules.Terms, error) {
	var ms []rules.Member
	err := f.call(ctx, Call{Verb: "look"}, func(k Knobs) (error, error) {
		if k.LookErr != nil {
			return k.LookErr, nil
		}
		ms = f.list()
		return nil, nil
	})
	return ms, f.terms, err
}

// Grow implements [scaler.Pool].
func (f *Fake) Grow(ctx context.Context, s journal.Step) error {
	return f.call(ctx, Call{Verb: "grow", Step: s}, func(k Knobs) (error, error) {
		if k.GrowErr != nil {
			return k.GrowErr, nil
		}
		if !f.terms.Names {
			return f.growTo(s.To), k.GrowLost
		}
		var errs []error
		for _, n := range s.Names {
			errs = append(errs, f.make(n))
		}
		return errors.Join(errs...), k.GrowLost
	})
}

// Remove implements [scaler.Pool].
func (f *Fake) Remove(ctx context.Context, s journal.Step) error {
	return f.call(ctx, Call{Verb: "remove", Step: s}, func(k Knobs) (error, error) {
		if k.RemoveErr != nil {
			return k.RemoveErr, nil
		}
		if !f.terms.Victims {
			f.shrinkTo(s.To)
			return nil, k.RemoveLost
		}
		for _, id := range s.Victims {
			f.remove(id)
		}
		return nil, k.RemoveLost
	})
}

// call does one call; do returns its failure, and the one that hides its success.
func (f *Fake) call(ctx context.Context, c Call, do func(Knobs) (failed, lost error)) error {
	f.mu.Lock()
	delay := f.knobs.Delay
	f.mu.Unlock()
	if err := wait(ctx, delay); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.age()
	failed, lost := do(f.knobs)
	c.At, c.Err = f.now(), errors.Join(failed, lost)
	f.calls = append(f.calls, c)
	return c.Err
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// age lets those go who are gone by now.
func (f *Fake) age() {
	now := f.now()
	f.members = slices.DeleteFunc(f.members, func(m *fakeMember) bool { return past(m.gone, now) })
}

func past(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

func (f *Fake) list() []rules.Member {
	now := f.now()
	ms := []rules.Member{}
	for _, m := range f.members {
		if past(m.listed, now) {
			ms = append(ms, m.at(now))
		}
	}
	slices.SortFunc(ms, func(a, b rules.Member) int { return cmp.Compare(a.Name, b.Name) })
	return ms
}

// at is the member as it is at a time.
func (m *fakeMember) at(now time.Time) rules.Member {
	out := m.Member
	switch {
	case !m.asked.IsZero():
		out.State, out.Since = rules.Leaving, m.asked
	case past(m.dies, now):
		out.State, out.Since, out.Note = rules.Dead, m.dies, "ended with status 1"
	case m.sick && past(m.ready, now):
		out.State = rules.Unhealthy
	case past(m.ready, now):
		out.State, out.Since = rules.Ready, m.ready
	}
	return out
}

func (f *Fake) find(id rules.MemberID) *fakeMember {
	i := slices.IndexFunc(f.members, func(m *fakeMember) bool { return m.ID == id })
	if i < 0 {
		return nil
	}
	return f.members[i]
}

func (f *Fake) living() []*fakeMember {
	now := f.now()
	return slices.DeleteFunc(slices.Clone(f.members), func(m *fakeMember) bool {
		return !m.asked.IsZero() || past(m.dies, now)
	})
}

// make makes a member, unless it lives.
func (f *Fake) make(name string) error {
	now := f.now()
	for _, m := range f.members {
		if m.Name != name {
			continue
		}
		if m.asked.IsZero() && !past(m.dies, now) {
			return nil
		}
		return fmt.Errorf("make %s: one of that name has ended and is not removed yet", name)
	}
	if name == "" || strings.ContainsAny(name, "/ ") {
		return fmt.Errorf("make %q: this is no name", name)
	}
	k := f.knobs
	if k.Most > 0 && len(f.members) >= k.Most {
		return fmt.Errorf("make %s: quota: %d members are the most", name, k.Most)
	}
	f.serial++
	f.made[name]++
	m := &fakeMember{listed: now.Add(k.Lists), ready: now.Add(k.Boot), stubborn: k.Stubborn}
	m.Member = rules.Member{
		ID: rules.MemberID(name + "." + strconv.Itoa(f.serial)), Name: name, State: rules.Booting, Since: now, Born: now,
		Version: f.terms.Version,
		Addr:    "10.0." + strconv.Itoa(f.serial/250) + "." + strconv.Itoa(f.serial%250+1) + ":80",
	}
	if k.NeverReady {
		m.ready = time.Time{}
	}
	if k.CrashAfter > 0 {
		m.dies = now.Add(k.CrashAfter)
	}
	f.members = append(f.members, m)
	return nil
}

func (f *Fake) remove(id rules.MemberID) {
	m, now := f.find(id), f.now()
	switch {
	case m == nil:
	case past(m.dies, now) && m.asked.IsZero():
		f.members = slices.DeleteFunc(f.members, func(x *fakeMember) bool { return x == m })
	case m.asked.IsZero():
		m.asked = now
		if !m.stubborn {
			m.gone = now.Add(f.knobs.Leaves)
		}
	case m.stubborn && now.Sub(m.asked) >= f.knobs.Grace:
		m.gone = now
	}
}

// growTo is what a provider does that takes a size and nothing else.
func (f *Fake) growTo(size int) error {
	for len(f.living()) < size {
		if err := f.make("auto-" + strconv.Itoa(f.serial+1)); err != nil {
			return err
		}
	}
	return nil
}

// shrinkTo is the same the other way: it takes the youngest away.
func (f *Fake) shrinkTo(size int) {
	living := f.living()
	for i := len(living) - 1; i >= max(size, 0); i-- {
		f.remove(living[i].ID)
	}
}
