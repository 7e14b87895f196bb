package pooltest

import (
	"context"
	"slices"
	"sync"
	"time"

	"flyball/rules"
	"flyball/scaler"
)

var _ scaler.Traffic = (*Traffic)(nil)

// TrafficKnobs are how a [Traffic] misbehaves.
type TrafficKnobs struct {
	AdmitErr, WithdrawErr, OpenErr error         // the call fails and does nothing
	Lost                           error         // Admit and Withdraw fail, and yet are done
	Delay                          time.Duration // of every call, by the real clock or that of a synctest bubble
	Drains                         time.Duration // from withdrawn to no open request
	Unknown                        bool          // nothing is known of open requests
}

// Traffic is a balancer in memory, without goroutines and as old as the clock it
// is given says. It is safe for concurrent use.
type Traffic struct {
	mu    sync.Mutex
	now   func() time.Time
	knobs TrafficKnobs
	rows  map[rules.MemberID]*row
}

type row struct {
	in   bool
	out  time.Time // since when it is withdrawn
	open int
}

// NewTraffic returns a balancer that knows nobody.
func NewTraffic(now func() time.Time) *Traffic {
	return &Traffic{now: now, rows: map[rules.MemberID]*row{}}
}

// Set turns the knobs.
func (t *Traffic) Set(turn func(*TrafficKnobs)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	turn(&t.knobs)
}

// Load says how many requests a member has open while it is in rotation, and
// until it has drained.
func (t *Traffic) Load(id rules.MemberID, open int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.row(id).open = open
}

// In lists who is in rotation, sorted.
func (t *Traffic) In() []rules.MemberID {
	t.mu.Lock()
	defer t.mu.Unlock()
	var in []rules.MemberID
	for id, r := range t.rows {
		if r.in {
			in = append(in, id)
		}
	}
	slices.Sort(in)
	return in
}

func (t *Traffic) row(id rules.MemberID) *row {
	if t.rows[id] == nil {
		t.rows[id] = &row{}
	}
	return t.rows[id]
}

// Admit implements [scaler.Traffic].
func (t *Traffic) Admit(ctx context.Context, ms []rules.Member) error {
	return t.change(ctx, func(k TrafficKnobs) error { return k.AdmitErr }, func() {
		for _, m := range ms {
			r := t.row(m.ID)
			r.in, r.out = true, time.Time{}
		}
	})
}

// Withdraw implements [scaler.Traffic].
func (t *Traffic) Withdraw(ctx context.Context, ms []rules.Member) error {
	return t.change(ctx, func(k TrafficKnobs) error { return k.WithdrawErr }, func() {
		for _, m := range ms {
			if r := t.row(m.ID); r.in || r.out.IsZero() {
				r.in, r.out = false, t.now()
			}
		}
	})
}

func (t *Traffic) change(ctx context.Context, failure func(TrafficKnobs) error, do func()) error {
	if err := t.wait(ctx); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := failure(t.knobs); err != nil {
		return err
	}
	do()
	return t.knobs.Lost
}

func (t *Traffic) wait(ctx context.Context) error {
	t.mu.Lock()
	delay := t.knobs.Delay
	t.mu.Unlock()
	return wait(ctx, delay)
}

// Open implements [scaler.Traffic].
func (t *Traffic) Open(ctx context.Context) (map[rules.MemberID]int, error) {
	if err := t.wait(ctx); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.knobs.OpenErr != nil || t.knobs.Unknown {
		return nil, t.knobs.OpenErr
	}
	open := map[rules.MemberID]int{}
	for id, r := range t.rows {
		open[id] = r.open
		if !r.in && past(r.out.Add(t.knobs.Drains), t.now()) {
			open[id] = 0
		}
	}
	return open, nil
}
