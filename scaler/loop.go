package scaler

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"flyball/rules"
	"flyball/scaler/journal"
)

// A pool is judged when a scrape was committed, but at most once in soonest, and
// at the latest after latest.
const (
	soonest = time.Second
	latest  = 15 * time.Second
)

// lookTime bounds one look at a provider, and one at the traffic.
const lookTime = 5 * time.Second

// A loop judges one pool, for as long as its rule and its unit stay as they are.
// Only its own goroutine touches it, but for what mu guards.
type loop struct {
	s    *Scaler
	name string
	unit Unit
	rule *rules.Scale // nil: the pool has no rule and is only watched
	log  *slog.Logger
	wake chan struct{} // of one place: a scrape was committed

	memory  rules.Memory
	members []rules.Member // as last looked
	started bool           // the memory is the journal's
	kept    journal.Tick   // the last kept tick
	counted bool           // the traffic told of open requests at the last look
	met     met            // whom the traffic was told to let in since the start

	complaint  string // the last error of judging that was logged; "" once it is judged again
	complained time.Time

	mu     sync.Mutex
	status PoolStatus
}

func (l *loop) target() string { return "pool/" + l.name }

// rouse lets the pool be judged soon.
func (l *loop) rouse() {
	select {
	case l.wake <- struct{}{}:
	default: // it will wake for the one before
	}
}

// run judges until the context ends.
func (l *loop) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		case <-timer.C:
		}
		now := time.Now().UTC().Truncate(time.Millisecond)
		err := l.turn(ctx, now)
		if ctx.Err() == nil {
			l.complain(err, now)
		}
		if !rest(ctx, soonest-time.Since(now)) {
			return
		}
		timer.Reset(l.pause(err))
	}
}

// sameAgain is how long one complaint stands in the log for all that say the same.
const sameAgain = time.Minute

// complain logs that the pool could not be judged, once a minute while the reason is the
// same, and that it can be again.
func (l *loop) complain(err error, now time.Time) {
	if err == nil {
		if l.complaint != "" {
			l.log.Info("pool is judged again", "pool", l.name)
		}
		l.complaint = ""
		return
	}
	l.s.metrics.failures.WithLabelValues(l.name).Inc()
	if err.Error() != l.complaint || now.Sub(l.complained) >= sameAgain {
		l.log.Error("pool could not be judged", "pool", l.name, "err", err)
		l.complaint, l.complained = err.Error(), now
	}
}

// turn judges once. After anything went wrong, and at first, what the journal
// holds is read anew: it is the truth.
func (l *loop) turn(ctx context.Context, now time.Time) error {
	var err error
	if !l.started {
		err = l.start(ctx, now)
	}
	if err == nil {
		err = l.judge(ctx, now)
	}
	l.started = err == nil
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.status.Failing = ""; err != nil {
		l.status.Failing = err.Error()
		return err
	}
	l.status.Judged = now
	return nil
}

// rest waits, and reports whether the context still runs.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// pause is how long the pool can wait for a scrape: not at all while members come
// and go.
func (l *loop) pause(err error) time.Duration {
	moving := slices.ContainsFunc(l.members, func(m rules.Member) bool { return m.State != rules.Ready })
	if err != nil || moving || len(l.memory.Expected) > 0 || len(l.memory.Draining) > 0 {
		return 0
	}
	return latest - soonest
}

// start reads the pool's memory and closes what a crash left open.
func (l *loop) start(ctx context.Context, now time.Time) error {
	m, _, err := l.s.journal.Memory(l.name)
	if err != nil {
		return fmt.Errorf("read memory of pool %s: %w", l.name, err)
	}
	l.memory, l.met = m, met{}
	return l.resume(ctx, now)
}

// judge is one judgement: look, read, decide, plan, journal, act.
func (l *loop) judge(ctx context.Context, now time.Time) error {
	began := time.Now()
	in, err := l.look(ctx)
	if err != nil {
		return err
	}
	if l.rule == nil {
		l.tell(nil, in.Members, in.Terms)
		return nil
	}
	if err := l.orders(&in, now); err != nil {
		return err
	}
	l.read(ctx, now, &in)
	before := l.memory
	d, after := rules.Decide(*l.rule, in, before, now)
	members := after.Overlay(in.Members)
	step := plan(l.situation(d, in, members, now), &after)
	tick := journal.Tick{Pool: l.name, In: in, Before: before, Out: d, After: after}
	l.tell(&d, members, in.Terms)
	l.s.metrics.judged(d, time.Since(began))
	if step.Verb == "" {
		err = l.keep(now, tick)
	} else {
		err = l.act(ctx, now, step, tick)
	}
	if err != nil {
		return err
	}
	return l.endRoll(d, in.Roll, now)
}

