package rules

import (
	"slices"
	"strings"
	"time"
)

// Roll is what a pool's judgements remember of a roll: all members that were made
// by another template than the present one are replaced, one at a time. One of
// the present template is made beyond the wish (the surge), and when it is ready
// and warm, the oldest of the others goes.
type Roll struct {
	At      time.Time `json:"at"`              // when it was ordered, which tells it from another
	Version string    `json:"version"`         // that members are to have
	Of      int       `json:"of"`              // members of another one when it began
	Surge   string    `json:"surge,omitempty"` // name of the one that is more than wanted; "" is none
	Since   time.Time `json:"since,omitzero"`  // when the present replacement began; zero: none is under way
	Sick    []string  `json:"sick,omitempty"`  // names of members of the version that fell sick or died
	Bad     []string  `json:"bad,omitempty"`   // signals that were above their band when it began
	Worse   time.Time `json:"worse,omitzero"`  // since when another one is
	Ended   time.Time `json:"ended,omitzero"`
	Why     string    `json:"why,omitempty"`    // it ended
	Done    int       `json:"done,omitempty"`   // replaced by one of the version
	Last    MemberID  `json:"last,omitempty"`   // who was replaced last, until it is gone: it may be taken back
	Gone    int       `json:"gone,omitempty"`   // gone otherwise when it ended
	Missed  int       `json:"missed,omitempty"` // new members in a row that did not come, but for want of capacity
	Said    string    `json:"said,omitempty"`   // by the provider of the last new member that it could not make
}

// Rolled is a roll as a decision shows it.
type Rolled struct {
	Version string    `json:"version"`
	Done    int       `json:"done"`           // replaced by one of the version
	Of      int       `json:"of"`             // that were to be replaced
	Gone    int       `json:"gone,omitempty"` // of them that are gone and were not replaced: the pool shrank, or they died
	State   RollState `json:"state"`
	Text    string    `json:"text,omitempty"` // what it does, what it waits for, or why it stopped
}

// RollState is where a roll is.
type RollState string

// The states of a roll.
const (
	RollUnderWay RollState = "rolling"
	RollHalted   RollState = "stopped"
	RollDone     RollState = "done"
)

// String tells the roll in one line.
func (r Rolled) String() string {
	s := itoa(r.Done) + " of " + itoa(r.Of) + " replaced by version " + quote(r.Version)
	if r.Gone > 0 {
		s += ", " + itoa(r.Gone) + " went otherwise"
	}
	switch r.State {
	case RollDone:
		return "done, " + s
	case RollHalted:
		return "stopped, " + s + ": " + r.Text
	}
	return strings.TrimSuffix(s+"; "+r.Text, "; ")
}

// quote shows a version, of which some are long digests.
func quote(version string) string {
	if version == "" {
		return "unknown"
	}
	if r := []rune(version); len(r) > 40 {
		return string(r[:40]) + "..."
	}
	return version
}

// surging is the surge while it is asked for and not listed; else nil.
func (m *Memory) surging() *Member {
	if m.Roll == nil || m.Roll.Surge == "" {
		return nil
	}
	for _, e := range m.Expected {
		if slices.Contains(e.Names, m.Roll.Surge) {
			return &Member{Name: m.Roll.Surge, State: Booting, Since: m.Roll.Since}
		}
	}
	return nil
}

// IsSurge reports whether a member is the surge and was not told to go.
func (m *Memory) IsSurge(x Member) bool {
	if m.Roll == nil || m.Roll.Surge == "" || x.Name != m.Roll.Surge || x.State == Leaving {
		return false
	}
	_, out := m.DrainingSince(x.ID)
	return !out
}

// SurgeOf remembers the name of the member that a roll asked for.
func (m *Memory) SurgeOf(name string) {
	if m.Roll != nil {
		m.Roll.Surge = name
	}
}

// SameClocks reports whether what starts and stops at an exact time is the same in
// two memories: holds, drift and rolls. Where it is not, the judgement between
// them must be kept.
func (m Memory) SameClocks(o Memory) bool {
	same := len(m.Above) == len(o.Above) && m.Drifted.Equal(o.Drifted) && m.Roll.same(o.Roll)
	for name, at := range m.Above {
		was, ok := o.Above[name]
		same = same && ok && was.Equal(at)
	}
	return same
}

func (r *Roll) same(o *Roll) bool {
	if r == nil || o == nil {
		return r == o
	}
	return r.At.Equal(o.At) && r.Version == o.Version && r.Of == o.Of && r.Surge == o.Surge && r.Since.Equal(o.Since) &&
		r.Done == o.Done && r.Missed == o.Missed && slices.Equal(r.Sick, o.Sick) && r.Worse.Equal(o.Worse) && r.Ended.Equal(o.Ended)
}

// rewind makes sense of a clock that went back.
func (r *Roll) rewind(past func(t *time.Time, most time.Time), now time.Time) {
	if r != nil { // At stays: it is the order's
		past(&r.Since, now)
		past(&r.Worse, now)
		past(&r.Ended, now)
	}
}

func (r *Roll) clone() *Roll {
	if r == nil {
		return nil
	}
	c := *r
	c.Sick, c.Bad = slices.Clone(r.Sick), slices.Clone(r.Bad)
	return &c
}
