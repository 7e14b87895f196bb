// Package rules holds the words that all of Flyball shares (query, reading,
// member, rule, decision) and [Decide], the pure function that turns what was
// read about a pool into what should become of it.
//
// The package knows nobody and uses the standard library alone: time is an
// argument, nothing is fetched, nothing is logged, nothing is kept. So the live
// loop, a test of a rule file and a replay of the past run the very same code.
package rules

import (
	"context"
	"errors"
	"time"
)

// A Query asks for the value of one signal: [PromQL] or [Elastic].
type Query interface{ query() }

// PromQL is an instant query over the embedded store, asked on behalf of a pool:
// series that were written in from outside answer it only where the pool accepts them.
type PromQL struct {
	Pool string `json:"pool"`
	Expr string `json:"expr"`
}

func (PromQL) query() {}

// A Point is one number of an answer.
type Point struct {
	Member string // the label `member`, or "" if the answer does not keep it
	Value  float64
}

// A Reading is what one query answered at one time.
//
// Age and coverage are judged by Seen and never by the points, because a folded
// value (an average over one surviving member, or over a sample minutes old)
// looks like any other.
type Reading struct {
	Points []Point `json:"points,omitempty"` // sorted by member
	// Seen is the newest raw sample per member under the expression's selectors,
	// whatever it was folded into. Samples without the label count for "".
	Seen    map[string]time.Time `json:"seen,omitempty"`
	Newest  time.Time            `json:"newest,omitzero"`   // the newest of all raw samples
	Partial string               `json:"partial,omitempty"` // why only a part answered; "" if whole
}

// ErrNoData means that a query was answered with nothing at all. It is never zero.
var ErrNoData = errors.New("no data")

// A Querier answers one query as of one time. An empty answer is [ErrNoData].
// It is safe for concurrent use.
type Querier interface {
	Query(ctx context.Context, q Query, at time.Time) (Reading, error)
}
