// Package process makes a pool of processes on this machine.
//
// Each member leads a session of its own, writes to a file, inherits no
// descriptor and is not ended when Flyball ends: Flyball's death harms no member.
// A record on disk tells of each, and a process is taken for a record's only
// if its pid and its start time (and the machine's boot) agree.
//
// No crash orphans or doubles a member. The record is written first, as an
// intent. Then this program is started anew as a gate ([Gate]), which waits on
// a pipe; the record gets its pid; and only then the gate is told to become the
// member's command, by exec, under the same pid. If Flyball dies before, the
// pipe ends and the gate with it.
package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
)

var _ scaler.Pool = (*Pool)(nil)

var (
	// ErrNoPort means that every port of the range is taken.
	ErrNoPort = errors.New("no free port")
	// ErrEnded means that a member of that name has ended, or is about to, and is
	// not removed yet.
	ErrEnded = errors.New("a member of that name has ended and is not removed yet")
)

// Env is what a pool is given by its surroundings.
type Env struct {
	Dir string           // for records and output; made if missing. One pool, one folder
	Now func() time.Time // default: time.Now
	Log *slog.Logger     // default: discards
}

// Pool is a pool of local processes. It is safe for concurrent use; that there
// is one Flyball a folder is seen to by the journal's lock.
type Pool struct {
	name string
	cfg  Config
	dir  string // absolute
	now  func() time.Time
	log  *slog.Logger

	first, last int // ports

	mu    sync.Mutex // the records, and the processes with them
	point func(string)
}

// New returns the pool whose records are in env.Dir. Nothing is started or
// looked at yet.
func New(name string, c Config, env Env) (*Pool, error) {
	if fs := c.Validate("process"); len(fs) > 0 {
		return nil, fmt.Errorf("configure pool %s: %s: %s", name, fs[0].Path, fs[0].Text)
	}
	dir, err := filepath.Abs(env.Dir)
	if err != nil {
		return nil, fmt.Errorf("find folder of pool %s: %w", name, err)
	}
	p := &Pool{name: name, cfg: c.withDefaults(dir), dir: dir, now: env.Now, log: env.Log, point: func(string) {}}
	p.first, p.last, _ = c.Ports.Range() // validated above
	if p.now == nil {
		p.now = time.Now
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	return p, nil
}

// Look lists the members. Those that were asked to end and are gone are
// forgotten on this occasion.
func (p *Pool) Look(ctx context.Context) ([]rules.Member, rules.Terms, error) {
	terms := rules.Terms{Names: true, Victims: true, Most: p.last - p.first + 1}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, terms, err
	}
	rs, err := p.refresh()
	if err != nil {
		return nil, terms, fmt.Errorf("look at pool %s: %w", p.name, err)
	}
	ms := make([]rules.Member, 0, len(rs))
	for _, r := range rs {
		ms = append(ms, r.member())
		if r.Ended.IsZero() {
			boundOutput(p.output(r.Name))
		}
	}
	slices.SortFunc(ms, func(a, b rules.Member) int { return strings.Compare(a.Name, b.Name) })
	return ms, terms, nil
}

// Grow starts a member for each of the step's names, in their order. A name
// whose member lives is done already. What fails is in the error; the others exist.
func (p *Pool) Grow(ctx context.Context, s journal.Step) error {
	var errs []error
	for _, name := range s.Names {
		if err := p.grow(ctx, name); err != nil {
			errs = append(errs, fmt.Errorf("start %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func (p *Pool) grow(ctx context.Context, name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if !memberName.MatchString(name) {
		return fmt.Errorf("%q is no name for a member: use letters, digits and dashes, at most 63", name)
	}
	rs, err := p.refresh()
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(rs, func(r record) bool { return r.Name == name }); i >= 0 {
		if rs[i].alive() && rs[i].Asked.IsZero() {
			return nil
		}
		return ErrEnded
	}
	port, err := p.freePort(rs)
	if err != nil {
		return err
	}
	return p.start(newRecord(name, port, p.now()))
}

// Remove asks the step's victims to end: SIGTERM to the whole group, once, and when it
// is asked again after the grace, SIGKILL. The dead are forgotten, with whatever
// they left in their group. A victim that is not known is gone.
func (p *Pool) Remove(ctx context.Context, s journal.Step) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	rs, err := p.refresh()
	if err != nil {
		return fmt.Errorf("remove from pool %s: %w", p.name, err)
	}
	var errs []error
	for _, r := range rs {
		if !slices.Contains(s.Victims, r.ID) {
			continue
		}
		if err := p.remove(r); err != nil {
			errs = append(errs, fmt.Errorf("end %s: %w", r.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (p *Pool) remove(r record) error {
	if !r.alive() {
		return p.forget(r)
	}
	if r.Asked.IsZero() {
		// The wish comes first: a crash in between leaves a member that is asked
		// again, and not one whose end looks like a failure.
		r.Asked = p.now()
		if err := p.write(r); err != nil {
			return err
		}
		p.point("asked")
		p.log.Info("member asked to end", "pool", p.name, "member", r.Name, "pid", r.PID)
	}
	if !r.Told {
		return p.tell(r)
	}
	if p.now().Sub(r.Asked) < p.cfg.Grace {
		return nil
	}
	p.log.Warn("member ended the hard way", "pool", p.name, "member", r.Name, "pid", r.PID, "after", p.now().Sub(r.Asked))
	return r.signal(syscall.SIGKILL)
}

// tell sends the wish, once: to many programs a second one means to drop everything.
func (p *Pool) tell(r record) error {
	if err := r.signal(syscall.SIGTERM); err != nil {
		return err
	}
	p.point("told")
	r.Told = true
	return p.write(r)
}

// refresh reads all records and brings them up to date with the processes.
// Intents that came to nothing and members that are gone as asked are forgotten.
func (p *Pool) refresh() ([]record, error) {
	rs, err := p.read()
	if err != nil {
		return nil, err
	}
	kept := rs[:0]
	for _, r := range rs {
		gone, err := p.update(&r)
		if err != nil {
			return nil, err
		}
		if !gone {
			kept = append(kept, r)
		}
	}
	return kept, nil
}

// update brings one record up to date; gone means that it is forgotten.
func (p *Pool) update(r *record) (gone bool, err error) {
	if !r.Opened {
		return p.settle(r)
	}
	if !r.Ended.IsZero() || r.alive() {
		return false, nil
	}
	if !r.Asked.IsZero() {
		r.reap()
		p.log.Info("member is gone", "pool", p.name, "member", r.Name)
		return true, p.forget(*r)
	}
	r.Ended, r.Status = p.now(), r.reap()
	p.log.Warn("member ended without being asked to", "pool", p.name, "member", r.Name, "status", r.Status)
	return false, p.write(*r)
}

// settle decides about a start that a crash cut off: one is cut off for certain,
// for while a start is under way its pool is locked. Either the process has
// become the member, or nothing of the member ever ran, or it is over.
func (p *Pool) settle(r *record) (gone bool, err error) {
	if r.alive() && r.became() {
		r.Opened = true
		return false, p.write(*r)
	}
	if err := r.signal(syscall.SIGKILL); err != nil {
		return false, err
	}
	p.log.Info("start that was cut off is undone", "pool", p.name, "member", r.Name)
	return true, p.forget(*r)
}
