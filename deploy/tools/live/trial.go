package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"flyball/rules"
	"flyball/scaler/journal"
	"flyball/scaler/pool"
)

// A trial is one pool that is grown, drained, shrunk and ended.
type trial struct {
	name   string
	pool   *pool.Pool
	o      options
	log    *slog.Logger
	report report
}

// report is what came of a trial.
type report struct {
	Cloud string         `json:"cloud"`
	Pool  string         `json:"pool"`
	Begun time.Time      `json:"begun"`
	Took  string         `json:"took"`
	OK    bool           `json:"ok"`
	Error string         `json:"error,omitempty"`
	Money string         `json:"money,omitempty"` // what it cost at most
	Steps []step         `json:"steps"`
	Left  []rules.Member `json:"left"` // who is there in the end: nobody, or something went wrong
}

// step is one part of it.
type step struct {
	What  string `json:"what"`
	Took  string `json:"took"`
	Error string `json:"error,omitempty"`
}

// do does one part, and notes how it went.
func (t *trial) do(what string, f func() error) error {
	begun := time.Now()
	t.log.Info("live: " + what)
	err := f()
	s := step{What: what, Took: time.Since(begun).Round(time.Millisecond).String()}
	if err != nil {
		err = fmt.Errorf("%s: %w", what, err)
		s.Error = err.Error()
	}
	t.report.Steps = append(t.report.Steps, s)
	return err
}

// play makes the trial. What it made is ended, whatever happens, unless members were
// there before it: then nothing is touched.
func (t *trial) play(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, mostTime)
	defer cancel()
	if err := t.do("look before it begins", func() error { return t.look(within) }); err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { _ = t.pool.Run(running) }) // says by itself what fails
	err := t.members(within)
	stop()
	wg.Wait()
	return errors.Join(err, t.do("end what is left", func() error { return t.clean(context.WithoutCancel(ctx)) }))
}

// look sees that all is there that is needed, nobody else is, and the money suffices.
func (t *trial) look(ctx context.Context) error {
	for _, f := range t.pool.Preflight(ctx, mostMembers) {
		if !f.OK && f.What != "load balancer" { // the trial's own tag needs none
			return fmt.Errorf("%s: %s; %s", f.What, f.Text, f.Hint)
		}
	}
	ms, terms, err := t.pool.Unit().Pool.Look(ctx)
	if err != nil {
		return err
	}
	if len(ms) > 0 {
		return fmt.Errorf("there are %d members already, which are not ours to end", len(ms))
	}
	price := max(terms.Price, t.o.price)
	money := price * mostMembers * (mostTime + cleanTime).Hours()
	if price == 0 || money > mostMoney {
		return fmt.Errorf("%d members at %.4f an hour may cost %.2f, and the limit is %.2f: name a price, or smaller machines", mostMembers, price, money, mostMoney)
	}
	t.report.Money = fmt.Sprintf("%.3f %s at most", money, terms.Currency)
	return nil
}

// members makes members, and ends one of them as a scale-in does.
func (t *trial) members(ctx context.Context) error {
	u := t.pool.Unit()
	grow := journal.Step{ID: t.name + "-grow", Verb: journal.Grow, To: mostMembers}
	for i := range mostMembers {
		grow.Names = append(grow.Names, fmt.Sprintf("%s-%d", t.name, i+1))
	}
	var ms []rules.Member
	if err := t.do("create", func() error { return u.Pool.Grow(ctx, grow) }); err != nil {
		return err
	}
	if err := t.do("become ready", func() (err error) {
		ms, err = t.until(ctx, mostMembers, rules.Ready)
		return err
	}); err != nil {
		return err
	}
	if err := t.do("create again, which makes nobody", func() error {
		again, err := t.until(ctx, mostMembers, rules.Ready)
		if err == nil {
			err = u.Pool.Grow(ctx, grow)
		}
		if err == nil && len(again) != mostMembers {
			err = fmt.Errorf("there are %d members", len(again))
		}
		return err
	}); err != nil {
		return err
	}
	if err := t.do("drain", func() error { return t.drain(ctx, ms) }); err != nil {
		return err
	}
	return t.do("delete one", func() error {
		victim := journal.Step{ID: t.name + "-remove", Verb: journal.Remove, Victims: []rules.MemberID{ms[0].ID}, To: mostMembers - 1}
		if err := u.Pool.Remove(ctx, victim); err != nil {
			return err
		}
		left, err := t.until(ctx, mostMembers-1, rules.Ready)
		if err == nil && (left[0].ID == ms[0].ID || left[1].ID == ms[0].ID) {
			err = fmt.Errorf("another member than %s is gone", ms[0].Name)
		}
		return err
	})
}

// drain puts members into rotation, and takes one out of it, where anybody sends them
// requests.
func (t *trial) drain(ctx context.Context, ms []rules.Member) error {
	u := t.pool.Unit()
	if u.Traffic != nil {
		if err := u.Traffic.Admit(ctx, ms); err != nil {
			return err
		}
		if err := u.Traffic.Withdraw(ctx, ms[:1]); err != nil {
			return err
		}
	}
	return pause(ctx, u.Drain)
}

// until waits for so many members, all in one state.
func (t *trial) until(ctx context.Context, n int, state rules.State) ([]rules.Member, error) {
	for {
		ms, _, err := t.pool.Unit().Pool.Look(ctx)
		fit := 0
		for _, m := range ms {
			if m.State == state {
				fit++
			}
		}
		if err == nil && fit == n && len(ms) == n {
			return ms, nil
		}
		if ended := pause(ctx, t.o.pace); ended != nil {
			return nil, fmt.Errorf("%d of %d are %s: %w", fit, n, state, errors.Join(ended, err))
		}
	}
}

// clean ends all members, and sees that nobody is left.
func (t *trial) clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, cleanTime)
	defer cancel()
	var err error
	for {
		if err = t.pool.Sweep(ctx); err == nil || ctx.Err() != nil {
			break
		}
		t.log.Warn("not all have ended yet", "err", err)
		if pause(ctx, t.o.pace) != nil {
			break
		}
	}
	ms, _, look := t.pool.Unit().Pool.Look(context.WithoutCancel(ctx))
	t.report.Left = ms
	if len(ms) > 0 {
		look = fmt.Errorf("%d members of pool %s are left: END THEM BY HAND, they cost money", len(ms), t.name)
	}
	return errors.Join(err, look)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
