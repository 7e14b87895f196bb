package gce

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"

	"google.golang.org/api/compute/v1"
	"google.golang.org/api/googleapi"

	"flyball/rules"
)

// How old what is known may be. While something is under way the group is asked at
// each judgement, later less often, and at rest every 15 s.
const (
	freshFor = 900 * time.Millisecond // less than the time between two judgements
	underWay = time.Minute            // after a step
	watchFor = 5 * time.Second
	restFor  = 15 * time.Second
)

// askTime bounds all that is asked for one snapshot, as others may wait for it.
const askTime = 25 * time.Second

// lagFor is how long Google's lists may lag behind what was asked.
const lagFor = 2 * time.Minute

// doubtFor is how long members are waited for whose making was asked for without an
// answer. Lists rarely lag so long, and who waits lacks them if they were not made.
const doubtFor = 40 * time.Second

// A snapshot is what the group is at a time. It is not changed once it is taken.
type snapshot struct {
	at      time.Time
	changes int // of the pool, before it was taken
	rest    bool
	group   *compute.InstanceGroupManager
	native  *compute.Autoscaler // nil: there is none
	members []*compute.ManagedInstance
}

// known returns a snapshot: a new one, if the last is older than it may be. Those
// who want a new one at the same time share it.
func (p *Pool) known(ctx context.Context, fresh bool) (*snapshot, error) {
	if err := take(ctx, p.looking); err != nil {
		return nil, err
	}
	defer give(p.looking)
	p.mu.Lock()
	last, waits, changes := p.snap, p.waits, p.changes
	good := last != nil && last.changes == changes && p.now().Sub(last.at) < p.mayAge(last, fresh)
	p.mu.Unlock()
	switch {
	case good:
		return last, nil
	case p.now().Before(waits):
		return nil, fmt.Errorf("look at %s: %w: waiting until %s", p.where(), errThrottled, waits.UTC().Format(time.TimeOnly))
	}
	s, err := p.ask(ctx)
	if err != nil {
		p.heed(err)
		return nil, p.explain("look at "+p.where(), err)
	}
	s.changes = changes
	p.mu.Lock()
	p.settle(s)
	p.snap = s
	p.mu.Unlock()
	if p.metrics != nil {
		p.metrics.looked(p.name, s)
	}
	return s, nil
}

// mayAge is how old a snapshot may be. p.mu is held.
func (p *Pool) mayAge(s *snapshot, fresh bool) time.Duration {
	switch {
	case fresh || !s.rest && p.now().Sub(p.acted) < underWay:
		return freshFor
	case !s.rest:
		return watchFor
	default:
		return restFor
	}
}

// heed remembers that the project has no requests left for now.
func (p *Pool) heed(err error) {
	if until, yes := throttled(err, p.now()); yes {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.waits = until
	}
}

// ask reads the group, its members and its autoscaler, what became of operations,
// and the machines that are not known yet.
func (p *Pool) ask(ctx context.Context) (*snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	s := &snapshot{at: p.now()}
	var listErr, groupErr error
	var wg sync.WaitGroup
	wg.Go(func() {
		listErr = p.place.managed(ctx, func(ms []*compute.ManagedInstance) { s.members = append(s.members, ms...) })
	})
	wg.Go(func() { groupErr = p.askGroup(ctx, s) })
	wg.Go(func() { p.follow(ctx) })
	wg.Wait()
	if err := errors.Join(groupErr, listErr); err != nil {
		return nil, err
	}
	if err := p.doubt(s); err != nil {
		return nil, err
	}
	return s, p.learn(ctx, s.members)
}

func (p *Pool) askGroup(ctx context.Context, s *snapshot) (err error) {
	if s.group, err = p.place.group(ctx); err != nil {
		return err
	}
	if s.group.Status == nil || s.group.Status.Autoscaler == "" {
		return nil
	}
	s.native, err = p.place.autoscaler(ctx, last(s.group.Status.Autoscaler))
	if isGone(err) { // since the group was read
		s.native, err = nil, nil
	}
	return err
}

