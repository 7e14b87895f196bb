package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// Note writes an entry of a kind that is not the journal's own (those are
// [Decision], [Begun], [Ended] and [Order]). The body is anything that JSON takes.
func (j *Journal) Note(kind Kind, target string, at time.Time, body any) error {
	if kind == "" || slices.Contains([]Kind{Decision, Begun, Ended, Order}, kind) {
		return fmt.Errorf("journal note: kind %q is not for notes", kind)
	}
	err := j.write(j.fast, "note", func(w *writing) error {
		_, err := add(w, Entry{At: at, Kind: kind, Target: target}, body)
		return err
	})
	if err != nil {
		return fmt.Errorf("journal note of kind %s: %w", kind, err)
	}
	return nil
}

// add writes an entry within a transaction.
func add(w *writing, e Entry, body any) (Seq, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return 0, fmt.Errorf("encode %s entry: %w", e.Kind, err)
	}
	res, err := w.Exec(`INSERT INTO entries (at, kind, target, id, body) VALUES (?, ?, ?, ?, ?)`,
		nanos(e.At), e.Kind, e.Target, e.ID, string(b))
	if err != nil {
		return 0, fmt.Errorf("write %s entry: %w", e.Kind, err)
	}
	seq, err := res.LastInsertId()
	if err != nil {
		return 0, fmt.Errorf("write %s entry: %w", e.Kind, err)
	}
	w.kinds = append(w.kinds, e.Kind)
	return Seq(seq), nil
}

// A Filter selects entries. Zero fields select everything.
type Filter struct {
	Since  time.Time // at or after
	Until  time.Time // before
	After  Seq       // with a larger number
	Before Seq       // with a smaller number
	Kinds  []Kind
	Target string // pool/web
	ID     string // of the decision or step
	Oldest bool   // oldest first; otherwise newest first
	Limit  int    // 0: 100; at most 10,000
}

// Entries returns the selected entries.
func (j *Journal) Entries(f Filter) ([]Entry, error) {
	var where []string
	var args []any
	and := func(cond string, arg ...any) { where, args = append(where, cond), append(args, arg...) }
	and(`seq > ?`, f.After)
	if !f.Since.IsZero() {
		and(`at >= ?`, nanos(f.Since))
	}
	if !f.Until.IsZero() {
		and(`at < ?`, nanos(f.Until))
	}
	if f.Before != 0 {
		and(`seq < ?`, f.Before)
	}
	if f.Target != "" {
		and(`target = ?`, f.Target)
	}
	if f.ID != "" {
		and(`id = ? AND id <> ''`, f.ID) // the second half lets SQLite use the index
	}
	if len(f.Kinds) > 0 {
		and(`kind IN (` + strings.Repeat(`?, `, len(f.Kinds)-1) + `?)`)
		for _, k := range f.Kinds {
			args = append(args, k)
		}
	}
	order := `DESC`
	if f.Oldest {
		order = `ASC`
	}
	if f.Limit <= 0 {
		f.Limit = 100
	}
	return j.entries(`SELECT seq, at, kind, target, id, body FROM entries WHERE `+strings.Join(where, ` AND `)+
		` ORDER BY seq `+order+` LIMIT ?`, append(args, min(f.Limit, 10_000))...)
}

func (j *Journal) entries(query string, args ...any) ([]Entry, error) {
	rows, err := j.read.Query(query, args...)
	if err != nil {
		return nil, fmt.Errorf("read entries: %w", err)
	}
	defer rows.Close()
	var es []Entry
	for rows.Next() {
		var e Entry
		var at int64
		var body string
		if err := rows.Scan(&e.Seq, &at, &e.Kind, &e.Target, &e.ID, &body); err != nil {
			return nil, fmt.Errorf("read entries: %w", err)
		}
		e.At, e.Body = time.Unix(0, at).UTC(), json.RawMessage(body)
		es = append(es, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read entries: %w", err)
	}
	return es, nil
}

// Follow returns every entry after a number, and then each new one as it is
// written, until ctx is done or the journal is closed, which is no error. A
// follower that comes late or is slow misses nothing within retention and keeps
// nobody waiting. An error of reading ends it.
func (j *Journal) Follow(ctx context.Context, after Seq) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for ctx.Err() == nil {
			bell := j.bellNow() // before reading, so that nothing falls between
			page, err := j.Entries(Filter{After: after, Oldest: true, Limit: 256})
			if err != nil {
				if !j.over() {
					yield(Entry{}, err)
				}
				return
			}
			for _, e := range page {
				if ctx.Err() != nil || !yield(e, nil) {
					return
				}
				after = e.Seq
			}
			if len(page) > 0 {
				continue
			}
			select {
			case <-bell:
			case <-j.done:
				return
			case <-ctx.Done():
				return
			}
		}
	}
}

// over reports whether the journal was closed.
func (j *Journal) over() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

// Cursor returns the number that a follower said it has come to; 0 at first.
func (j *Journal) Cursor(who string) (Seq, error) {
	var seq Seq
	err := j.read.QueryRow(`SELECT seq FROM cursors WHERE who = ?`, who).Scan(&seq)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("read cursor of %s: %w", who, err)
	}
	return seq, nil
}

// SetCursor keeps how far a follower has come.
func (j *Journal) SetCursor(who string, seq Seq) error {
	err := j.write(j.fast, "cursor", func(w *writing) error {
		_, err := w.Exec(`INSERT INTO cursors (who, seq) VALUES (?, ?) ON CONFLICT (who) DO UPDATE SET seq = excluded.seq`, who, seq)
		return err
	})
	if err != nil {
		return fmt.Errorf("journal cursor of %s: %w", who, err)
	}
	return nil
}
