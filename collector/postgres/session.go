package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"flyball/collector/exporter"
)

// lockTimeout is how long a statement of ours may wait for a lock: who holds one
// that is in our way is told of, not waited for.
const lockTimeout = 200 * time.Millisecond

// farewell is how long closing may take.
const farewell = time.Second

// errLost is what is left to say to the parts after the one that lost the connection.
var errLost = errors.New("the connection was lost")

// reach makes sure that the connection is open and answers, and asks for the facts
// of this scrape. One that the server has closed meanwhile is opened anew at once.
func (t *target) reach(ctx context.Context) error {
	if t.conn != nil && !t.conn.IsClosed() {
		err := t.ask(ctx)
		if err == nil || !t.conn.IsClosed() || ctx.Err() != nil {
			return t.plain(err)
		}
	}
	if err := t.open(ctx); err != nil {
		return err
	}
	return t.plain(t.ask(ctx))
}

// open connects. The files that hold secrets are read anew.
func (t *target) open(ctx context.Context) error {
	c, err := t.config.connection()
	if err != nil {
		return err
	}
	t.limit = t.config.Timeout / 3
	for name, value := range map[string]string{
		"application_name":              "flyball",
		"default_transaction_read_only": "on",
		"statement_timeout":             milliseconds(t.limit),
		"lock_timeout":                  milliseconds(lockTimeout),
		// Names mean the server's own objects, whatever somebody made in public.
		"search_path": "pg_catalog",
		// The planner takes short statements over views for dear ones.
		"jit":                             "off",
		"max_parallel_workers_per_gather": "0",
	} {
		c.RuntimeParams[name] = value
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", address(c), t.plain(err))
	}
	t.conn, t.facts = conn, facts{}
	return nil
}

// close closes the connection, and waits until nothing of it is left.
func (t *target) close() error {
	if t.conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	err := t.conn.Close(ctx)
	select {
	case <-t.conn.PgConn().CleanupDone():
	case <-ctx.Done():
	}
	t.conn = nil
	if err != nil {
		return fmt.Errorf("close the connection: %w", t.plain(err))
	}
	return nil
}

// query runs a statement, and calls each for each row that it scanned into dest.
func (t *target) query(ctx context.Context, sql string, args, dest []any, each func()) error {
	if t.conn == nil || t.conn.IsClosed() {
		return exporter.Because(exporter.Refused, errLost)
	}
	if err := t.allow(ctx); err != nil {
		return t.plain(err)
	}
	rows, err := t.conn.Query(ctx, sql, args...)
	if err != nil {
		return t.plain(err)
	}
	_, err = pgx.ForEachRow(rows, dest, func() error { each(); return nil })
	return t.plain(err)
}

// allow keeps the server's limit on a statement under the context's deadline, so
// that one that hangs is ended by the server, and the connection stays. It is set
// anew only when it is far off.
func (t *target) allow(ctx context.Context) error {
	end, ok := ctx.Deadline()
	if !ok {
		return nil
	}
	left := time.Until(end) * 9 / 10
	if left < time.Millisecond {
		return context.DeadlineExceeded
	}
	if left/2 < t.limit && t.limit <= left {
		return nil
	}
	if _, err := t.conn.Exec(ctx, "SET statement_timeout = "+milliseconds(left)); err != nil {
		return err
	}
	t.limit = left
	return nil
}

func milliseconds(d time.Duration) string {
	return strconv.FormatInt(max(d.Milliseconds(), 1), 10)
}
