package cassandra

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocql/gocql"

	"flyball/app/product"
)

// refused is an error that a node answers with.
type refused int

func (r refused) Error() string   { return fmt.Sprintf("refused with %x", int(r)) }
func (r refused) Message() string { return r.Error() }
func (r refused) Code() int       { return int(r) }

func TestWhatAnErrorLeavesOpen(t *testing.T) {
	tests := []struct {
		err                       error
		passing, harmless, doubts bool
	}{
		{gocql.ErrTimeoutNoResponse, true, false, true},
		{gocql.ErrConnectionClosed, true, false, true},
		{gocql.ErrNoConnections, true, true, true},
		{&gocql.RequestErrUnavailable{Consistency: gocql.Consistency(gocql.LocalSerial)}, true, true, true},
		{&gocql.RequestErrUnavailable{Consistency: gocql.LocalQuorum}, true, false, true},
		{gocql.ErrSessionClosed, false, false, false},
		{refused(gocql.ErrCodeOverloaded), true, false, true},
		{refused(gocql.ErrCodeBootstrapping), true, true, true},
		{refused(gocql.ErrCodeWriteTimeout), true, false, true},
		{refused(gocql.ErrCodeCASWriteUnknown), true, false, true},
		{refused(gocql.ErrCodeUnauthorized), false, false, false},
		{refused(gocql.ErrCodeInvalid), false, false, false},
		{context.DeadlineExceeded, true, false, true},
		{context.Canceled, false, false, true},
		{fmt.Errorf("get: %w", product.ErrNotFound), false, false, false},
	}
	for _, tt := range tests {
		if got := passing(tt.err); got != tt.passing {
			t.Errorf("passing(%v) = %v", tt.err, got)
		}
		if got := harmless(tt.err); got != tt.harmless {
			t.Errorf("harmless(%v) = %v", tt.err, got)
		}
		if got := maybe(tt.err); got != tt.doubts {
			t.Errorf("maybe(%v) = %v", tt.err, got)
		}
	}
}

func TestACallEndsWithItsContextOrThePatience(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after time.Duration // the caller waits
		err   error         // of each try
		want  error
		not   error
	}{
		{"the caller went", time.Second, gocql.ErrTimeoutNoResponse, context.DeadlineExceeded, product.ErrBusy},
		{"the patience ended", time.Hour, gocql.ErrTimeoutNoResponse, product.ErrBusy, context.DeadlineExceeded},
		{"the patience ended in doubt", time.Hour, fmt.Errorf("%w: %w", errUnknown, context.DeadlineExceeded), nil, context.DeadlineExceeded},
		{"a mistake", time.Hour, gocql.ErrSessionClosed, gocql.ErrSessionClosed, product.ErrBusy},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tt.after)
				defer cancel()
				_, err := within(ctx, &Store{patience: patience}, "try", func(ctx context.Context) (int, error) {
					return 0, patiently(ctx, func() error { return tt.err })
				})
				if err == nil || tt.want != nil && !errors.Is(err, tt.want) || errors.Is(err, tt.not) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
			})
		})
	}
}
