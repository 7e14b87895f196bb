package chaos

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"flyball/rules"
	"flyball/scaler/journal"
)

// A ledger is a journal that outlives Flyball: it keeps what the real one keeps, as
// JSON, and is as sure as a disk.
type ledger struct {
	mu     sync.Mutex
	seq    journal.Seq
	memory map[string]string
	orders map[string]journal.Standing
	open   map[string]journal.Entry
	last   journal.Tick
	steps  []journal.Step
	ends   []journal.Outcome
}

func newLedger() *ledger {
	return &ledger{memory: map[string]string{}, orders: map[string]journal.Standing{}, open: map[string]journal.Entry{}}
}

func (j *ledger) save(t *journal.Tick) {
	j.memory[t.Pool] = encode(t.After)
	j.last = *t
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// Tick, Begin, End, Pending, Memory, Orders and SetOrder make it a journal.
func (j *ledger) Tick(_ time.Time, ts []journal.Tick) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, t := range ts {
		j.save(&t)
	}
	return nil
}

func (j *ledger) Begin(s journal.Step, t *journal.Tick) (journal.Seq, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, ok := j.open[s.Target]; ok {
		return 0, journal.ErrOpen
	}
	j.seq++
	j.open[s.Target] = journal.Entry{Seq: j.seq, Kind: journal.Begun, Target: s.Target, ID: s.ID, Body: []byte(encode(s))}
	j.steps = append(j.steps, s)
	j.save(t)
	return j.seq, nil
}

func (j *ledger) End(seq journal.Seq, o journal.Outcome) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for target, e := range j.open {
		if e.Seq == seq {
			delete(j.open, target)
			j.ends = append(j.ends, o)
			if o.After != nil {
				j.memory[strings.TrimPrefix(target, "pool/")] = encode(o.After)
			}
			return nil
		}
	}
	return fmt.Errorf("end %d: it is not open", seq)
}

func (j *ledger) Pending() ([]journal.Entry, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []journal.Entry
	for _, e := range j.open {
		out = append(out, e)
	}
	return out, nil
}

func (j *ledger) Memory(pool string) (rules.Memory, bool, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var m rules.Memory
	b, ok := j.memory[pool]
	if !ok {
		return m, false, nil
	}
	return m, true, json.Unmarshal([]byte(b), &m)
}

func (j *ledger) Orders() (map[string]journal.Standing, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return maps.Clone(j.orders), nil
}

func (j *ledger) SetOrder(target, _ string, o *rules.Order, at time.Time) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !o.In(at) {
		o = nil
	}
	now := j.orders[target]
	now.Roll = o // no other order is given here
	j.orders[target] = now
	return nil
}

// leavers are those whose place others take in a step that is under way: as it ends they
// are draining.
func (j *ledger) leavers() map[string]bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := map[string]bool{}
	for _, e := range j.open {
		var s journal.Step
		if json.Unmarshal(e.Body, &s) == nil && s.Verb == journal.Swap {
			for _, v := range s.Victims {
				out[string(v)] = true
			}
		}
	}
	return out
}

// tick is the last one that was kept.
func (j *ledger) tick() journal.Tick {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.last
}

// begun counts the steps so far.
func (j *ledger) begun() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.steps)
}
