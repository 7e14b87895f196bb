package scaler

import (
	"context"
	"errors"
	"time"

	"flyball/rules"
	"flyball/scaler/journal"
)

// ErrNoCapacity means that the provider has no more members to give for now: its
// quota is used up, or the size or zone is sold out. A provider wraps it in the
// error of [Pool.Grow]; what it made all the same stays, and counts. Growth then
// waits for minutes, and for longer each time.
var ErrNoCapacity = errors.New("no capacity")

// A Pool is a set of like machines at one provider. Every call is absolute and
// idempotent: it asks, it does not wait; a call that is repeated after it was
// done changes nothing. Implementations are safe for concurrent use.
type Pool interface {
	// Look lists the members that exist, with the provider's terms. A member that
	// ended without being asked to is listed as [rules.Dead] until it is removed;
	// one that was asked to end is [rules.Leaving] until it is gone. Members are
	// sorted by name. An error means that nothing is known.
	Look(ctx context.Context) ([]rules.Member, rules.Terms, error)
	// Grow makes the step's Names exist; where the terms take no names, it sets
	// the size to the step's To.
	Grow(ctx context.Context, s journal.Step) error
	// Remove asks the step's Victims to end and forgets the dead among them; where
	// the terms take no victims, the step has none, nobody was withdrawn for it, and
	// it sets the size to the step's To. Asked again about a member that is leaving
	// for too long, it ends it the hard way. One that is Kept is never asked about.
	Remove(ctx context.Context, s journal.Step) error
}

// Traffic is whoever sends requests to a pool's members. Calls are idempotent.
type Traffic interface {
	// Admit puts members into rotation; those already there stay.
	Admit(ctx context.Context, ms []rules.Member) error
	// Withdraw takes members out of rotation: they get no new request.
	Withdraw(ctx context.Context, ms []rules.Member) error
	// Open counts requests in progress per member. A number below 0 means that the
	// member is in rotation and nobody counts; one that is absent is unknown, and so
	// is whether it is in rotation.
	Open(ctx context.Context) (map[rules.MemberID]int, error)
}

// A Unit is all that the loop needs of one pool.
type Unit struct {
	Pool    Pool
	Traffic Traffic       // nil: nobody sends requests that we could steer
	Drain   time.Duration // how long a withdrawn member may finish its requests
	DryRun  bool          // decisions are made and nothing is done
}
