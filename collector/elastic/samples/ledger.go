package samples

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// State keeps what must be known after a restart: a journal. What Keep was given is
// durable when it returns.
type State interface {
	Keep(who string, state any) error
	Kept(who string, state any) (bool, error)
}

// who is whose state is kept.
const who = "elastic/samples"

// kept is what is known after a restart. Times are in milliseconds since 1970.
type kept struct {
	Cursor  int64     `json:"cursor"`            // all before was sent, but for what is dirty
	Begun   int64     `json:"begun"`             // end of the stretch after the cursor that may have been sent in part
	Dirty   stretches `json:"dirty,omitempty"`   // to be read again
	Reading *stretch  `json:"reading,omitempty"` // of these, the one that is being read
	Born    int64     `json:"born"`              // when this was first kept; what came before, another may have sent
	Own     int64     `json:"own,omitempty"`     // time of the store's oldest own sample when this was kept
}

// A ledger is what is kept, and tells what is durable of it.
type ledger struct {
	state State
	now   func() time.Time

	mu     sync.Mutex
	kept   kept
	change uint64    // number of the last change
	first  time.Time // of the marks that wait; zero if none does
	last   time.Time // of them
	margin margin

	writing sync.Mutex // held while state is written
	durable uint64     // number of the change that is; under writing
}

// settle tells the store where what was sent ends, see [Source].
type settle func(until time.Time, late func(from, to time.Time))

// openLedger reads what was kept, and takes over from whoever kept it: what comes
// late from its return on is marked here. begin gives the cursor of the very first one.
func openLedger(state State, now func() time.Time, settle settle, begin func() int64) (*ledger, error) {
	l := &ledger{state: state, now: now, margin: margin{now: leastMargin}}
	l.mu.Lock() // whoever is late waits
	defer l.mu.Unlock()
	found, err := state.Kept(who, &l.kept)
	if err != nil {
		return nil, fmt.Errorf("begin to ship samples: %w", err)
	}
	if !found {
		l.kept = kept{Cursor: begin(), Born: now().UnixMilli()}
		l.kept.Begun = l.kept.Cursor
	}
	settle(time.UnixMilli(max(l.kept.Cursor, l.kept.Begun)), l.late)
	if found { // the former one may have marked until just now
		l.kept = kept{}
		if _, err := state.Kept(who, &l.kept); err != nil {
			return nil, fmt.Errorf("begin to ship samples: %w", err)
		}
	}
	if r := l.kept.Reading; r != nil {
		l.kept.Dirty = l.kept.Dirty.with(*r)
		l.kept.Reading = nil
	}
	if !found {
		if err := state.Keep(who, l.kept); err != nil {
			return nil, fmt.Errorf("begin to ship samples: %w", err)
		}
	}
	return l, nil
}

// get is what is kept now.
func (l *ledger) get() kept {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.copy()
}

func (l *ledger) copy() kept {
	k := l.kept
	k.Dirty = slices.Clone(k.Dirty)
	return k
}

// late marks a stretch as dirty, durably. If that fails it is marked all the same,
// and the next one who writes makes it durable.
func (l *ledger) late(from, to time.Time) {
	s := stretch{from.UnixMilli(), to.UnixMilli()}
	l.mu.Lock()
	now := l.now()
	l.margin.late(now.Sub(from))
	if !l.kept.Dirty.has(s) {
		l.kept.Dirty = l.kept.Dirty.with(s)
		l.change++
	}
	if l.first.IsZero() {
		l.first = now
	}
	l.last = now
	change := l.change
	l.mu.Unlock()
	_ = l.write(change) // told of by whoever ships, who writes all the time
}

// nextMargin is how far behind the present the next stretch ends.
func (l *ledger) nextMargin() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.margin.next()
}

// update changes what is kept, and returns when it is durable.
func (l *ledger) update(change func(*kept)) error {
	l.mu.Lock()
	change(&l.kept)
	l.change++
	n := l.change
	l.mu.Unlock()
	return l.write(n)
}

// write makes a change durable, and all others until now, unless somebody did.
func (l *ledger) write(change uint64) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if l.durable >= change {
		return nil
	}
	l.mu.Lock()
	k, n := l.copy(), l.change
	l.mu.Unlock()
	if err := l.state.Keep(who, k); err != nil {
		return err
	}
	l.durable = n
	return nil
}

// How long dirty stretches wait, so that what belongs together is read together.
const (
	quiet    = 5 * time.Second  // since the last mark
	patience = 30 * time.Second // since the first
)

// take takes the first dirty stretch, at most span of it, to be read again, if it is
// time. It is dirty until [ledger.done], and is marked anew if a sample comes late for
// it meanwhile.
func (l *ledger) take(span int64) (stretch, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if len(l.kept.Dirty) == 0 || now.Sub(l.last) < quiet && now.Sub(l.first) < patience {
		return stretch{}, false
	}
	s := l.kept.Dirty[0]
	l.kept.Dirty = l.kept.Dirty[1:]
	s.To = min(s.To, l.kept.Cursor) // what was widened beyond holds no late sample
	if rest := (stretch{s.From + span, s.To}); rest.From < rest.To {
		l.kept.Dirty = append(stretches{rest}, l.kept.Dirty...)
		s.To = rest.From
	}
	l.kept.Reading = &s
	return s, true
}

// done ends the reading of the stretch that was taken: it is clean, or, if it was not
// read, still dirty.
func (l *ledger) done(clean bool) error {
	return l.update(func(k *kept) {
		if !clean {
			k.Dirty = k.Dirty.with(*k.Reading)
		}
		k.Reading = nil
		if len(k.Dirty) == 0 {
			l.first = time.Time{}
		}
	})
}
