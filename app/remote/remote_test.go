package remote_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"flyball/app/product"
	"flyball/app/remote"
)

func TestPausesDoubleUpToTheMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for tries, least := range []time.Duration{10, 20, 40, 50, 50} {
			least *= time.Millisecond
			begun := time.Now()
			if err := remote.Pause(t.Context(), tries, 10*time.Millisecond, 50*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begun); took < least || took > 2*least {
				t.Errorf("pause %d took %s, want %s to twice that", tries, took, least)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := remote.Pause(ctx, 9, time.Hour, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a pause that its context ends says %v", err)
		}
	})
}

func TestAnswersOfTheStoreAreSettled(t *testing.T) {
	for err, want := range map[error]bool{
		nil: false, errors.New("x"): false, product.ErrBusy: false,
		product.ErrNotFound: true, product.ErrExists: true, product.ErrConflict: true, product.ErrPageToken: true,
		fmt.Errorf("get: %w", product.ErrNotFound): true,
	} {
		if got := remote.Settled(err); got != want {
			t.Errorf("%v: %t", err, got)
		}
	}
}
