package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A step takes the schema from one version to the next.
type step struct {
	name      string
	statement string
}

// migrations are in order: the schema's version is how many have been made. What has
// been released never changes.
func migrations() []step {
	return []step{{
		name: "products",
		// IDs are in the order of their bytes. JSON stays as it was written, which
		// jsonb would not leave to numbers.
		statement: `
CREATE TABLE product (
	id         text COLLATE "C" PRIMARY KEY,
	type       text NOT NULL,
	name       text NOT NULL,
	parameters json NOT NULL,
	version    text NOT NULL,
	first      text NOT NULL,
	trail      text[] NOT NULL DEFAULT '{}',
	created    timestamptz NOT NULL,
	updated    timestamptz NOT NULL,
	gone       timestamptz
);
CREATE TABLE product_past (
	id       text COLLATE "C" NOT NULL,
	versions text[] NOT NULL,
	at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX product_past_by_id ON product_past (id);
CREATE INDEX product_past_by_age ON product_past (at);
CREATE INDEX product_by_type ON product (type, id) WHERE gone IS NULL;
CREATE INDEX product_gone ON product (gone) WHERE gone IS NOT NULL`,
	}}
}

// turn is the key of the advisory lock under which migrations take turns, within one
// database.
const turn = 0x666c7962616c6c // "flyball"

const (
	lookForVersions = "SELECT to_regclass('product_migration') IS NOT NULL"
	countVersions   = "SELECT coalesce(max(version), 0) FROM product_migration"
	makeVersions    = "CREATE TABLE IF NOT EXISTS product_migration (version int PRIMARY KEY, name text NOT NULL, made timestamptz NOT NULL DEFAULT now())"
	insertVersion   = "INSERT INTO product_migration (version, name) VALUES ($1, $2)"
)

// Migrate brings the schema of a database, which has to be there, to the version that
// this program knows. It may run any number of times, and several times at once: they
// take turns. All steps are made, or none.
func Migrate(ctx context.Context, o Options) error {
	err := o.Validate()
	if err == nil {
		err = migrate(ctx, o.withDefaults())
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

func migrate(ctx context.Context, o Options) error {
	conn, err := connect(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		hangUp(conn)
		_ = conn.Close(context.WithoutCancel(ctx)) // what was made is committed
	}()
	made := 0
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) (err error) {
		made, err = advance(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("change the schema: %w", rights(err))
	}
	o.Logger.Info("the schema is as this program needs it", "version", len(migrations()), "steps", made)
	return nil
}

// connect connects to the primary, and waits for it as a store does.
func connect(ctx context.Context, o Options) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for n := 0; ; n++ {
		c, err := o.connection()
		if err != nil {
			return nil, err
		}
		c.RuntimeParams["statement_timeout"] = "0" // a change of a large table takes its time
		(&line{servers: &servers{}}).carry(c)
		conn, err := pgx.ConnectConfig(ctx, c)
		if err == nil {
			return conn, nil
		}
		if err = explain(err); n == 0 && passing(err) {
			o.Logger.Warn("no connection to the database; trying again", "err", err)
		}
		if !passing(err) || pause(ctx, n) != nil {
			return nil, err
		}
	}
}

// advance makes the steps that are missing, and gives their number.
func advance(ctx context.Context, tx pgx.Tx) (made int, err error) {
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(turn)); err != nil {
		return 0, fmt.Errorf("wait for other migrations: %w", err)
	}
	version, err := schemaVersion(ctx, tx)
	if err != nil {
		return 0, err
	}
	steps := migrations()
	if version > len(steps) {
		return 0, usable(version)
	}
	if version == len(steps) {
		return 0, nil
	}
	if _, err := tx.Exec(ctx, makeVersions); err != nil {
		return 0, err
	}
	for i, step := range steps[version:] {
		if _, err := tx.Exec(ctx, step.statement); err != nil {
			return 0, fmt.Errorf("step %d (%s): %w", version+i+1, step.name, err)
		}
		if _, err := tx.Exec(ctx, insertVersion, version+i+1, step.name); err != nil {
			return 0, fmt.Errorf("step %d (%s): %w", version+i+1, step.name, err)
		}
	}
	return len(steps) - version, nil
}

// rowQuerier is a connection or a transaction.
type rowQuerier interface {
	QueryRow(ctx context.Context, statement string, values ...any) pgx.Row
}

// schemaVersion reads the version of the schema; 0 is none.
func schemaVersion(ctx context.Context, q rowQuerier) (version int, err error) {
	var found bool
	if err := q.QueryRow(ctx, lookForVersions).Scan(&found); err != nil || !found {
		return 0, err
	}
	err = q.QueryRow(ctx, countVersions).Scan(&version)
	return version, rights(err)
}

// usable reports whether this program can work with a version of the schema.
func usable(version int) error {
	known := len(migrations())
	switch {
	case version == 0:
		return mistake{errors.New("the database has no tables of this program: make them with \"app migrate --store postgres\"")}
	case version < known:
		return mistake{fmt.Errorf("the schema has version %d, this program needs %d: run \"app migrate --store postgres\"", version, known)}
	case version > known:
		return mistake{fmt.Errorf("the schema has version %d, this program knows %d: use a newer app", version, known)}
	}
	return nil
}

// rights adds a hint to an error that says that the user may not do something.
func rights(err error) error {
	var answer *pgconn.PgError
	if errors.As(err, &answer) && answer.Code == "42501" {
		return fmt.Errorf("%w: to migrate, the user needs CREATE on the schema; to serve, SELECT on product_migration and SELECT, INSERT, UPDATE and DELETE on product and product_past", err)
	}
	return err
}
