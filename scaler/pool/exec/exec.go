// Package exec makes a pool of any cloud by a program that speaks for it.
//
// The program is run once for each call, with one JSON document on its standard
// input, and has to print one JSON document on its standard output and end with
// status 0. What it prints on its standard error goes to Flyball's log. It, and all
// that it started, is killed when its time is over.
//
// Asked for the members, it lists all those of the pool and nothing else:
//
//	{"verb": "look", "pool": "web"}
//
//	{"terms": {"names": true, "victims": true, "most": 20, "price": 0.006, "currency": "EUR", "version": "app-7"},
//	 "members": [{"id": "4711", "name": "web-1", "address": "10.0.0.3:8080", "state": "booting",
//	              "born": "2026-11-20T10:00:00Z", "version": "app-7"}]}
//
// The terms say what it can do: whether it takes the names of new members (names) and
// the members that are to end (victims), whether it drains members by itself before it
// ends them (drains), how many it can have at most (most; 0 or absent: any number),
// after how many seconds one that was made is listed at the latest, if that is more than
// 15 (lag: for so long nobody is made in the place of one whose making failed), what one
// costs an hour, and which template new ones are made by. A state is booting,
// ready, unhealthy, leaving (it was asked to end) or dead (it ended by itself); booting
// is enough for one that lives, as members are asked themselves whether they are ready.
// The address may be absent until there is one. since, when the state began, is when
// the member was born if it is absent; note is a word for people.
//
// Asked to grow, it makes the named members; it is told only names that the last look
// did not list, but a list may be late: one that is there already must not be made
// twice. Without names, it makes the pool as large as size.
//
//	{"verb": "grow", "pool": "web", "step": "web-1a2b", "names": ["web-2", "web-3"], "size": 3}
//
//	{}
//
// Asked to remove, it ends the victims, which have been taken out of rotation and have
// drained; a dead one is forgotten. It does not wait until they are gone. One that does
// not end is told again after a while, with the time at which that was first asked for:
// then it is ended the hard way. Without victims, it makes the pool as small as size.
//
//	{"verb": "remove", "pool": "web", "step": "web-3c4d", "size": 2,
//	 "victims": [{"id": "4711", "name": "web-1", "asked": "2026-11-20T11:00:00Z"}]}
//
//	{}
//
// What fails is answered with what and what to do; what was done of it all the same
// stays. no_capacity says that the cloud has none to give for now: growth then waits
// for longer.
//
//	{"error": "create web-3: the quota of 20 servers is used up", "no_capacity": true}
//
// Members are listed every 15 s (every), and every 5 s for some minutes after a step; a
// list that fails is asked for again after a second, then after ever longer times, up to
// a minute. A cloud that wants to be left alone is: retry_after, in any answer, is for
// how many seconds the program is not run, at most 600. Until then nothing is grown or
// removed, and what was listed holds, unless the list failed or a step came after it.
//
//	{"error": "list servers: limit of requests reached", "retry_after": 20}
//
// A field that is not known is an error, and so is anything after the document. The
// program in testdata/hetzner.py is a whole one, for Hetzner Cloud.
package exec

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
)

var _ scaler.Pool = (*Pool)(nil)

// Env is what a pool is given by its surroundings.
type Env struct {
	Now func() time.Time // default: time.Now
	Log *slog.Logger     // default: discards
}

// Pool is a pool that a program speaks for. It is safe for concurrent use: one step
// is done at a time.
type Pool struct {
	name string
	cfg  Config
	now  func() time.Time
	log  *slog.Logger

	acting  chan struct{} // held by a step
	looking chan struct{} // held by who asks for the list

	mu       sync.Mutex
	list     *listing                     // the last one; nil: there is none, or it is not true any more
	steps    int                          // begun or ended so far; a list from before one is not kept
	acted    time.Time                    // the last step that did well
	asked    map[rules.MemberID]time.Time // to end, and still listed, since
	patience patience
}

// listing is what the program said last.
type listing struct {
	at      time.Time
	members []rules.Member
	terms   rules.Terms
}

