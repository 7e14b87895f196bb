// Package load makes load for the app and measures what comes back.
//
// There are two models. In the closed one a number of users each send their next
// request when the last is answered: a slow service is asked less. In the open one
// requests are due at times that a [Profile] fixes beforehand, as those of a
// crowd are; their latency is measured from the time at which they were due, so that a
// pause of the service shows in every request that it delayed (no coordinated
// omission).
//
// Nothing is retried, here or below. A request has failed if it got any answer but
// the one that was expected, or none.
package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// A Doer performs one operation. It is safe for concurrent use.
type Doer interface {
	// Do sends one request, once, and reports how it failed: "" if the answer was
	// the expected one, else the kind of failure in a few words. It changes the
	// item to what the service now keeps.
	Do(ctx context.Context, op Op, it *Item) (kind string)
}

// Config is what a run is made of. Exactly one of Users and Profile is set.
type Config struct {
	Users    Users   // closed model
	Profile  Profile // open model
	Poisson  bool    // open model: requests come at random times with the profile's rate, else evenly
	Most     int     // open model: requests outstanding at most; one that is due beyond it fails unsent
	Mix      Mix
	Seed     uint64
	Prefix   string           // of the run's own product IDs
	Timeout  time.Duration    // of one request
	Progress func(p Progress) // called each second by one goroutine; may be nil
}

// KindLimit is the failure of a request that was due while as many were
// outstanding as may be.
const KindLimit = "outstanding_limit"

// Validate reports every mistake.
func (c Config) Validate() error {
	var errs []error
	if (len(c.Users.Steps) == 0) == (len(c.Profile.Segments) == 0) {
		errs = append(errs, errors.New("give either users or a profile of requests per second"))
	}
	if len(c.Profile.Segments) > 0 && c.Most < 1 {
		errs = append(errs, errors.New("outstanding: must be at least 1"))
	}
	for _, s := range c.Profile.Segments {
		if max(s.From, s.To) > MaxRate {
			errs = append(errs, fmt.Errorf("profile: more than %g requests per second; scale it down to a peak", MaxRate))
			break
		}
	}
	if c.Timeout <= 0 {
		errs = append(errs, errors.New("timeout: must be positive"))
	}
	if c.Mix.total() <= 0 {
		errs = append(errs, errors.New("mix: give at least one operation a share"))
	}
	return errors.Join(errs...)
}

// runner is one run in progress.
type runner struct {
	Config
	doer  Doer
	deck  *deck
	rec   *recorder
	start time.Time
	wg    sync.WaitGroup // of requests
}

// Run makes the load and returns its result when it is over or, early, when the
// context ends. Requests that were sent are waited for in either case.
func Run(ctx context.Context, c Config, d Doer) (Result, error) {
	if err := c.Validate(); err != nil {
		return Result{}, fmt.Errorf("make load: %w", err)
	}
	start := time.Now()
	steps := c.steps()
	r := &runner{Config: c, doer: d, start: start, deck: newDeck(c.Mix, c.Prefix, c.Seed), rec: newRecorder(start, steps)}
	told := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(told)
		r.tell(stop)
	}()
	if len(c.Users.Steps) > 0 {
		r.closed(ctx)
	} else {
		r.open(ctx)
	}
	ended := time.Now()
	r.wg.Wait()
	close(stop)
	<-told
	return r.rec.result(ended, time.Now()), nil
}

func (c Config) steps() []step {
	if len(c.Users.Steps) > 0 {
		return c.Users.steps()
	}
	return c.Profile.steps()
}

// tell reports progress each second until it is stopped, and once at the end.
func (r *runner) tell(stop <-chan struct{}) {
	if r.Progress == nil {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			r.Progress(r.rec.progress(now))
		case <-stop:
			r.Progress(r.rec.progress(time.Now()))
			return
		}
	}
}

// closed runs as many users as the step of the time says.
func (r *runner) closed(ctx context.Context) {
	var leave []context.CancelFunc
	defer func() {
		for _, f := range leave {
			f()
		}
	}()
	for at, users := range r.Users.changes() {
		if !sleepUntil(ctx, r.start.Add(at)) {
			return
		}
		for len(leave) > users {
			last := len(leave) - 1
			leave[last]()
			leave = leave[:last]
		}
		for len(leave) < users {
			user, cancel := context.WithCancel(ctx)
			leave = append(leave, cancel)
			r.wg.Go(func() { r.user(user) })
		}
	}
}

// user sends one request after another until the context ends.
func (r *runner) user(ctx context.Context) {
	for ctx.Err() == nil {
		now := time.Now()
		r.rec.due(now)
		r.rec.sent()
		r.request(now)
	}
}

// open sends requests when they are due, however the earlier ones fare.
func (r *runner) open(ctx context.Context) {
	free := make(chan struct{}, r.Most)
	for at := range r.arrivals() {
		due := r.start.Add(at)
		if !sleepUntil(ctx, due) {
			return
		}
		r.rec.due(due)
		select {
		case free <- struct{}{}:
		default:
			r.rec.unsent(due, KindLimit)
			continue
		}
		r.rec.sent()
		r.wg.Go(func() {
			r.request(due)
			<-free
		})
	}
	sleepUntil(ctx, r.start.Add(r.Profile.Length()))
}

func (r *runner) arrivals() func(yield func(time.Duration) bool) {
	if !r.Poisson {
		return r.Profile.Arrivals(func() float64 { return 1 })
	}
	rng := rand.New(rand.NewPCG(r.Seed, 1))
	return r.Profile.Arrivals(rng.ExpFloat64)
}

// request performs the next operation. What was sent is not cut off by the end of
// the load, only by its own timeout.
func (r *runner) request(due time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), r.Timeout)
	defer cancel()
	op, it := r.deck.draw()
	kind := r.doer.Do(ctx, op, &it)
	r.rec.done(due, time.Now(), kind)
	r.deck.put(op, it, kind == "")
}

// sleepUntil reports whether the time came before the context ended.
func sleepUntil(ctx context.Context, at time.Time) bool {
	if ctx.Err() != nil {
		return false
	}
	d := time.Until(at)
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
