// Package journal keeps what was judged, decided, begun and ended, in one SQLite
// file. It is the only state that acting depends on: a step and the memory that
// led to it are durable before the provider is asked.
package journal

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"flyball/rules"
)

// A Seq numbers entries; later ones are larger.
type Seq int64

// Kind is what an entry tells of.
type Kind string

// The kinds of entries.
const (
	Decision Kind = "decision" // a decision that differs from the one before; body: rules.Decision
	Begun    Kind = "begin"    // a step that is about to be done; body: Step
	Ended    Kind = "end"      // a step's end; body: Outcome
	Order    Kind = "order"    // an operator's act; body: OrderBody
	Load     Kind = "load"     // configuration and rules were read, or refused
	Life     Kind = "life"     // the service started or stopped
	Ship     Kind = "ship"     // a trouble of what is sent elsewhere, or its end; body: Trouble
)

// An Entry never changes once it is written.
type Entry struct {
	Seq    Seq             `json:"seq"`
	At     time.Time       `json:"at"`
	Kind   Kind            `json:"kind"`
	Target string          `json:"target,omitempty"` // pool/web
	ID     string          `json:"id,omitempty"`     // of the decision or step
	Body   json.RawMessage `json:"body"`
}

// Verb is what a step does.
type Verb string

// The verbs of a pool's steps.
const (
	Grow     Verb = "grow"     // make Names exist
	Admit    Verb = "admit"    // put Victims, which are draining, back into rotation
	Withdraw Verb = "withdraw" // take Victims out of rotation
	Swap     Verb = "replace"  // take Victims out of rotation and make Names exist
	Remove   Verb = "remove"   // end Victims, which are out of rotation
)

// A Step is one short act upon one target.
type Step struct {
	ID       string           `json:"id"` // [a-z0-9-]{1,40}
	Target   string           `json:"target"`
	Verb     Verb             `json:"verb"`
	To       int              `json:"to"` // the size at a provider that takes no names
	Names    []string         `json:"names,omitempty"`
	Victims  []rules.MemberID `json:"victims,omitempty"`
	Named    []rules.Named    `json:"named,omitempty"`    // the victims by name; none in steps of earlier versions
	Decision string           `json:"decision,omitempty"` // ID of the decision behind it
	Reason   rules.Reason     `json:"reason"`
}

// An Outcome is how a step ended.
type Outcome struct {
	OK      bool   `json:"ok"`
	Err     string `json:"err,omitempty"`
	Resumed bool   `json:"resumed,omitempty"` // done, or done again, after a restart
	Took    string `json:"took,omitempty"`
	// After is what the step's end changed in the pool's memory, written together
	// with the end; nil leaves the memory as it is.
	After *rules.Memory `json:"-"`
}

// A Trouble is what went wrong, or is well again, with what is sent to another
// system.
type Trouble struct {
	What  string    `json:"what"`            // lost, refused, unreachable, ..., or Recovered: one word to search for
	Text  string    `json:"text"`            // one sentence: what happened, and what to do
	To    string    `json:"to,omitempty"`    // the system, or the data stream there
	Count int64     `json:"count,omitempty"` // of what it is about, e.g. samples or documents
	From  time.Time `json:"from,omitzero"`   // first and
	Until time.Time `json:"until,omitzero"`  // last time of what it is about
}

// Recovered is what a Trouble is that ends another.
const Recovered = "recovered"

// A Tick is one judgement whole: by it the judgement can be made again.
type Tick struct {
	Pool   string         `json:"pool"`
	In     rules.Inputs   `json:"in"`
	Before rules.Memory   `json:"before"` // the memory that Decide was given
	Out    rules.Decision `json:"out"`
	After  rules.Memory   `json:"-"` // the memory kept for the next judgement
}

// ErrOpen means that the target has a step that has not ended.
var ErrOpen = errors.New("target has an open step")

// Going is how people call the victims. A step of an earlier version knows their
// IDs alone.
func (s Step) Going() []string {
	names := make([]string, len(s.Victims))
	for i, id := range s.Victims {
		name, _, _ := strings.Cut(string(id), ".") // an ID of a process pool is its name and a random part
		if len(s.Named) == len(s.Victims) {
			name = s.Named[i].String()
		}
		names[i] = name
	}
	return names
}
