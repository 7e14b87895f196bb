package rules

import "time"

// Mode says whether a rule's decisions are carried out.
type Mode string

// The modes of a rule.
const (
	Observe Mode = "observe" // wishes are recorded and shown, nothing is done
	Act     Mode = "act"
)

// Scale is one pool's scaling rule as parsed: every field has its default filled in.
type Scale struct {
	Pool   string `json:"pool"`
	Rule   string `json:"rule"`             // file:line of the rule
	Commit string `json:"commit,omitempty"` // of the rule's Git work tree, if it is in one
	Mode   Mode   `json:"mode"`
	Min    int    `json:"min"` // at least 1
	Max    int    `json:"max"`

	Signals []Signal      `json:"signals"` // sorted by name; at least one
	Holds   []Hold        `json:"holds,omitempty"`
	Out     Pace          `json:"out"`
	In      Pace          `json:"in"`
	Warmup  time.Duration `json:"warmup"` // a member younger than this in state ready does not yet show its true load
	Missing Missing       `json:"missing"`
}

// Scope says what a signal's answer describes.
type Scope string

// The scopes of a signal.
const (
	PerMember Scope = "member" // one series a member, or a fold over members' series
	WholePool Scope = "pool"   // one value for the pool; its coverage comes from the members' `up`
)

// A Signal is one measure of a pool's load. Exactly one of Target, Share and
// Band is set.
type Signal struct {
	Name  string `json:"name"`
	Rule  string `json:"rule"` // file:line of the signal
	Query Query  `json:"-"`
	Expr  string `json:"expr"` // the query as people read it
	Scope Scope  `json:"scope"`
	Unit  string `json:"unit,omitempty"` // "", percent, seconds, bytes, per_second: for people only

	// Stale is how old the newest raw sample or document may be; 0: as the rule
	// has it. What is shipped and asked for now and then is older than a scrape.
	Stale time.Duration `json:"stale,omitempty"`

	Target float64 `json:"target,omitempty"` // wanted mean over the ready members
	Share  float64 `json:"share,omitempty"`  // `per_member`: how much of the sum one member takes
	Band   *Band   `json:"band,omitempty"`
}

// A Band wants more above Above, fewer below Below, and neither between.
type Band struct {
	Above float64 `json:"above"`
	Add   Amount  `json:"add"`
	Below float64 `json:"below"`
}

// A Hold forbids a direction while its query is above a threshold. While it is
// not known, it forbids scale-in only.
type Hold struct {
	Name   string        `json:"name"`
	Rule   string        `json:"rule"` // file:line
	Query  Query         `json:"-"`
	Expr   string        `json:"expr"`
	Above  float64       `json:"above"`
	For    time.Duration `json:"for"`
	Forbid Direction     `json:"forbid"`
}

// A Direction is out (more members) or in (fewer).
type Direction string

// The directions.
const (
	DirOut Direction = "out"
	DirIn  Direction = "in"
)

// An Amount is a number of members or a share of them.
type Amount struct {
	Members int     `json:"members,omitempty"`
	Percent float64 `json:"percent,omitempty"` // 25 is a quarter
}

// Pace bounds how soon and how fast a pool changes in one direction.
type Pace struct {
	Window time.Duration `json:"window"` // act on the most cautious wish within it
	Limit  Limit         `json:"limit"`
}

// A Limit is the most members that may come or go within a period: the largest of its amounts.
type Limit struct {
	LargerOf []Amount      `json:"larger_of"`
	Every    time.Duration `json:"every"`
}

// Missing says what is to be thought of members that were not heard of.
type Missing struct {
	Coverage float64       `json:"coverage"`           // share of members that must have answered for a signal to permit scale-in
	Stale    time.Duration `json:"stale"`              // a raw sample older than this counts as no answer
	Hold     time.Duration `json:"hold"`               // how long a missing signal just keeps the size
	AtLeast  int           `json:"at_least,omitempty"` // thereafter it wants at least this; 0: keeps on keeping
}
