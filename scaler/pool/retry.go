package pool

import (
	"context"
	"errors"
	"io"
	"syscall"
	"time"

	"flyball/rules"
	"flyball/scaler"
)

// A look is tried so often, so far apart. What still fails is the caller's, who
// judges again within seconds.
const (
	lookTries = 3
	lookPause = 200 * time.Millisecond
)

// retry looks again when a look failed for a reason that may pass by itself.
// Nothing else is repeated: a step that failed is planned anew by the rules.
type retry struct{ scaler.Pool }

// Look implements [scaler.Pool].
func (r retry) Look(ctx context.Context) ([]rules.Member, rules.Terms, error) {
	for try := 1; ; try++ {
		ms, terms, err := r.Pool.Look(ctx)
		if err == nil || try == lookTries || !transient(err) || !pause(ctx, time.Duration(try)*lookPause) {
			return ms, terms, err
		}
	}
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// transient reports whether an error may pass by itself within a second.
func transient(err error) bool {
	for _, e := range []error{
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, syscall.EAGAIN, syscall.EINTR,
		io.ErrUnexpectedEOF, context.DeadlineExceeded,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}
