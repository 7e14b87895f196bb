package rules

import "time"

// MemoryVersion is the version of [Memory]'s form. A memory of another version
// is not read: the pool is adopted anew, which bars scale-in for one window.
const MemoryVersion = 1

// Memory is what a pool's judgements remember of earlier ones. It is kept in the
// journal with each kept tick, so that a restart forgets no window and no limit.
// As JSON it stays under 4 KB.
type Memory struct {
	Version  int                  `json:"v"`
	Judged   time.Time            `json:"judged"`            // last judgement
	Desired  int                  `json:"desired"`           // the size last asked for, or adopted
	Highs    []Wish               `json:"highs,omitempty"`   // falling sizes: what the in window's largest wish can still become
	Lows     []Wish               `json:"lows,omitempty"`    // rising sizes: likewise for the out window's smallest
	Resizes  []Resize             `json:"resizes,omitempty"` // within the limits' periods
	Expected []Expected           `json:"expected,omitempty"`
	Draining []Drain              `json:"draining,omitempty"`
	Replaced []time.Time          `json:"replaced,omitempty"` // replacements of late, oldest first
	Missing  map[string]time.Time `json:"missing,omitempty"`  // signal: missing since
	Adds     map[string]Adds      `json:"adds,omitempty"`     // signal with a band: what adding brought
	Above    map[string]time.Time `json:"above,omitempty"`    // hold: above its threshold since
}

// A Wish is the size that was wanted at a time.
type Wish struct {
	At   time.Time `json:"at"`
	Size int       `json:"size"`
}

// A Resize is a change that was asked for.
type Resize struct {
	At time.Time `json:"at"`
	By int       `json:"by"` // members more; negative: fewer
}

// Expected is a member that was asked for and is not listed yet. It counts as
// booting until it is listed or its time is over.
type Expected struct {
	Name  string    `json:"name"` // "" at a provider that takes no names
	Until time.Time `json:"until"`
}

// A Drain is a member that was taken out of rotation.
type Drain struct {
	ID    MemberID  `json:"id"`
	Since time.Time `json:"since"`
}

// Adds is what adding members for a band has brought so far.
type Adds struct {
	At      time.Time `json:"at"`
	Value   float64   `json:"value"`   // before the last add
	Useless int       `json:"useless"` // adds in a row that bettered it by less than a tenth
}
