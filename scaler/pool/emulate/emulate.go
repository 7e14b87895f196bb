// Package emulate serves, over HTTP, what Flyball asks of the APIs of clouds, as
// they behave: what is asked for is done later, a yes is no success, lists lag,
// limits are hit, machines boot slowly or never. It holds no state but in memory
// and asks nobody: `flyball emulate` serves it by hand, and tests drive it in
// simulated time.
//
// [DigitalOcean] emulates the API v2 of DigitalOcean and [Compute] Google's Compute
// Engine API v1, each over a [World]. A cloud is an [http.Handler] to be served on a
// socket, and has a Transport that serves the same in process, without sockets or
// goroutines, so that a client of it can run in a bubble of testing/synctest.
package emulate

import (
	"net/netip"
	"sync"
	"time"
)

// Options are what a World is made with.
type Options struct {
	Seed     uint64           // of the dice: the same requests at the same times get the same answers
	Now      func() time.Time // default time.Now
	Machines Machines         // what runs in the machines; nil: nothing does, and each has an address of 10.0.0.0/8
	BootMin  time.Duration    // a machine is up no sooner after it was made; default 20 s
	BootMax  time.Duration    // and no later; default 60 s, at least BootMin

	// Tell is told, in order, what happens to machines and which faults befall; nil:
	// nobody is. It must not wait, nor ask the cloud.
	Tell func(at time.Time, line string)
}

// Machines is what runs in the machines of a World. The world is held while it is
// called, one call at a time: it must not wait, nor ask the cloud. All calls for a
// machine give the same name, which may be in use twice at a time if a cloud allows it.
// A machine that boots and whose program is not run has an address of 127.128.0.0/9,
// which is none of theirs.
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
	o        Options
	mu       sync.Mutex // the world is held by it: what follows, and all that the clouds have
	at       time.Time  // up to when everything that was due has happened: now, for who serves a request
	thrown   map[string]uint64
	faults   []*planted
	log      []*Request
	services []*service
	machines []*machine // in the order of their making
	made     uint32     // addresses given so far
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
	Status int    // of the answer; 0 if it was lost, or was not given yet
	Fault  string // that befell the request itself; "": none
}
