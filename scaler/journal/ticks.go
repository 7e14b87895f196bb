package journal

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"time"

	"flyball/rules"
)

// target is what entries call a pool.
func target(pool string) string { return "pool/" + pool }

// nanos is a time as the file has it; what does not fit becomes the first or last
// that does.
func nanos(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, 0)):
		return 0
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// Tick keeps judgements: inputs, memories and decision of each, its After as the
// pool's memory, and a decision entry where a pool's decision differs in
// substance ([Same]) from its last entry. All of it is one transaction. It
// survives the end of this process at once and the end of the machine by the
// next [Journal.Begin]. Each call deletes some ticks and entries whose retention
// is over, a few more than it adds.
func (j *Journal) Tick(now time.Time, ts []Tick) error {
	packed, err := j.packAll(ts)
	if err != nil {
		return fmt.Errorf("journal ticks: %w", err)
	}
	err = j.write(j.fast, "tick", func(w *writing) error {
		if err := j.keep(w, ts, packed); err != nil {
			return err
		}
		return j.prune(w, now, 2*len(ts)+8)
	})
	if err != nil {
		return fmt.Errorf("journal ticks: %w", err)
	}
	return nil
}

func (j *Journal) packAll(ts []Tick) ([][]byte, error) {
	packed := make([][]byte, len(ts))
	for i, t := range ts {
		b, err := j.pack.pack(t)
		if err != nil {
			return nil, err
		}
		packed[i] = b
	}
	return packed, nil
}

// keep writes ticks within a transaction.
func (j *Journal) keep(w *writing, ts []Tick, packed [][]byte) error {
	tick, err := w.Prepare(`INSERT INTO ticks (at, pool, body) VALUES (?, ?, ?)`)
	if err != nil {
		return fmt.Errorf("prepare tick: %w", err)
	}
	defer tick.Close()
	said := map[string]rules.Decision{}
	for i, t := range ts {
		if _, err := tick.Exec(nanos(t.Out.At), t.Pool, packed[i]); err != nil {
			return fmt.Errorf("write tick of pool %s: %w", t.Pool, err)
		}
		if err := remember(w, t.Pool, t.After, t.Out.At); err != nil {
			return err
		}
		if err := j.say(w, t, said); err != nil {
			return err
		}
	}
	w.then = append(w.then, func() {
		maps.Copy(j.last, said)
		j.metrics.ticks.Add(float64(len(ts)))
	})
	return nil
}

// remember writes a pool's memory within a transaction.
func remember(w *writing, pool string, m rules.Memory, at time.Time) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode memory of pool %s: %w", pool, err)
	}
	if _, err := w.Exec(`INSERT INTO memories (pool, version, at, body) VALUES (?, ?, ?, ?)
		ON CONFLICT (pool) DO UPDATE SET version = excluded.version, at = excluded.at, body = excluded.body`,
		pool, m.Version, nanos(at), string(body)); err != nil {
		return fmt.Errorf("write memory of pool %s: %w", pool, err)
	}
	return nil
}

// say writes a decision entry unless it would repeat the pool's last one. said
// holds those of this transaction.
func (j *Journal) say(w *writing, t Tick, said map[string]rules.Decision) error {
	last, ok := said[t.Pool]
	if !ok {
		if err := j.recall(w, t.Pool); err != nil {
			return err
		}
		last, ok = j.last[t.Pool]
	}
	if ok && Same(last, t.Out) {
		return nil
	}
	_, err := add(w, Entry{At: t.Out.At, Kind: Decision, Target: target(t.Pool), ID: t.Out.ID}, t.Out)
	said[t.Pool] = t.Out
	return err
}

// recall reads a pool's last decision entry, once in a process's life.
func (j *Journal) recall(w *writing, pool string) error {
	if _, ok := j.last[pool]; ok {
		return nil
	}
	var body string
	err := w.QueryRow(`SELECT body FROM entries WHERE target = ? AND kind = ? ORDER BY seq DESC LIMIT 1`,
		target(pool), Decision).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read last decision of pool %s: %w", pool, err)
	}
	var d rules.Decision
	if err := json.Unmarshal([]byte(body), &d); err != nil {
		return nil // of a form this program cannot read: the next decision is written anew
	}
	j.last[pool] = d
	return nil
}

