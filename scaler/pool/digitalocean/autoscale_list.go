package digitalocean

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/digitalocean/godo"

	"flyball/rules"
)

// sized is what the targets have in common whose provider makes and ends the members
// itself, and is told a size. It is safe for concurrent use.
type sized struct {
	base
	turn chan struct{} // held by who changes the size

	mu      sync.Mutex
	since   map[rules.MemberID]stateSince // what each was at the last look
	told    string                        // what was warned of last
	touched time.Time                     // when something was done last
}

// How old what is known of a pool may be while its members come or go, and how long
// after something was done they are taken to. Such pools move in minutes.
const (
	movingAge  = 5 * time.Second
	movingTime = 2 * time.Minute
)

func newSized(b base) sized {
	return sized{base: b, turn: make(chan struct{}, 1), since: map[rules.MemberID]stateSince{}}
}

// take waits for the turn to change the size: between the reading of a size and the
// writing of the next one nobody else comes.
func (s *sized) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the step before: %w", ctx.Err())
	}
}

func (s *sized) give() { <-s.turn }

// touch remembers that something was done.
func (s *sized) touch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.touched = s.now()
	s.account.fleet.changed()
}

// age is how old a list of so many members may be.
func (s *sized) age(members int, moving bool) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	moving = moving || !s.touched.IsZero() && s.now().Sub(s.touched) < movingTime
	age := s.account.budget.age(1+members/pageSize, moving)
	return max(age, movingAge)
}

// listed are the account's Droplets by their numbers; those that are sought, because
// they are up, are looked for anew if they have no address yet.
func (s *sized) listed(ctx context.Context, up []int) (map[int]godo.Droplet, error) {
	all, _, err := s.account.fleet.droplets(ctx, false)
	if err != nil {
		return nil, err
	}
	known := byID(all)
	if !slices.ContainsFunc(up, func(id int) bool { return addrOf(known[id], s.cfg.Address, s.cfg.Port) == "" }) {
		return known, nil
	}
	all, _, err = s.account.fleet.droplets(ctx, true)
	return byID(all), err
}

// warn warns of what a pool suffers from, once as long as it is the same; "" is
// nothing.
func (s *sized) warn(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if what != "" && what != s.told {
		s.log.Warn("the pool cannot be steered", "why", what)
	}
	s.told = what
}

// stamp says of members since when they are what they are, and sorts them by name.
func (s *sized) stamp(ms []rules.Member) []rules.Member {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now().UTC()
	seen := make(map[rules.MemberID]stateSince, len(ms))
	for i, m := range ms {
		was, known := s.since[m.ID]
		switch {
		case known && was.state == m.State:
		case !known && (m.State == rules.Booting || m.State == rules.Ready) && !m.Born.IsZero():
			was = stateSince{m.State, m.Born}
		default:
			was = stateSince{m.State, now}
		}
		seen[m.ID], ms[i].Since = was, was.at
	}
	s.since = seen
	slices.SortFunc(ms, func(a, b rules.Member) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return ms
}

// under is what the account's list says of a member's Droplet: its address, if it has
// one, and that it is off, which the provider may not say. name is used if it is not
// listed yet.
func (s *sized) under(m *rules.Member, d godo.Droplet, listed bool) {
	if !listed {
		m.Note += ", not in the list of Droplets yet"
		return
	}
	m.Name, m.Addr, m.Note = d.Name, addrOf(d, s.cfg.Address, s.cfg.Port), m.Note+", "+whereOf(d)
	if isOff(d) && m.State != rules.Leaving {
		m.State, m.Note = rules.Dead, m.Note+", turned off, not by Flyball"
	}
}

// terms are those of a pool of that many members of a size; the account's Droplet
// limit is one for all that there are, nodes included.
func (s *sized) terms(ms []rules.Member, size string, most int) rules.Terms {
	known, headroom := s.account.fleet.headroom()
	t := rules.Terms{Most: most, Price: known.prices[size], Currency: "USD"}
	if known.droplets > 0 {
		t.Most = max(1, min(most, rules.Provided(ms)+max(0, headroom)))
	}
	return t
}

// byID are Droplets by their numbers.
func byID(all []godo.Droplet) map[int]godo.Droplet {
	out := make(map[int]godo.Droplet, len(all))
	for _, d := range all {
		out[d.ID] = d
	}
	return out
}

// droplet is the number that a provider gives as a text; 0 is none yet.
func droplet(text string) int {
	id, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return id
}

// A memo is something read that many look at. It is safe for concurrent use.
type memo[T any] struct {
	turn chan struct{} // held by who reads

	mu      sync.Mutex
	value   T
	at      time.Time // when its reading began; zero: it is not known
	changed int       // how often something was done that it does not show
}

func newMemo[T any]() *memo[T] { return &memo[T]{turn: make(chan struct{}, 1)} }

// forget says that something was done: whoever looks next reads anew.
func (m *memo[T]) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = time.Time{}
	m.changed++
}

// began is when the last reading began; zero if it is not known any more.
func (m *memo[T]) began() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at
}

// get returns what was read no longer than age ago, or reads it; of many who ask at
// the same time one reads. Where calls are short it may be a minute and a half old.
func (m *memo[T]) get(ctx context.Context, now func() time.Time, age time.Duration, read func(context.Context) (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if v, ok := m.young(now(), age); ok {
		return v, nil
	}
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	defer func() { <-m.turn }()
	if v, ok := m.young(now(), age); ok {
		return v, nil
	}
	m.mu.Lock()
	began, changed := now(), m.changed
	m.mu.Unlock()
	v, err := read(ctx)
	if err != nil {
		if old, ok := m.young(now(), staleAge); ok && errors.Is(err, errSpent) {
			return old, nil
		}
		return none, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.changed == changed {
		m.value, m.at = v, began
	}
	return v, nil
}

// staleAge is how old what was read may be where calls are short.
const staleAge = 90 * time.Second

func (m *memo[T]) young(now time.Time, age time.Duration) (T, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.value, !m.at.IsZero() && now.Sub(m.at) < age
}
