package rules

import "time"

// A MemberID is what the provider deletes a member by.
type MemberID string

// State is where a member is in its life.
type State string

// The states of a member. Booting and ready are the member's own word (its
// probe), never the provider's.
const (
	Booting   State = "booting"   // exists, has not yet answered its probe
	Ready     State = "ready"     // answers its probe
	Unhealthy State = "unhealthy" // answered once, fails now
	Dead      State = "dead"      // the provider says that it has ended without being asked to
	Draining  State = "draining"  // taken out of rotation, finishing open requests
	Leaving   State = "leaving"   // asked to end, not gone yet
)

// A Member is one machine, container or process of a pool.
type Member struct {
	ID    MemberID  `json:"id"`
	Name  string    `json:"name"`           // the label `member`
	Addr  string    `json:"addr,omitempty"` // host:port of its service
	State State     `json:"state"`
	Since time.Time `json:"since"`          // of this state
	Born  time.Time `json:"born,omitzero"`  // when the provider made it
	Open  *int      `json:"open,omitempty"` // requests in progress as its balancer counts them; below 0: it gets some and nobody counts; nil is unknown
	Note  string    `json:"note,omitempty"` // pid, droplet or exit status, for people

	Version string `json:"version,omitempty"` // the template that it was made by; "" is unknown
	Kept    bool   `json:"kept,omitempty"`    // it is never ended nor replaced, such as the machine that Flyball runs on
}

// Terms is what a provider can do for a pool, and what it knows of it.
type Terms struct {
	Names   bool `json:"names"`   // takes the names of new members
	Victims bool `json:"victims"` // takes the members to remove
	Drains  bool `json:"drains"`  // drains by itself before it removes
	Most    int  `json:"most"`    // quota: the most members to be had; 0 is unbounded

	Lag      int     `json:"lag,omitempty"`      // seconds after which a member that was made is listed at the latest; 0 is at once
	Version  string  `json:"version,omitempty"`  // the template that new members are made by; "" is unknown
	Price    float64 `json:"price,omitempty"`    // of a new member and hour; 0 is unknown
	Cost     float64 `json:"cost,omitempty"`     // of all members and hour, where they do not all cost the price
	Currency string  `json:"currency,omitempty"` // of the price, e.g. USD
	Advice   int     `json:"advice,omitempty"`   // the size that the provider would choose, a second opinion; 0 is none
	// Drift is what happened to the pool behind our back, or why its list is not
	// believed. While it is not "", nothing is bought and nothing is ended.
	Drift string `json:"drift,omitempty"`
}

// Total is what a number of members costs an hour; 0 is unknown.
func (t Terms) Total(members int) float64 {
	if t.Cost > 0 {
		return t.Cost
	}
	return t.Price * float64(members)
}
