package rules

import "time"

// Inputs is all that [Decide] knows of a pool at one time: plain values, stored
// with each kept tick, so that the tick can be decided again.
type Inputs struct {
	Members []Member `json:"members"`
	Terms   Terms    `json:"terms"`
	Answers []Answer `json:"answers"`           // one a signal, in the rule's order
	Holds   []Answer `json:"holds,omitempty"`   // one a hold, in the rule's order
	Up      *Reading `json:"up,omitempty"`      // the members' `up`, if a signal has the scope pool
	Floor   *Order   `json:"floor,omitempty"`   // an operator's `pool set`
	Pause   *Order   `json:"pause,omitempty"`   // an operator's pause of this pool or of all
	Roll    *Order   `json:"roll,omitempty"`    // an operator's `pool roll`
	DryRun  bool     `json:"dry_run,omitempty"` // the pool is configured to do nothing
	Blind   bool     `json:"blind,omitempty"`   // whoever sends requests could not be asked for whom
}

// An Answer is the reading of one query, or why there is none.
type Answer struct {
	Reading Reading `json:"reading"`
	Err     string  `json:"err,omitempty"` // "" unless the query failed or answered nothing
}

// An Order is an operator's word, which ends by itself.
type Order struct {
	By    string    `json:"by"`
	Why   string    `json:"why,omitempty"`
	At    time.Time `json:"at,omitzero"`    // when it was given
	Until time.Time `json:"until,omitzero"` // zero: until it is taken back
	Size  int       `json:"size,omitempty"`
}

// In reports whether the order holds at a time.
func (o *Order) In(now time.Time) bool {
	return o != nil && (o.Until.IsZero() || now.Before(o.Until))
}