// endRoll takes the order of a roll back that has ended by itself. Killed before
// that, the next judgement finds it ended and does it again.
func (l *loop) endRoll(d rules.Decision, order *rules.Order, now time.Time) error {
	if d.Roll == nil || d.Roll.State == rules.RollUnderWay || !order.In(now) || l.memory.Roll == nil || !l.memory.Roll.At.Equal(order.At) {
		return nil
	}
	l.log.Info("roll ended", "pool", l.name, "state", d.Roll.State, "replaced", d.Roll.Done, "of", d.Roll.Of, "why", d.Roll.Text)
	over := &rules.Order{By: "flyball", Why: d.Roll.String(), At: now, Until: now}
	if err := l.s.journal.SetOrder(l.target(), journal.RollOrder, over, now); err != nil {
		return fmt.Errorf("journal the end of the roll of pool %s: %w", l.name, err)
	}
	l.s.metrics.rolls.WithLabelValues(l.name, string(d.Roll.State)).Inc()
	return nil
}

// look asks the provider who is there, and the traffic what they are doing.
func (l *loop) look(ctx context.Context) (rules.Inputs, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	members, terms, err := l.unit.Pool.Look(ctx)
	if err != nil {
		return rules.Inputs{}, fmt.Errorf("look at pool %s: %w", l.name, err)
	}
	in := rules.Inputs{Members: members, Terms: terms, DryRun: l.unit.DryRun}
	if l.unit.Traffic != nil {
		open, err := l.unit.Traffic.Open(ctx)
		if l.counted = err == nil; err != nil {
			l.log.Warn("open requests are not known", "pool", l.name, "err", err)
		}
		in.Blind = err != nil
		for i, m := range members {
			if n, ok := open[m.ID]; ok {
				members[i].Open = &n
			}
		}
	}
	l.members = members
	l.s.roster.Set(l.name, members)
	return in, nil
}

// orders puts what operators ordered beside the rest of the inputs.
func (l *loop) orders(in *rules.Inputs, now time.Time) error {
	os, err := l.s.journal.Orders()
	if err != nil {
		return fmt.Errorf("read orders: %w", err)
	}
	in.Floor, in.Pause, in.Roll = os[l.target()].Floor, os[l.target()].Pause, os[l.target()].Roll
	if all := os[journal.All].Pause; all.In(now) {
		in.Pause = all
	}
	return nil
}

func (l *loop) situation(d rules.Decision, in rules.Inputs, members []rules.Member, now time.Time) situation {
	return situation{
		d: d, members: members, listed: in.Members, drain: l.unit.Drain, counted: l.counted, met: l.met, terms: in.Terms,
		steady: !in.Pause.In(now) && l.rule.Mode == rules.Act && !in.DryRun, now: now,
	}
}

// keep stores the tick, unless it says what the last kept one said a moment ago:
// then it is dropped whole, its memory included, so that what is kept can be
// decided again.
func (l *loop) keep(now time.Time, t journal.Tick) error {
	if l.memory.SameClocks(t.After) && !t.Out.Acts() && journal.Same(l.kept.Out, t.Out) && now.Sub(l.kept.Out.At) < l.renewal() {
		return nil
	}
	if err := l.s.journal.Tick(now, []journal.Tick{t}); err != nil {
		return fmt.Errorf("journal a tick of pool %s: %w", l.name, err)
	}
	l.saved(t)
	return nil
}

// renewal is how old a kept tick may grow: 15 s, and less where a window is so
// short that a wish kept 15 s ago would seem to have left it.
func (l *loop) renewal() time.Duration {
	least := latest
	for _, w := range []time.Duration{l.rule.Out.Window, l.rule.In.Window} {
		if w > 0 {
			least = min(least, w/10)
		}
	}
	return max(least, soonest)
}

// saved takes over what the journal holds now.
func (l *loop) saved(t journal.Tick) { l.memory, l.kept = t.After, t }

// act journals the step together with the tick behind it, does it, and journals its end.
func (l *loop) act(ctx context.Context, now time.Time, step journal.Step, t journal.Tick) error {
	seq, err := l.s.journal.Begin(step, &t)
	if err != nil {
		return fmt.Errorf("journal step %s: %w", step.ID, err)
	}
	l.saved(t)
	l.log.Info("acting", "pool", l.name, "step", step.ID, "verb", step.Verb, "to", step.To,
		"names", step.Names, "victims", step.Going(), "reason", step.Reason)
	return l.carry(ctx, seq, step, t.In, now, false)
}

// tell publishes the pool's state.
func (l *loop) tell(d *rules.Decision, members []rules.Member, t rules.Terms) {
	members = slices.SortedFunc(slices.Values(members), func(a, b rules.Member) int { return byNumber(a.Name, b.Name) })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Members, l.status.Decision, l.status.Terms = members, d, &t
}
