package scaler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"flyball/rules"
	"flyball/scaler/journal"
)

// stepTime bounds one step. A provider that takes longer is asked again, which
// changes nothing that was done.
const stepTime = 30 * time.Second

// do carries out a step that is in the journal.
func (u Unit) do(ctx context.Context, s journal.Step, members []rules.Member) error {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	switch s.Verb {
	case journal.Grow:
		return errors.Join(u.Pool.Grow(ctx, s), u.admit(ctx, of(s, members)))
	case journal.Swap:
		return errors.Join(u.withdraw(ctx, of(s, members)), u.Pool.Grow(ctx, s))
	case journal.Admit:
		return u.admit(ctx, of(s, members))
	case journal.Withdraw:
		return u.withdraw(ctx, of(s, members))
	case journal.Remove:
		if err := u.withdraw(ctx, of(s, members)); err != nil {
			return err
		}
		return u.Pool.Remove(ctx, s)
	default:
		return fmt.Errorf("do step %s: unknown verb %q", s.ID, s.Verb)
	}
}

// of are the members that a step names as its victims and that still exist.
func of(s journal.Step, members []rules.Member) []rules.Member {
	return slices.DeleteFunc(slices.Clone(members), func(m rules.Member) bool { return !slices.Contains(s.Victims, m.ID) })
}

func (u Unit) admit(ctx context.Context, ms []rules.Member) error {
	if u.Traffic == nil || len(ms) == 0 {
		return nil
	}
	return u.Traffic.Admit(ctx, ms)
}

func (u Unit) withdraw(ctx context.Context, ms []rules.Member) error {
	if u.Traffic == nil || len(ms) == 0 {
		return nil
	}
	return u.Traffic.Withdraw(ctx, ms)
}

// direction is which way a verb moves a pool: whose failures hold up whose.
func direction(v journal.Verb) rules.Direction {
	switch v {
	case journal.Withdraw, journal.Remove:
		return rules.DirIn
	case journal.Admit:
		return admitting
	default:
		return rules.DirOut
	}
}

// resume does again what a crash left open, and closes it. Every step is
// absolute, so it does not matter how far it had come.
func (l *loop) resume(ctx context.Context, now time.Time) error {
	entries, err := l.s.journal.Pending()
	if err != nil {
		return fmt.Errorf("read open steps: %w", err)
	}
	for _, e := range entries {
		if e.Target != l.target() {
			continue
		}
		var step journal.Step
		if err := json.Unmarshal(e.Body, &step); err != nil {
			return fmt.Errorf("read open step %s: %w", e.ID, err)
		}
		in, err := l.look(ctx)
		if err != nil {
			return fmt.Errorf("resume step %s: %w", step.ID, err)
		}
		l.log.Info("resuming a step that a crash left open", "pool", l.name, "step", step.ID, "verb", step.Verb,
			"names", step.Names, "victims", step.Going())
		if err := l.carry(ctx, e.Seq, step, in, now, true); err != nil {
			return err
		}
	}
	return nil
}

// carry does a step that is in the journal, and journals how it ended. A stop of
// the service lets it end.
func (l *loop) carry(ctx context.Context, seq journal.Seq, step journal.Step, in rules.Inputs, now time.Time, resumed bool) error {
	began := time.Now()
	failure := l.unit.do(context.WithoutCancel(ctx), step, in.Members)
	took := time.Since(began)
	now = now.Add(took)
	o := journal.Outcome{OK: failure == nil, Resumed: resumed, Took: took.Round(time.Millisecond).String()}
	l.memory = l.memory.Clone() // the journal's copy stays as it is
	if failure != nil {
		o.Err = failure.Error()
		l.log.Warn("step failed", "pool", l.name, "step", step.ID, "verb", step.Verb,
			"names", step.Names, "victims", step.Going(), "err", failure)
		l.undo(step, in.Terms, now)
	}
	if dir := direction(step.Verb); dir == rules.DirOut && errors.Is(failure, ErrNoCapacity) {
		l.memory.Lacked(o.Err, now)
	} else {
		l.memory.Ended(dir, o.Err, now)
	}
	o.After = &l.memory
	l.s.metrics.steps.WithLabelValues(l.name, string(step.Verb), outcome(failure)).Inc()
	if err := l.s.journal.End(seq, o); err != nil {
		return fmt.Errorf("journal the end of step %s: %w", step.ID, err)
	}
	if step.Verb == journal.Admit && failure == nil {
		l.met.add(step.Victims, in.Members)
	}
	return nil
}

// undo remembers that a step failed: what it did all the same shows on the next
// looks, and until then nothing is taken for granted.
func (l *loop) undo(s journal.Step, t rules.Terms, now time.Time) {
	clear(l.met) // whom the traffic was told to let in is not sure either
	switch s.Verb {
	case journal.Grow:
		l.memory.Doubt(s.Names, false, nil, t, now)
	case journal.Swap:
		l.memory.Doubt(s.Names, true, s.Victims, t, now)
	case journal.Withdraw:
		l.memory.Doubt(nil, false, s.Victims, t, now)
	}
}

// outcome is the label of a step's end.
func outcome(err error) string {
	if err != nil {
		return "failed"
	}
	return "ok"
}
