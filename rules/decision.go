package rules

import "time"

// A Verdict is what should become of a pool.
type Verdict string

// The verdicts.
const (
	Keep     Verdict = "keep"
	ScaleOut Verdict = "scale_out"
	ScaleIn  Verdict = "scale_in"
	Replace  Verdict = "replace"
)

// A Reason is why: the same word in log, metric label, journal and on every page.
type Reason string

// The reasons. Limits bear these names too.
const (
	BySignal            Reason = "signal"               // a signal's wish
	InBand              Reason = "in_band"              // all signals are within tolerance
	Idle                Reason = "idle"                 // fresh input, and none of it a number: nothing to do
	Stabilising         Reason = "stabilising"          // a more cautious wish is within the window
	Warming             Reason = "warming"              // members are still warming up
	RateLimited         Reason = "rate_limited"         // as many as may have come or gone within the period
	AtMin               Reason = "at_min"               // the floor
	AtMax               Reason = "at_max"               // the ceiling
	Quota               Reason = "quota"                // the most that the provider gives
	Manual              Reason = "manual"               // an operator's floor
	MissingData         Reason = "missing_data"         // a query answered nothing, or failed
	LowCoverage         Reason = "low_coverage"         // too few of the members answered
	StaleData           Reason = "stale_data"           // what answered is too old
	CorrelatedUnhealthy Reason = "correlated_unhealthy" // many members failed at once: it is not the members
	Held                Reason = "hold"                 // a hold forbids the direction
	NoEffect            Reason = "no_effect"            // adding members did not better the signal
	Paused              Reason = "paused"               // an operator paused the pool, or all
	Observing           Reason = "observing"            // the rule's mode is observe
	Replacing           Reason = "replace"              // a dead or sick member is replaced
	NoDrain             Reason = "no_drain"             // the provider neither names victims nor drains
	ProviderBackoff     Reason = "provider_backoff"     // the provider, or its members, failed of late
	DryRun              Reason = "dry_run"              // nothing is done by configuration
	Drift               Reason = "drift"                // the pool was changed behind our back, or its list is not believed
	Rolling             Reason = "rolling"              // members are replaced by such of the present template
	RollStopped         Reason = "roll_stopped"         // a roll stopped by itself, or was stopped
)

// Reasons lists every reason, for metrics whose labels exist from the start.
func Reasons() []Reason {
	return []Reason{
		BySignal, InBand, Idle, Stabilising, Warming, RateLimited, AtMin, AtMax, Quota, Manual,
		MissingData, LowCoverage, StaleData, CorrelatedUnhealthy, Held, NoEffect, Paused, Observing,
		Replacing, NoDrain, ProviderBackoff, DryRun, Drift, Rolling, RollStopped,
	}
}

// A Decision is what should become of a pool and why. It explains itself: every
// number that led to it stands in it.
type Decision struct {
	ID      string       `json:"id"` // pool and time, e.g. web-20261120T100015.250Z
	Pool    string       `json:"pool"`
	Rule    string       `json:"rule"` // file:line
	Commit  string       `json:"commit,omitempty"`
	At      time.Time    `json:"at"`
	Members Count        `json:"members"`
	Size    int          `json:"size"` // members that count as capacity now, or are on their way; a roll's one more included
	Signals []Judged     `json:"signals"`
	Holds   []JudgedHold `json:"holds,omitempty"`
	Wants   int          `json:"wants"`            // the largest wish of the signals
	Advice  int          `json:"advice,omitempty"` // the size that the provider would choose; 0: it says nothing
	Limits  []Applied    `json:"limits,omitempty"`
	Verdict Verdict      `json:"verdict"`
	To      int          `json:"to"`
	Reason  Reason       `json:"reason"`
	Signal  string       `json:"signal,omitempty"`  // the one that decided, if one did
	Refused Reason       `json:"refused,omitempty"` // why the verdict is not carried out; "" if it is
	Detail  string       `json:"detail,omitempty"`  // of the refusal: until when, and in the provider's own words
	Victims []MemberID   `json:"victims,omitempty"` // replace: the members to be replaced; a roll: the one to go
	Named   []Named      `json:"named,omitempty"`   // replace: the victims by name, and what is known of them
	Roll    *Rolled      `json:"roll,omitempty"`    // nil: there is none, and was none of late
}

// Acts reports whether the decision asks for something to be done.
func (d Decision) Acts() bool { return d.Verdict != Keep && d.Refused == "" }

// Count is a pool's members by state.
type Count struct {
	Ready     int `json:"ready"`
	Booting   int `json:"booting"` // those asked for and not yet listed included
	Draining  int `json:"draining"`
	Unhealthy int `json:"unhealthy"`
	Dead      int `json:"dead,omitempty"`
	Leaving   int `json:"leaving,omitempty"`
}

// Judged is what one signal said.
type Judged struct {
	Name     string   `json:"name"`
	Rule     string   `json:"rule,omitempty"`
	Value    *float64 `json:"value,omitempty"` // mean, sum or pool value; nil if there is none
	Unit     string   `json:"unit,omitempty"`
	Age      string   `json:"age,omitempty"` // of the newest raw sample, e.g. 2.1s
	Coverage float64  `json:"coverage"`      // share of the members heard of
	Wants    int      `json:"wants"`
	Reason   Reason   `json:"reason"`  // signal, in_band, idle, missing_data, low_coverage, stale_data, no_effect, warming
	Because  string   `json:"because"` // the arithmetic, or what is wrong
	// Unlabelled: the answer is to be of members, and does not say of which.
	Unlabelled bool `json:"unlabelled,omitempty"`
}

// JudgedHold is what one hold said.
type JudgedHold struct {
	Name    string    `json:"name"`
	Forbids Direction `json:"forbids,omitempty"` // "" while it forbids nothing
	Because string    `json:"because"`
}

// Applied is a limit that changed the size.
type Applied struct {
	Name    Reason `json:"name"`
	From    int    `json:"from"`
	To      int    `json:"to"`
	Because string `json:"because,omitempty"`
}
