// Package container makes a pool of containers on a Docker-compatible engine:
// Docker, or podman.
//
// A member is a container that bears the pool's labels and its member's name;
// its ID is the engine's, so a new life under an old name is another member. All
// that is true of members is read from the engine, in one call a look. What the
// engine cannot keep, a wish to end above all, is in a file of the pool's folder
// before anything comes of it, so a crash in between leaves a member that is
// asked again, and not one whose end looks like a failure.
//
// No crash orphans or doubles a member. Names are unique on an engine, so what
// a call did whose answer was lost is found again by its name. A container that
// was made and never started, because a crash came between, is started when its
// step is done again, and removed by the next look else.
//
// Containers of others are never touched. The label [labelOwner] bears a mark
// that is kept in the pool's folder. It is made of the machine and the folder's
// path: a folder that was lost adopts the members it finds, and a second Flyball
// with another folder does not take the first one's; nor does one that
// somebody renamed count as a member any more. Members of another mark are taken
// over only when the configuration names it.
package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/moby/moby/client"

	engine "flyball/collector/container"
	"flyball/scaler"
)

var _ scaler.Pool = (*Pool)(nil)

var (
	// ErrEnded means that a member of that name has ended, or is about to, and is
	// not removed yet.
	ErrEnded = errors.New("a member of that name has ended and is not removed yet")
	// ErrFull means that there are as many members as the configuration permits.
	ErrFull = errors.New("there is no room for another member")
	// ErrTaken means that the name is that of a container of somebody else's.
	ErrTaken = errors.New("the name is taken by a container that is no member of this pool")
)

// The labels of a member.
const (
	labelPrefix = "flyball."
	labelPool   = labelPrefix + "pool"
	labelMember = labelPrefix + "member"
	labelOwner  = labelPrefix + "owner"
	labelPort   = labelPrefix + "port" // of the service inside, which may be another one in a later configuration
)

// Env is what a pool is given by its surroundings.
type Env struct {
	Dir string           // for what the engine cannot keep; made if missing. One pool, one folder
	Now func() time.Time // default: time.Now
	Log *slog.Logger     // default: discards
}

// Pool is a pool of containers. It is safe for concurrent use; that there is one
// Flyball a folder is seen to by the journal's lock.
type Pool struct {
	name   string
	cfg    Config
	dir    string // absolute
	now    func() time.Time
	log    *slog.Logger
	engine *client.Client
	inside bool // Flyball runs in a container itself, and may reach what is not reached from the machine
	point  func(string)

	// turn is held by who changes members, one at a time: by a step, which waits
	// for it, and by a look, which tidies up if nobody else is at it.
	turn chan struct{}

	noting sync.Mutex // a change of the notes

	mu        sync.Mutex      // what follows
	owner     string          // "" until it was needed
	ends      map[string]*end // of the dead, by ID
	facts     *facts          // nil until they were needed
	fetching  *fetch          // nil: no image is being fetched
	strangers string          // who was warned of last
}

// New returns the pool of containers on the engine that c names. Nothing is
// reached yet.
func New(name string, c Config, env Env) (*Pool, error) {
	if fs := c.Validate("container"); len(fs) > 0 {
		return nil, fmt.Errorf("configure pool %s: %s: %s", name, fs[0].Path, fs[0].Text)
	}
	dir, err := filepath.Abs(env.Dir)
	if err != nil {
		return nil, fmt.Errorf("find folder of pool %s: %w", name, err)
	}
	c = c.withDefaults()
	cl, err := engine.Dial(c.Socket)
	if err != nil {
		return nil, fmt.Errorf("configure pool %s: %w", name, err)
	}
	p := &Pool{
		name: name, cfg: c, dir: dir, now: env.Now, log: env.Log, engine: cl, inside: inContainer(), point: func(string) {},
		turn: make(chan struct{}, 1), ends: map[string]*end{},
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

// inContainer reports whether this program runs in a container.
func inContainer() bool {
	for _, mark := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(mark); !errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}

// take waits for the turn to change members.
func (p *Pool) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the step before: %w", ctx.Err())
	}
}

// takeIfFree takes the turn unless somebody has it.
func (p *Pool) takeIfFree() bool {
	select {
	case p.turn <- struct{}{}:
		return true
	default:
		return false
	}
}

func (p *Pool) give() { <-p.turn }

// atOnce bounds how many calls of one step the engine gets at one time.
const atOnce = 8

// each does f for 0 to n-1, a few at a time, and joins the failures in that order.
func each(n int, f func(int) error) error {
	errs := make([]error, n)
	places := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i := range n {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			errs[i] = f(i)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
