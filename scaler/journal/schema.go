package journal

import (
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// applicationID marks the file as a journal of Flyball ("flyb").
const applicationID = 0x666c7962

// migrations lead from one version of the file to the next; the length is this
// program's version. One that was released is never changed.
//
// Times are nanoseconds since 1970. An open step's row refuses a second one for
// the same target. Ticks are read by pool and time and pruned in the order in
// which they came.
func migrations() []string {
	return []string{`
CREATE TABLE entries (
	seq    INTEGER PRIMARY KEY AUTOINCREMENT,
	at     INTEGER NOT NULL,
	kind   TEXT NOT NULL,
	target TEXT NOT NULL,
	id     TEXT NOT NULL,
	body   TEXT NOT NULL
) STRICT;
CREATE INDEX entries_target ON entries (target, kind, seq);
CREATE INDEX entries_id ON entries (id) WHERE id <> '';
CREATE TABLE open_steps (
	target TEXT PRIMARY KEY,
	seq    INTEGER NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;
CREATE TABLE ticks (
	n    INTEGER PRIMARY KEY,
	at   INTEGER NOT NULL,
	pool TEXT NOT NULL,
	body BLOB NOT NULL
) STRICT;
CREATE INDEX ticks_pool ON ticks (pool, at);
CREATE TABLE memories (
	pool    TEXT PRIMARY KEY,
	version INTEGER NOT NULL,
	at      INTEGER NOT NULL,
	body    TEXT NOT NULL
) STRICT;
CREATE TABLE orders (
	target TEXT NOT NULL,
	kind   TEXT NOT NULL,
	body   TEXT NOT NULL,
	PRIMARY KEY (target, kind)
) STRICT, WITHOUT ROWID;
CREATE TABLE cursors (
	who TEXT PRIMARY KEY,
	seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE opened (times INTEGER NOT NULL) STRICT;
INSERT INTO opened VALUES (0);
`, `
CREATE TABLE kept (
	who  TEXT PRIMARY KEY,
	body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE identity (id TEXT NOT NULL) STRICT;
INSERT INTO identity VALUES (lower(hex(randomblob(16))));
`}
}

// vital lists the tables that acting and followers depend on, as a version of the
// file has them. Ticks, which may be gigabytes and only explain, are left out, so
// that a start stays short.
func vital(version int) []string {
	tables := []string{"entries", "open_steps", "memories", "orders", "cursors"}
	if version >= 2 {
		tables = append(tables, "kept", "identity")
	}
	return tables
}

// connect opens connections that commit with the given `synchronous`. One that
// never writes is told OFF.
func connect(path, synchronous string, most int) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find path: %w", err)
	}
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(" + synchronous + ")", "journal_size_limit(67108864)",
	}}
	if synchronous == "OFF" {
		q.Set("_txlock", "deferred")
		q.Add("_pragma", "query_only(1)")
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: abs, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most)
	return db, nil
}

// prepare checks whose file this is, whether it is whole, and migrates it.
func prepare(db *sql.DB) error {
	var app, version, tables int
	row := db.QueryRow(`SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
		FROM pragma_application_id, pragma_user_version`)
	if err := row.Scan(&app, &version, &tables); err != nil {
		return fmt.Errorf("read: %w (if the file is damaged, move it away: flyball then adopts the members it finds)", err)
	}
	known := migrations()
	switch {
	case tables > 0 && app != applicationID:
		return fmt.Errorf("file is a database, and no journal of flyball's: choose another data folder")
	case version > len(known):
		return fmt.Errorf("file has version %d and this program knows no later one than %d: run the newer flyball again, or move the file away", version, len(known))
	case version > 0:
		if err := check(db, version); err != nil {
			return err
		}
	}
	for v, stmts := range known[version:] {
		if err := migrate(db, version+v+1, stmts); err != nil {
			return fmt.Errorf("migrate to version %d: %w", version+v+1, err)
		}
	}
	return nil
}

func migrate(db *sql.DB, version int, stmts string) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do
	stmts += fmt.Sprintf("PRAGMA user_version = %d; PRAGMA application_id = %d;", version, applicationID)
	if _, err := tx.Exec(stmts); err != nil {
		return err
	}
	return tx.Commit()
}

// check looks for damage in the vital tables of a version.
func check(db *sql.DB, version int) error {
	for _, table := range vital(version) {
		rows, err := db.Query(`PRAGMA quick_check(` + table + `)`)
		if err != nil {
			return damaged(table, err.Error())
		}
		said, err := texts(rows)
		if err != nil {
			return damaged(table, err.Error())
		}
		if all := strings.Join(said, "; "); all != "ok" {
			return damaged(table, all)
		}
	}
	return nil
}

func damaged(table, what string) error {
	return fmt.Errorf("file is damaged in table %s (%s): move journal.db* away and start again, flyball then adopts the members it finds", table, what)
}

func texts(rows *sql.Rows) ([]string, error) {
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}
