package journal

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ErrEnded means that the step has an end already. It stays as it was.
var ErrEnded = errors.New("step has already ended")

// errNoStep means that there is no such step.
var errNoStep = errors.New("no such step")

var stepID = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)

// refused reports an error that answers and is no failure of the journal.
func refused(err error) bool {
	return errors.Is(err, ErrOpen) || errors.Is(err, ErrEnded) || errors.Is(err, errNoStep)
}

// Begin writes that a step is about to be done, together with the tick that led
// to it and that tick's memory (none if t is nil). When it returns without an
// error all of it is on the disk, and survives the machine's end; with one,
// nothing of it was written and the step must not be done. It is [ErrOpen] while
// the target has a step that has not ended.
func (j *Journal) Begin(s Step, t *Tick) (Seq, error) {
	seq, err := j.begin(s, t)
	if err != nil {
		return 0, fmt.Errorf("journal begin of step %s on %s: %w", s.ID, s.Target, err)
	}
	return seq, nil
}

func (j *Journal) begin(s Step, t *Tick) (seq Seq, err error) {
	if !stepID.MatchString(s.ID) {
		return 0, fmt.Errorf("id does not match %s", stepID)
	}
	if s.Target == "" || s.Verb == "" {
		return 0, errors.New("target or verb is missing")
	}
	var ts []Tick
	if t != nil {
		ts = []Tick{*t}
	}
	packed, err := j.packAll(ts)
	if err != nil {
		return 0, err
	}
	err = j.write(j.sure, "begin", func(w *writing) error {
		var open Seq
		err := w.QueryRow(`SELECT seq FROM open_steps WHERE target = ?`, s.Target).Scan(&open)
		if err == nil {
			return fmt.Errorf("%w (entry %d)", ErrOpen, open)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("read open steps: %w", err)
		}
		if len(ts) > 0 {
			if err := j.keep(w, ts, packed); err != nil {
				return err
			}
		}
		if seq, err = add(w, Entry{At: j.opts.Now(), Kind: Begun, Target: s.Target, ID: s.ID}, s); err != nil {
			return err
		}
		if _, err := w.Exec(`INSERT INTO open_steps (target, seq) VALUES (?, ?)`, s.Target, seq); err != nil {
			return fmt.Errorf("write open step: %w", err)
		}
		return nil
	})
	return seq, err
}

// End writes how the step that began with entry seq ended, after which its target
// may have another. It is [ErrEnded] if that was written before. It survives the
// end of this process; a machine that ends just then finds the step open again
// and does it again, which changes nothing.
func (j *Journal) End(seq Seq, o Outcome) error {
	err := j.write(j.fast, "end", func(w *writing) error {
		var e Entry
		err := w.QueryRow(`SELECT target, id FROM entries WHERE seq = ? AND kind = ?`, seq, Begun).Scan(&e.Target, &e.ID)
		if errors.Is(err, sql.ErrNoRows) {
			return errNoStep
		}
		if err != nil {
			return fmt.Errorf("read step: %w", err)
		}
		res, err := w.Exec(`DELETE FROM open_steps WHERE seq = ?`, seq)
		if err != nil {
			return fmt.Errorf("close step: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(ErrEnded, err)
		}
		e.At, e.Kind = j.opts.Now(), Ended
		if o.After != nil {
			if err := remember(w, strings.TrimPrefix(e.Target, target("")), *o.After, e.At); err != nil {
				return err
			}
		}
		_, err = add(w, e, o)
		return err
	})
	if err != nil {
		return fmt.Errorf("journal end of step %d: %w", seq, err)
	}
	return nil
}

// Pending returns the begin entries of the steps that have not ended, oldest
// first: after a crash, what may be done, half done or not done.
func (j *Journal) Pending() ([]Entry, error) {
	return j.entries(`SELECT seq, at, kind, target, id, body FROM entries
		WHERE seq IN (SELECT seq FROM open_steps) ORDER BY seq`)
}

// A StepTold is a step with its outcome.
type StepTold struct {
	Seq     Seq      `json:"seq"` // of its begin
	Begun   Entry    `json:"begin"`
	Step    Step     `json:"step"`
	Ended   *Entry   `json:"end,omitempty"` // nil while it is open
	Outcome *Outcome `json:"outcome,omitempty"`
}

// Steps returns a target's last n steps, newest first.
func (j *Journal) Steps(target string, n int) ([]StepTold, error) {
	begun, err := j.Entries(Filter{Target: target, Kinds: []Kind{Begun}, Limit: n})
	if err != nil {
		return nil, err
	}
	told := make([]StepTold, len(begun))
	for i, b := range begun {
		told[i] = StepTold{Seq: b.Seq, Begun: b}
		if err := json.Unmarshal(b.Body, &told[i].Step); err != nil {
			return nil, fmt.Errorf("decode step %d: %w", b.Seq, err)
		}
		ends, err := j.entries(`SELECT seq, at, kind, target, id, body FROM entries
			WHERE target = ? AND kind = ? AND seq > ? ORDER BY seq LIMIT 1`, target, Ended, b.Seq)
		if err != nil {
			return nil, err
		}
		if len(ends) == 0 || ends[0].ID != b.ID {
			continue
		}
		told[i].Ended, told[i].Outcome = &ends[0], &Outcome{}
		if err := json.Unmarshal(ends[0].Body, told[i].Outcome); err != nil {
			return nil, fmt.Errorf("decode outcome %d: %w", ends[0].Seq, err)
		}
	}
	return told, nil
}
