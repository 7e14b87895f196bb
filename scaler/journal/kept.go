package journal

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
)

// Identity tells this journal from every other: it is made once with the file, or
// when a file of a version without one is migrated. A lost journal's successor,
// which numbers its entries from 1 again, has another.
func (j *Journal) Identity() string { return j.id }

// Keep writes what a follower must know after a restart, as JSON, in the place of
// what it kept before. When it returns without an error it is on the disk, and
// survives the machine's end, as does every write before it.
func (j *Journal) Keep(who string, state any) error {
	body, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("encode what %s keeps: %w", who, err)
	}
	err = j.write(j.sure, "keep", func(w *writing) error {
		_, err := w.Exec(`INSERT INTO kept (who, body) VALUES (?, ?) ON CONFLICT (who) DO UPDATE SET body = excluded.body`, who, string(body))
		return err
	})
	if err != nil {
		return fmt.Errorf("journal what %s keeps: %w", who, err)
	}
	return nil
}

// Kept reads what a follower kept into state, a pointer. It is false, and state as
// it was, if there is nothing.
func (j *Journal) Kept(who string, state any) (bool, error) {
	var body string
	err := j.read.QueryRow(`SELECT body FROM kept WHERE who = ?`, who).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read what %s kept: %w", who, err)
	}
	if err := json.Unmarshal([]byte(body), state); err != nil {
		return false, fmt.Errorf("decode what %s kept: %w", who, err)
	}
	return true, nil
}
