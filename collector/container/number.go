package container

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
)

// absurd is where numbers end that can be true: the kernel and the engines write
// some figure close to 2^63 or 2^64 for "no limit", or for a counter below zero.
const absurd = 1 << 62

// A number is one of an engine's figures. What is not told, is no number, is
// below zero or absurd is absent, and spoils nothing else.
type number struct {
	value float64
	there bool
}

// UnmarshalJSON takes whatever stands there; it never fails.
func (n *number) UnmarshalJSON(b []byte) error {
	*n = number{}
	if v, err := strconv.ParseFloat(string(b), 64); err == nil && v >= 0 && v < absurd {
		*n = number{v, true}
	}
	return nil
}

func figure(v float64) number { return number{v, true} }

// seconds is a number of nanoseconds in seconds.
func (n number) seconds() number { return number{n.value / 1e9, n.there} }

// some is the number if it is not 0: for what cannot be 0 unless an engine left
// it empty.
func (n number) some() number {
	if n.value == 0 {
		return number{}
	}
	return n
}

// or is the number, or another one if it is absent.
func (n number) or(other number) number {
	if n.there {
		return n
	}
	return other
}

// A moment is a time; zero if it is not told, no time, or the year 1 by which
// engines say never.
type moment struct{ time.Time }

// UnmarshalJSON takes whatever stands there; it never fails.
func (m *moment) UnmarshalJSON(b []byte) error {
	*m = moment{}
	if t, err := time.Parse(time.RFC3339Nano, strings.Trim(string(b), `"`)); err == nil && t.Year() > 1 {
		m.Time = t
	}
	return nil
}

// lenient reads JSON of an engine. A value of another type than ours is absent;
// only what is no JSON at all is an error.
func lenient(b []byte, into any) error {
	err := json.Unmarshal(b, into)
	if mistyped := (*json.UnmarshalTypeError)(nil); errors.As(err, &mistyped) {
		return nil
	}
	return err
}