// doubt is an error if the list lacks members that the group counts, and that are
// not just new: what a list does not show is not gone for that.
func (p *Pool) doubt(s *snapshot) error {
	a := s.group.CurrentActions
	if a == nil {
		return nil
	}
	counted := a.Abandoning + a.Creating + a.CreatingWithoutRetries + a.Deleting + a.None + a.Recreating + a.Refreshing +
		a.Restarting + a.Resuming + a.Starting + a.Stopping + a.Suspending + a.Verifying
	listed := map[string]bool{}
	for _, m := range s.members {
		listed[nameOf(m)] = true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	missing := int(min(counted, s.group.TargetSize)) - len(s.members)
	for name, since := range p.wanted {
		if !listed[name] && p.now().Sub(since) < lagFor {
			missing--
		}
	}
	if missing > 0 {
		return fmt.Errorf("%w: it lacks %d of the group's %d members", errPartial, missing, s.group.TargetSize)
	}
	return nil
}

// settle brings what is remembered to what is there. p.mu is held.
func (p *Pool) settle(s *snapshot) {
	ids, names := map[rules.MemberID]bool{}, map[string]bool{}
	s.rest = len(p.open) == 0
	for _, m := range s.members {
		name := nameOf(m)
		if m.Id == 0 && isGoing(m) { // its instance is gone already, and it nearly
			m.Id = p.numbers[name]
		}
		if m.Id != 0 {
			p.numbers[name] = m.Id
		}
		id := idOf(m)
		ids[id], names[name] = true, true
		began := s.at
		if asked, ours := p.wanted[name]; ours {
			began = asked
		}
		delete(p.wanted, name)
		delete(p.stillborn, name)
		since(p.making, name, inTheMaking(m), began)
		since(p.stopped, id, hasEnded(m), s.at)
		s.rest = s.rest && isSettled(m)
	}
	maps.DeleteFunc(p.making, func(name string, _ time.Time) bool { return !names[name] })
	maps.DeleteFunc(p.told, func(name string, _ bool) bool { return p.making[name].IsZero() })
	maps.DeleteFunc(p.numbers, func(name string, _ uint64) bool { return !names[name] })
	maps.DeleteFunc(p.stopped, func(id rules.MemberID, _ time.Time) bool { return !ids[id] })
	maps.DeleteFunc(p.states, func(id rules.MemberID, _ standing) bool { return !ids[id] })
	maps.DeleteFunc(p.wanted, func(_ string, at time.Time) bool { return s.at.Sub(at) > lagFor })
	maps.DeleteFunc(p.ended, func(id rules.MemberID, at time.Time) bool {
		return !ids[id] || s.at.Sub(at) > lagFor && !isLeaving(s.members, id)
	})
	s.rest = s.rest && len(p.wanted)+len(p.ended) == 0
}

// since keeps when something began to be so, for as long as it is.
func since[K comparable](times map[K]time.Time, of K, is bool, now time.Time) {
	switch _, was := times[of]; {
	case !is:
		delete(times, of)
	case !was:
		times[of] = now
	}
}

// A machine is what an instance itself tells, and its group does not.
type machine struct {
	addr    string
	born    time.Time
	running bool      // when it was asked
	met     time.Time // when it was asked for first, or since it was started or stopped
	asked   time.Time // when it was asked for last
}

// One that has no address is asked for again after a quarter of the time that it has
// had none, and after addressPause at the latest.
const addressPause = time.Minute

// due reports whether to ask for a machine anew.
func (x machine) due(running bool, now time.Time) bool {
	return x.running != running || x.addr == "" && now.Sub(x.asked) >= min(now.Sub(x.met)/4, addressPause)
}

// asksAtOnce bounds how many machines are asked for at one time.
const asksAtOnce = 16

// learn asks for the machines that are new, or that were started or stopped since.
// What was learned is kept, whatever fails.
func (p *Pool) learn(ctx context.Context, ms []*compute.ManagedInstance) error {
	unknown := p.unknown(ms)
	errs := make([]error, len(unknown))
	places := make(chan struct{}, asksAtOnce)
	var wg sync.WaitGroup
	for i, m := range unknown {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			errs[i] = p.meet(ctx, m)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("ask for %d new instances: %w", len(unknown), err)
		}
	}
	return nil
}

// unknown are the instances to ask for; those that are no more are forgotten.
func (p *Pool) unknown(ms []*compute.ManagedInstance) (out []*compute.ManagedInstance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	there := map[uint64]bool{}
	for _, m := range ms {
		there[m.Id] = true
		x, known := p.machines[m.Id]
		if m.Id != 0 && (!known || x.due(isRunning(m), p.now())) {
			out = append(out, m)
		}
	}
	for id := range p.machines {
		if !there[id] {
			delete(p.machines, id)
		}
	}
	return out
}

// meet asks for one instance. One that is gone, or has given its name to another,
// tells nothing.
func (p *Pool) meet(ctx context.Context, m *compute.ManagedInstance) error {
	in, err := p.api.Instances.Get(p.cfg.Project, zoneOf(m.Instance), nameOf(m)).
		Fields("id", "creationTimestamp", "networkInterfaces").Context(ctx).Do()
	if err != nil && !isGone(err) {
		return err
	}
	now := p.now()
	x := machine{running: isRunning(m), met: now, asked: now}
	if err == nil && in.Id == m.Id {
		x.addr = p.address(in)
		if x.born, err = time.Parse(time.RFC3339, in.CreationTimestamp); err != nil {
			x.born = now
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if old, known := p.machines[m.Id]; known {
		x.remember(old)
	}
	p.machines[m.Id] = x
	return nil
}

// remember keeps of what was known before what was not told anew.
func (x *machine) remember(old machine) {
	if x.addr == "" {
		x.addr = old.addr
	}
	if x.born.IsZero() {
		x.born = old.born
	}
	if x.running == old.running {
		x.met = old.met
	}
}

// isGone reports whether what was asked for is not there.
func isGone(err error) bool {
	var api *googleapi.Error
	return errors.As(err, &api) && api.Code == http.StatusNotFound
}

// nameless is before the name in the ID of a member that is known by no number yet.
const nameless = "name/"

// idOf is a member's ID: its instance's, or its name's while it has none.
func idOf(m *compute.ManagedInstance) rules.MemberID {
	if m.Id == 0 {
		return rules.MemberID(nameless + nameOf(m))
	}
	return rules.MemberID(strconv.FormatUint(m.Id, 10))
}

// nameOf is a member's name; older answers have it in the address alone.
func nameOf(m *compute.ManagedInstance) string {
	if m.Name != "" {
		return m.Name
	}
	return last(m.Instance)
}
