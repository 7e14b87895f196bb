package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"flyball/app/product"
	"flyball/app/remote"
)

// patience is a store's with one call: a failover is over by then.
const patience = 10 * time.Second

var (
	// errUnknown says that a write was asked for and nobody could say what became of it.
	errUnknown = errors.New("it is not known whether the write was made")
	// errContended says that a product is changed all the time.
	errContended = errors.New("others kept changing the product")
	// errReadOnly says that the server takes no writes any more.
	errReadOnly = errors.New("the server takes no writes")
)

// mistake marks an error that will come the next time too.
type mistake struct{ error }

func (m mistake) Unwrap() error { return m.error }

// unsent marks the error of a statement that never left.
type unsent struct{ error }

func (u unsent) Unwrap() error { return u.error }

// within runs a call for as long as the store has patience. When the caller's context
// ends first, the error wraps the context's; when the patience does, it is
// [product.ErrBusy], or wraps errUnknown if the call may have done something.
func within[T any](ctx context.Context, s *Store, what string, call func(ctx context.Context) (T, error)) (T, error) {
	bounded, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	v, err := call(bounded)
	if err == nil {
		return v, nil
	}
	var none T
	switch {
	case remote.Settled(err):
		return none, fmt.Errorf("%s: %w", what, err)
	case ctx.Err() != nil:
		return none, fmt.Errorf("%s: %w: %v", what, ctx.Err(), err)
	case errors.Is(err, errUnknown):
		return none, fmt.Errorf("%s: %w: %v", what, errUnknown, err) // not the end of our own context, which would be read as the caller's
	case bounded.Err() != nil, passing(err):
		return none, fmt.Errorf("%s: %w: %v", what, product.ErrBusy, err)
	}
	return none, fmt.Errorf("%s: %w", what, err)
}

// pause waits before the next of several tries: 5 to 10 ms after the first, twice that
// after each more, at most a tenth of a second.
func pause(ctx context.Context, tries int) error {
	return remote.Pause(ctx, tries, 5*time.Millisecond, 50*time.Millisecond)
}

// once runs statements on a connection, once. It gives up all connections if this one
// shows that the server is gone.
func (s *Store) once(ctx context.Context, f func(ctx context.Context, c *pgx.Conn) error) error {
	c, err := s.pool.Acquire(ctx)
	if err != nil {
		if err = explain(err); ctx.Err() == nil {
			s.complain(err)
		}
		return unsent{err}
	}
	defer c.Release()
	bounded, cancel := context.WithTimeout(ctx, s.answer)
	defer cancel()
	began := time.Now()
	err = f(bounded, c.Conn())
	s.metrics.Observe(node(c.Conn()), statementOutcome(err), time.Since(began))
	if ctx.Err() == nil && gone(err) {
		s.giveUp(c.Conn(), err)
	}
	return err
}

// repeatable runs statements that may be run any number of times with the same effect,
// until they are done, fail for good, or the context ends. The error is then the last
// that says more than this.
func (s *Store) repeatable(ctx context.Context, f func(ctx context.Context, c *pgx.Conn) error) error {
	var telling error
	for n := 0; ; n++ {
		err := s.once(ctx, f)
		if err == nil || !passing(err) {
			return err
		}
		if telling == nil || ctx.Err() == nil {
			telling = err
		}
		if pause(ctx, n) != nil {
			return telling
		}
	}
}

// passing reports whether an error may be another one, or none, the next time. All
// others are mistakes, of the program, of its rights or of its account.
func passing(err error) bool {
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		return passingState(answer.Code)
	}
	var lasting mistake
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &lasting) || errors.Is(err, errUnknown) || errors.Is(err, context.Canceled) || errors.As(err, &certificate) {
		return false
	}
	var failed *pgconn.ConnectError
	return errors.As(err, &failed) || errors.Is(err, errReadOnly) || pgconn.SafeToRetry(err) || disconnected(err)
}

// passingState reports whether an SQLSTATE may be another one the next time.
func passingState(code string) bool {
	switch code {
	case "25006", // a server that became a standby, or is being made one
		"40001", "40P01", "55P03", "57014", // somebody else was in the way, or the server was slow
		"57P01", "57P02", "57P03", "57P05", // it shuts down, crashed, starts; closes what is idle
		"53200", "53300", "53400", // it is full, but not its disk
		"0A000", "26000": // what was prepared before a migration, or behind a pooler
		return true
	}
	return strings.HasPrefix(code, "08") // the connection, as a pooler tells of it
}

// disconnected reports whether an error is of the connection: nothing was answered.
func disconnected(err error) bool {
	var network net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &network) || pgconn.Timeout(err) || errors.Is(err, pgconn.ErrConnClosed)
}

// gone reports whether an error shows that the server does not answer, or must not be
// used any more.
func gone(err error) bool {
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		return answer.Code == "25006" || answer.Code == "57P01" || answer.Code == "57P02"
	}
	return err != nil && (errors.Is(err, errReadOnly) || disconnected(err))
}

// harmless reports whether a write that failed like this has certainly done nothing
// and never will. The server undoes a statement of which it says that it failed, but a
// connection may be ended right after a commit.
func harmless(err error) bool {
	var never unsent
	if errors.As(err, &never) || pgconn.SafeToRetry(err) {
		return true
	}
	var answer *pgconn.PgError
	return errors.As(err, &answer) && answer.SeverityUnlocalized == "ERROR" && answer.Code != "40003" && !strings.HasPrefix(answer.Code, "08")
}
