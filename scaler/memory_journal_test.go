package scaler

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"flyball/rules"
	"flyball/scaler/journal"
)

// memoryJournal is a journal that survives the killing of its user, and nothing else.
type memoryJournal struct {
	w      *world
	seq    journal.Seq
	memory map[string]string
	orders map[string]journal.Standing
	open   map[string]journal.Entry
	ends   []journal.Outcome
	ticks  []journal.Tick
	terms  []rules.Terms // behind each step
	full   bool          // nothing can be written
}

var errFull = errors.New("no space left on device")

func (j *memoryJournal) save(t *journal.Tick) {
	j.memory[t.Pool] = encode(&t.After)
	j.ticks = append(j.ticks, *t)
}

func encode(m *rules.Memory) string {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (j *memoryJournal) Tick(_ time.Time, ts []journal.Tick) error {
	j.w.mu.Lock()
	defer j.w.mu.Unlock()
	j.w.boundary()
	if j.full {
		return errFull
	}
	for _, t := range ts {
		j.save(&t)
	}
	j.w.boundary()
	return nil
}

func (j *memoryJournal) Begin(s journal.Step, t *journal.Tick) (journal.Seq, error) {
	j.w.mu.Lock()
	defer j.w.mu.Unlock()
	j.w.boundary()
	if j.full {
		return 0, errFull
	}
	if _, ok := j.open[s.Target]; ok {
		return 0, journal.ErrOpen
	}
	b, err := json.Marshal(s)
	if err != nil {
		return 0, err
	}
	j.seq++
	j.open[s.Target] = journal.Entry{Seq: j.seq, Kind: journal.Begun, Target: s.Target, ID: s.ID, Body: b}
	j.w.steps = append(j.w.steps, s)
	j.terms = append(j.terms, t.In.Terms)
	j.save(t)
	j.w.boundary()
	return j.seq, nil
}

func (j *memoryJournal) End(seq journal.Seq, o journal.Outcome) error {
	j.w.mu.Lock()
	defer j.w.mu.Unlock()
	j.w.boundary()
	for target, e := range j.open {
		if e.Seq == seq {
			delete(j.open, target)
			j.memory[strings.TrimPrefix(target, "pool/")] = encode(o.After)
			j.ends = append(j.ends, o)
			j.w.boundary()
			return nil
		}
	}
	return fmt.Errorf("end %d: it is not open", seq)
}

func (j *memoryJournal) Pending() ([]journal.Entry, error) {
	j.w.mu.Lock()
	defer j.w.mu.Unlock()
	var out []journal.Entry
	for _, e := range j.open {
		out = append(out, e)
	}
	return out, nil
}

func (j *memoryJournal) Memory(pool string) (rules.Memory, bool, error) {
	j.w.mu.Lock()
	defer j.w.mu.Unlock()
	return j.recall(pool)
}

func (j *memoryJournal) recall(pool string) (rules.Memory, bool, error) {
	var m rules.Memory
	b, ok := j.memory[pool]
	if !ok {
		return m, false, nil
	}
	return m, true, json.Unmarshal([]byte(b), &m)
}

func (j *memoryJournal) Orders() (map[string]journal.Standing, error) {
	j.w.mu.Lock()
	defer j.w.mu.Unlock()
	return maps.Clone(j.orders), nil
}

func (j *memoryJournal) SetOrder(target, kind string, o *rules.Order, at time.Time) error {
	j.w.mu.Lock()
	defer j.w.mu.Unlock()
	if o.By == "flyball" { // and no operator
		j.w.boundary()
		defer j.w.boundary()
	}
	if !o.In(at) {
		o = nil
	}
	now := j.orders[target]
	switch kind {
	case journal.PauseOrder:
		now.Pause = o
	case journal.RollOrder:
		now.Roll = o
	default:
		now.Floor = o
	}
	j.orders[target] = now
	return nil
}
