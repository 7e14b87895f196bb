// Package emulate serves, over HTTP, what Flyball asks of the APIs of clouds, as
// they behave: what is asked for is done later, a yes is no success, lists lag,
// limits are hit, machines boot slowly or never. It holds no state but in memory
// and asks nobody: `flyball emulate` serves it by hand, and tests drive it in
// simulated time.
//
// [DigitalOcean] emulates the API v2 of DigitalOcean and [Compute] Google's Compute
// Engine API v1, each over a [World].
package emulate

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// Options are what a World is made with.
type Options struct {
	Seed     uint64           // of the dice: the same requests at the same times get the same answers
	Now      func() time.Time // default time.Now
	Machines Machines         // what runs in the machines; nil: nothing does, and each has an address of 10.0.0.0/8
}

// Machines is what runs in the machines of a World.
type Machines interface {
	// Boot starts a machine's program and returns the address that it has for it.
	Boot(name, userData string) (netip.Addr, error)
	// Shutdown asks it to end; it may take its time, or not obey.
	Shutdown(name string)
	// Halt ends it at once.
	Halt(name string)
}

// A World is what an emulated cloud runs on: its clock and its dice, the faults that
// are planted in it, what was asked of it, and the machines. It is safe for
// concurrent use.
type World struct {
	o      Options
	mu     sync.Mutex
	dice   *rand.Rand
	faults []Fault
	log    []Request
}

// A Fault is planted by name. It befalls a share of the requests, or of the machines,
// that it fits, until it has befallen as many as it may.
type Fault struct {
	Name  string  // see [Names]
	On    string  // beginning of the requests, as "POST /v2/droplets", or of the machines' names; "": all
	Share float64 // of them; 0 is all
	Times int     // at most so often; 0 is always
}

// A Request is one that was asked.
type Request struct {
	At     time.Time
	Method string
	URL    string // whole, so that it can be seen that no secret is in it
	Status int    // of the answer; 0 if it was lost
}
