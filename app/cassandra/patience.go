package cassandra

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gocql/gocql"

	"flyball/app/product"
	"flyball/app/remote"
)

// errUnknown says that a write was asked for and nobody could say what became of it.
var errUnknown = errors.New("it is not known whether the write was made")

// errContended says that a product is changed all the time.
var errContended = errors.New("others kept changing the product")

// errMistake marks what will fail the next time too.
var errMistake = errors.New("wrong data")

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
	case ctx.Err() != nil:
		if errors.Is(err, ctx.Err()) {
			return none, fmt.Errorf("%s: %w", what, err)
		}
		return none, fmt.Errorf("%s: %w: %w", what, ctx.Err(), err)
	case errors.Is(err, errUnknown):
		return none, fmt.Errorf("%s: %v", what, err) // not the end of our own context, which would be read as the caller's
	case !remote.Settled(err) && bounded.Err() != nil, passing(err):
		return none, fmt.Errorf("%s: %w: %v", what, product.ErrBusy, err)
	}
	return none, fmt.Errorf("%s: %w", what, err)
}

// patiently repeats what may be repeated until it is done, fails for good, or the
// context ends.
func patiently(ctx context.Context, f func() error) error {
	for n := 0; ; n++ {
		err := f()
		if err == nil || !passing(err) {
			return err
		}
		if pause(ctx, n) != nil {
			return err
		}
	}
}

// pause waits before the next of several tries: 10 to 20 ms after the first, twice
// that after each more, at most half a second.
func pause(ctx context.Context, tries int) error {
	return remote.Pause(ctx, tries, 10*time.Millisecond, 250*time.Millisecond)
}

// passing reports whether an error may be another one, or none, the next time. All
// others are mistakes, of the program, of its rights or of its account.
func passing(err error) bool {
	var answer gocql.RequestError
	if errors.As(err, &answer) {
		switch answer.Code() {
		case gocql.ErrCodeSyntax, gocql.ErrCodeUnauthorized, gocql.ErrCodeInvalid, gocql.ErrCodeConfig,
			gocql.ErrCodeAlreadyExists, gocql.ErrCodeCredentials, gocql.ErrCodeProtocol:
			return false
		}
		return true
	}
	for _, final := range []error{gocql.ErrSessionClosed, context.Canceled, gocql.ErrNotFound, errUnknown, errMistake} {
		if errors.Is(err, final) {
			return false
		}
	}
	return !remote.Settled(err)
}

// harmless reports whether the statement of a transaction that failed like this has
// certainly done nothing and never will. Cassandra refuses for lack of nodes in two
// places: before anything is done, at the serial consistency, and when the new value
// is about to be published though it is accepted already, at the other one.
func harmless(err error) bool {
	var unavailable *gocql.RequestErrUnavailable
	if errors.As(err, &unavailable) {
		return unavailable.Consistency == gocql.Consistency(gocql.LocalSerial)
	}
	var answer gocql.RequestError
	if errors.As(err, &answer) {
		return answer.Code() == gocql.ErrCodeBootstrapping
	}
	return errors.Is(err, gocql.ErrNoConnections) || errors.Is(err, gocql.ErrNoStreams)
}

// elsewhere is the retry policy of what may be repeated: each node once, at most
// three, unless the error is a mistake.
type elsewhere struct{}

func (elsewhere) Attempt(q gocql.RetryableQuery) bool { return q.Attempts() < 3 }

func (elsewhere) GetRetryType(err error) gocql.RetryType {
	if passing(err) {
		return gocql.RetryNextHost
	}
	return gocql.Rethrow
}
