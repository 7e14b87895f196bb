package digitalocean

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/digitalocean/godo"

	"flyball/rules"
	"flyball/scaler"
)

var _ scaler.Pool = (*droplets)(nil)

// droplets is a pool of plain Droplets. All that is true of members is read from the
// account's list; what this program did and the list does not show yet is laid over
// it. What has to outlive the program is in tags: who is a member, of which template,
// and who was asked to end.
type droplets struct {
	base
	spec     Droplets
	template *template
	shelf    *shelf
	self     func() int

	// turn is held by who changes members, one at a time: by a step, which waits for
	// it, and by a look, which goes on with what was asked if nobody else is at it.
	turn chan struct{}

	mu      sync.Mutex           // what follows
	grown   bool                 // a Grow was done since the program started
	doubts  map[string]*doubt    // names of which it is not known whether they were made
	births  map[int]*birth       // made by this program, until the list shows them whole
	seen    map[int]godo.Droplet // members of the last list that were not asked to end
	endings map[int]*ending      // asked to end
	gone    map[int]time.Time    // the API said so; lists may show them still
	since   map[int]stateSince   // what each was at the last look
	told    string               // the strangers that were told of last
}

type stateSince struct {
	state rules.State
	at    time.Time
}

func newDroplets(b base, spec Droplets, self func() int) *droplets {
	if !byNumber(spec.Image) {
		b.account.fleet.useImages()
	}
	return &droplets{
		base: b, spec: spec, template: newTemplate(spec), shelf: newShelf(spec), self: self,
		turn: make(chan struct{}, 1), doubts: map[string]*doubt{}, births: map[int]*birth{},
		seen: map[int]godo.Droplet{}, endings: map[int]*ending{}, gone: map[int]time.Time{}, since: map[int]stateSince{},
	}
}

// take waits for the turn to change members.
func (p *droplets) take(ctx context.Context) error {
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
func (p *droplets) takeIfFree() bool {
	select {
	case p.turn <- struct{}{}:
		return true
	default:
		return false
	}
}

func (p *droplets) give() { <-p.turn }

// busy reports whether members come or go. One that was told not to go is none of them:
// for its sake the list is not read each second, for ever.
func (p *droplets) busy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.endings {
		if !e.told {
			return true
		}
	}
	return len(p.births)+len(p.doubts) > 0
}

// list returns the pool's Droplets as the account's list has them; those that are
// gone are left out.
func (p *droplets) list(ctx context.Context) ([]godo.Droplet, error) {
	all, at, err := p.account.fleet.droplets(ctx, p.busy())
	if err != nil {
		return nil, err
	}
	return p.own(all, at), nil
}

// known is what list returned last, or returns now if nobody has listed yet: a step
// follows on a look, and what came of steps since is known here.
func (p *droplets) known(ctx context.Context) ([]godo.Droplet, error) {
	if all, at := p.account.fleet.latest(); !at.IsZero() {
		return p.own(all, at), ctx.Err()
	}
	return p.list(ctx)
}

// own picks the pool's members of a list, and tells of strangers among them.
func (p *droplets) own(all []godo.Droplet, at time.Time) []godo.Droplet {
	p.mu.Lock()
	defer p.mu.Unlock()
	var own []godo.Droplet
	var strangers []string
	listed := map[int]bool{}
	for _, d := range all {
		listed[d.ID] = true
		_, gone := p.gone[d.ID]
		switch {
		case gone:
		case p.isOurs(d):
			if p.doubts[d.Name] != nil {
				p.claim(d)
			}
			own = append(own, d)
		case bears(d, p.spec.Tag):
			strangers = append(strangers, fmt.Sprintf("%s (%d)", d.Name, d.ID))
		}
	}
	p.miss(listed)
	p.forget(listed, at)
	p.tell(strangers)
	clear(p.seen)
	for _, d := range own {
		if p.endings[d.ID] == nil && !bears(d, leavingTag) {
			p.seen[d.ID] = d
		}
	}
	return own
}

// miss asks about those that the list before had, this one has not, and nobody here
// asked to end: a list may lack some, and who is taken for gone is bought anew. The
// caller has the lock.
func (p *droplets) miss(listed map[int]bool) {
	for id, d := range p.seen {
		if _, gone := p.gone[id]; !listed[id] && !gone && p.births[id] == nil && p.endings[id] == nil {
			p.births[id] = &birth{Droplet: d, version: versionOf(d), made: p.now().Add(-listedWithin), vanished: true}
		}
	}
}

// isOurs reports whether a Droplet is a member: by the pool's tag, Flyball's tag and
// its name; or because it was made here, or was to be, and its tags come later. The
// caller has the lock.
func (p *droplets) isOurs(d godo.Droplet) bool {
	if _, made := p.births[d.ID]; made {
		return true
	}
	if p.doubts[d.Name] != nil && !slices.ContainsFunc(d.Tags, p.isForeign) {
		return true
	}
	return bears(d, p.spec.Tag) && bears(d, markTag) && numbered(p.name, d.Name)
}

// isForeign reports whether members are not made with a tag.
func (p *droplets) isForeign(tag string) bool {
	tag = strings.ToLower(tag)
	return tag != markTag && tag != strings.ToLower(p.spec.Tag) && !strings.HasPrefix(tag, versionTag)
}

// forget drops what was remembered of Droplets that a list of that time shows no more;
// the caller has the lock. Those that are being born may come later.
func (p *droplets) forget(listed map[int]bool, at time.Time) {
	for id, e := range p.endings {
		if !listed[id] && p.births[id] == nil && at.After(e.asked) {
			delete(p.endings, id)
			delete(p.since, id)
		}
	}
	for id, since := range p.gone {
		if !listed[id] && at.Sub(since) > 10*time.Minute { // a list that lags may show it again
			delete(p.gone, id)
		}
	}
	for id := range p.since {
		if !listed[id] && p.births[id] == nil {
			delete(p.since, id)
		}
	}
}

// tell tells of Droplets that bear the pool's tag and are no members, each time that
// they are others than before; the caller has the lock.
func (p *droplets) tell(strangers []string) {
	p.account.fleet.metrics.strangers.WithLabelValues(p.name).Set(float64(len(strangers)))
	slices.Sort(strangers)
	now := fmt.Sprint(strangers)
	if now == p.told || p.told == "" && len(strangers) == 0 {
		return
	}
	p.told = now
	p.log.Warn("Droplets bear the pool's tag and are left alone, for Flyball did not make them", "droplets", now, "tag", p.spec.Tag)
}

// eachAtOnce bounds how many calls of one step are under way at one time.
const eachAtOnce = 8

// each does f for all of them, a few at a time, and joins the failures in their order.
func each[T any](all []T, f func(T) error) error {
	errs := make([]error, len(all))
	places := make(chan struct{}, eachAtOnce)
	var wg sync.WaitGroup
	for i, x := range all {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			errs[i] = f(x)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