// prune deletes at most n of the oldest ticks and entries, if their time is over.
func (j *Journal) prune(w *writing, now time.Time, n int) error {
	for what, p := range map[string]struct {
		stmt string
		keep time.Duration
	}{
		"ticks": {`DELETE FROM ticks WHERE n IN (SELECT n FROM ticks ORDER BY n LIMIT ?) AND at < ?`, j.opts.Keep},
		"entries": {`DELETE FROM entries WHERE seq IN (SELECT seq FROM entries
			WHERE seq NOT IN (SELECT seq FROM open_steps) ORDER BY seq LIMIT ?) AND at < ?`, j.opts.KeepActs},
	} {
		res, err := w.Exec(p.stmt, n, nanos(now.Add(-p.keep)))
		if err != nil {
			return fmt.Errorf("prune %s: %w", what, err)
		}
		gone, err := res.RowsAffected()
		if err != nil {
			return fmt.Errorf("prune %s: %w", what, err)
		}
		w.then = append(w.then, func() { j.metrics.pruned.WithLabelValues(what).Add(float64(gone)) })
	}
	return nil
}

// Memory returns what a pool's judgements remember. It is false for a pool that
// was never judged, and for a memory of another version.
func (j *Journal) Memory(pool string) (rules.Memory, bool, error) {
	var m rules.Memory
	var body string
	err := j.read.QueryRow(`SELECT body FROM memories WHERE pool = ? AND version = ?`, pool, rules.MemoryVersion).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return m, false, nil
	}
	if err != nil {
		return m, false, fmt.Errorf("read memory of pool %s: %w", pool, err)
	}
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		return rules.Memory{}, false, fmt.Errorf("decode memory of pool %s: %w", pool, err)
	}
	return m, true, nil
}

// LastTick returns the newest kept tick of a pool; false if there is none.
func (j *Journal) LastTick(pool string) (Tick, bool, error) {
	return j.oneTick(`SELECT body FROM ticks WHERE pool = ? ORDER BY at DESC, n DESC LIMIT 1`, pool)
}

// near returns the kept tick of a pool that is nearest to a time.
func (j *Journal) near(pool string, at time.Time) (Tick, bool, error) {
	return j.oneTick(`SELECT body FROM (
		SELECT * FROM (SELECT at, n, body FROM ticks WHERE pool = ?1 AND at <= ?2 ORDER BY at DESC, n DESC LIMIT 1)
		UNION ALL
		SELECT * FROM (SELECT at, n, body FROM ticks WHERE pool = ?1 AND at > ?2 ORDER BY at, n LIMIT 1)
	) ORDER BY abs(at - ?2) LIMIT 1`, pool, nanos(at))
}

func (j *Journal) oneTick(query string, args ...any) (Tick, bool, error) {
	var b []byte
	err := j.read.QueryRow(query, args...).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return Tick{}, false, nil
	}
	if err != nil {
		return Tick{}, false, fmt.Errorf("read tick: %w", err)
	}
	t, err := j.pack.unpack(b)
	return t, err == nil, err
}

// Ticks returns the kept ticks of a pool with from <= time < to, oldest first. It
// reads some at a time and holds nothing between them, so a slow reader keeps
// nobody waiting. An error ends it. Their After is empty: it is not stored.
func (j *Journal) Ticks(pool string, from, to time.Time) iter.Seq2[Tick, error] {
	return func(yield func(Tick, error) bool) {
		at, n := nanos(from), int64(-1)
		for {
			page, err := j.tickPage(pool, at, n, nanos(to))
			if err != nil {
				yield(Tick{}, err)
				return
			}
			for _, row := range page {
				t, err := j.pack.unpack(row.body)
				if !yield(t, err) || err != nil {
					return
				}
				at, n = row.at, row.n
			}
			if len(page) == 0 {
				return
			}
		}
	}
}

type tickRow struct {
	at, n int64
	body  []byte
}

// tickPage reads the ticks after (at, n) and before to.
func (j *Journal) tickPage(pool string, at, n, to int64) ([]tickRow, error) {
	rows, err := j.read.Query(`SELECT at, n, body FROM ticks
		WHERE pool = ? AND (at, n) > (?, ?) AND at < ? ORDER BY at, n LIMIT 128`, pool, at, n, to)
	if err != nil {
		return nil, fmt.Errorf("read ticks: %w", err)
	}
	defer rows.Close()
	var page []tickRow
	for rows.Next() {
		var r tickRow
		if err := rows.Scan(&r.at, &r.n, &r.body); err != nil {
			return nil, fmt.Errorf("read ticks: %w", err)
		}
		page = append(page, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read ticks: %w", err)
	}
	return page, nil
}
