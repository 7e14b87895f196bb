package sqlite

import (
	"context"
	"database/sql"
	"fmt"
)

// schemaVersion is kept in the database's user_version.
const schemaVersion = 1

const schema = `
CREATE TABLE product (
	id         TEXT PRIMARY KEY,
	type       TEXT NOT NULL,
	name       TEXT NOT NULL,
	parameters TEXT NOT NULL,
	version    TEXT NOT NULL,
	created    INTEGER NOT NULL,
	updated    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX product_by_type ON product (type, id);
PRAGMA user_version = 1;
`

// migrate makes the tables of a new database. Several processes may do so at once:
// the version is looked at once more under the write lock.
func migrate(ctx context.Context, db *sql.DB) error {
	if done, err := migrated(ctx, db); done || err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin to make tables: %w", err)
	}
	defer tx.Rollback()
	if done, err := migrated(ctx, tx); done || err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, schema); err != nil {
		return fmt.Errorf("make tables: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit tables: %w", err)
	}
	return nil
}

type rowQuerier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func migrated(ctx context.Context, db rowQuerier) (bool, error) {
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return false, fmt.Errorf("read schema version: %w", err)
	}
	if version > schemaVersion {
		return false, fmt.Errorf("open database: its schema has version %d, this program knows %d: use a newer app", version, schemaVersion)
	}
	return version == schemaVersion, nil
}
