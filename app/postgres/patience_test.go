package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"flyball/app/product"
)

// said is an error that a server answers with.
func said(severity, code string) error {
	return fmt.Errorf("query: %w", &pgconn.PgError{SeverityUnlocalized: severity, Code: code})
}

func TestWhatAnErrorLeavesOpen(t *testing.T) {
	reset := &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	for _, tt := range []struct {
		err                     error
		passing, harmless, gone bool
	}{
		{said("ERROR", "25006"), true, true, true},    // a standby
		{said("ERROR", "40001"), true, true, false},   // serialization failure
		{said("ERROR", "40P01"), true, true, false},   // deadlock
		{said("ERROR", "57014"), true, true, false},   // statement timeout
		{said("FATAL", "57P01"), true, false, true},   // it may have been done already
		{said("FATAL", "57P02"), true, false, true},   // crash of another session
		{said("ERROR", "40003"), false, false, false}, // not known
		{said("ERROR", "08006"), true, false, false},  // of a pooler
		{said("ERROR", "42501"), false, true, false},  // permission
		{said("ERROR", "53100"), false, true, false},  // disk full
		{unsent{said("FATAL", "57P03")}, true, true, false},
		{unsent{said("FATAL", "53300")}, true, true, false},
		{unsent{said("FATAL", "28P01")}, false, true, false},
		{unsent{mistake{reset}}, false, true, true},
		{unsent{reset}, true, true, true},
		{reset, true, false, true},
		{io.ErrUnexpectedEOF, true, false, true},
		{context.DeadlineExceeded, true, false, true},
		{context.Canceled, false, false, false},
		{errReadOnly, true, false, true},
		{errors.New("anything else"), false, false, false},
	} {
		if got := passing(tt.err); got != tt.passing {
			t.Errorf("passing(%v) = %t", tt.err, got)
		}
		if got := harmless(tt.err); got != tt.harmless {
			t.Errorf("harmless(%v) = %t", tt.err, got)
		}
		if got := gone(tt.err); got != tt.gone {
			t.Errorf("gone(%v) = %t", tt.err, got)
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
		{"the caller went", time.Second, io.ErrUnexpectedEOF, context.DeadlineExceeded, product.ErrBusy},
		{"the patience ended", time.Hour, io.ErrUnexpectedEOF, product.ErrBusy, context.DeadlineExceeded},
		{"the patience ended in doubt", time.Hour, fmt.Errorf("%w: %w", errUnknown, context.DeadlineExceeded), errUnknown, context.DeadlineExceeded},
		{"an answer", time.Hour, product.ErrConflict, product.ErrConflict, product.ErrBusy},
		{"a mistake", time.Hour, mistake{io.EOF}, io.EOF, product.ErrBusy},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tt.after)
				defer cancel()
				_, err := within(ctx, &Store{patience: patience}, "try", func(ctx context.Context) (int, error) {
					for n := 0; ; n++ {
						if !passing(tt.err) || pause(ctx, n) != nil {
							return 0, tt.err
						}
					}
				})
				if !errors.Is(err, tt.want) || errors.Is(err, tt.not) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
			})
		})
	}
}
