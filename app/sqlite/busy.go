package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"flyball/app/product"
)

// patience is how long a call tries while other processes hold the database.
const patience = 10 * time.Second

// patiently runs f until it is done, or fails with something other than a held
// lock. SQLite waits by itself (busy_timeout) in most places but not in all: not
// when a database is turned to WAL, recovered, or closed by its last user.
func patiently(ctx context.Context, f func(ctx context.Context) error) error {
	deadline := time.Now().Add(patience)
	for {
		err := f(ctx)
		if !held(err) {
			return fromContext(ctx, err)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("wait for the database: %w: %w", product.ErrBusy, err)
		}
		pause := time.NewTimer(time.Millisecond + rand.N(10*time.Millisecond))
		select {
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("wait for the database: %w", ctx.Err())
		case <-pause.C:
		}
	}
}

// held reports whether an error says that somebody else holds a lock.
func held(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	primary := e.Code() & 0xff
	return primary == sqlite3.SQLITE_BUSY || primary == sqlite3.SQLITE_LOCKED
}

// fromContext makes the error of a call that the context ended wrap the context's:
// SQLite itself only says that it was interrupted.
func fromContext(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	var e *sqlite.Error
	if errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_INTERRUPT {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}