// New returns a pool that c's program speaks for. Nothing is run yet.
func New(name string, c Config, env Env) (*Pool, error) {
	c = c.withDefaults()
	if fs := c.Validate("exec"); len(fs) > 0 {
		return nil, fmt.Errorf("configure pool %s: %s: %s", name, fs[0].Path, fs[0].Text)
	}
	p := &Pool{
		name: name, cfg: c, now: env.Now, log: env.Log,
		acting: make(chan struct{}, 1), looking: make(chan struct{}, 1), asked: map[rules.MemberID]time.Time{},
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

// Grow implements [scaler.Pool]: the program is told the names that no member bears.
func (p *Pool) Grow(ctx context.Context, s journal.Step) error {
	return p.step(ctx, func(l *listing) error {
		q := question{Verb: verbGrow, Pool: p.name, Step: s.ID, Size: s.To}
		if !l.terms.Names {
			return p.tell(ctx, q)
		}
		living := map[string]rules.State{}
		for _, m := range l.members {
			living[m.Name] = m.State
		}
		var errs []error
		for _, n := range s.Names {
			switch state, there := living[n]; {
			case !there:
				q.Names = append(q.Names, n)
			case state == rules.Dead || state == rules.Leaving:
				errs = append(errs, fmt.Errorf("make %s: a member of this name is %s; it has to be gone before", n, state))
			}
		}
		if len(q.Names) > 0 {
			errs = append(errs, p.tell(ctx, q))
		}
		return errors.Join(errs...)
	})
}

// Remove implements [scaler.Pool]: the program is told those victims that are listed.
func (p *Pool) Remove(ctx context.Context, s journal.Step) error {
	return p.step(ctx, func(l *listing) error {
		q := question{Verb: verbRemove, Pool: p.name, Step: s.ID, Size: s.To}
		if !l.terms.Victims {
			return p.tell(ctx, q)
		}
		listed := map[rules.MemberID]rules.Member{}
		for _, m := range l.members {
			listed[m.ID] = m
		}
		for _, id := range s.Victims {
			if m, there := listed[id]; there {
				q.Victims = append(q.Victims, victim{ID: id, Name: m.Name, Asked: p.ask(id)})
			}
		}
		if len(q.Victims) == 0 {
			return nil
		}
		return p.tell(ctx, q)
	})
}

// ask notes that a member is asked to end, and returns since when it is.
func (p *Pool) ask(id rules.MemberID) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked[id].IsZero() {
		p.asked[id] = p.now()
	}
	return p.asked[id]
}

// step does something beside which no other step is done, knowing a list from after
// the step before.
func (p *Pool) step(ctx context.Context, do func(*listing) error) error {
	if err := take(ctx, p.acting); err != nil {
		return err
	}
	defer func() { <-p.acting }()
	if err := p.leftAlone(); err != nil {
		return err
	}
	p.changed()
	defer p.changed()
	l, err := p.look(ctx)
	if err == nil {
		err = do(l)
	}
	if err == nil {
		p.busy()
	}
	return err
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

// changed makes lists from before now be of no worth.
func (p *Pool) changed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps++
	p.list = nil
}

// busy makes lists be asked for more often for a while. A step that failed does not:
// one that fails again and again would cost that for ever.
func (p *Pool) busy() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acted = p.now()
}

// tell has the program do something, and gives its own words on what failed.
func (p *Pool) tell(ctx context.Context, q question) error {
	a, err := p.run(ctx, q)
	if err != nil {
		return err
	}
	return a.failure(p.cfg.Command[0], q.Verb)
}

// failure is what the program says has failed; nil: nothing has.
func (a answer) failure(program, verb string) error {
	if a.Error == "" {
		return nil
	}
	text := strings.ToValidUTF8(a.Error, "?")
	if a.NoCapacity {
		return fmt.Errorf("run %s %s: %w: %s", program, verb, scaler.ErrNoCapacity, text)
	}
	return fmt.Errorf("run %s %s: %s", program, verb, text)
}
