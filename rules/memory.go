package rules

import (
	"maps"
	"slices"
	"time"
)

// MemoryVersion is the version of [Memory]'s form. A memory of another version
// is not read: the pool is adopted anew, which bars scale-in for one window.
const MemoryVersion = 1

// Memory is what a pool's judgements remember of earlier ones. It is kept in the
// journal with each kept tick, so that a restart forgets no window and no limit.
// As JSON it stays under 4 KB while at most a hundred members come or go at once.
type Memory struct {
	Version  int                   `json:"v"`
	Named    int                   `json:"named,omitempty"` // the last number that a member was named with
	Judged   time.Time             `json:"judged"`          // last judgement
	Highs    []Wish                `json:"highs,omitempty"` // falling sizes: what the largest wish of the in window is now and may become
	Lows     []Wish                `json:"lows,omitempty"`  // rising sizes: likewise for the smallest of the out window
	Resizes  []Resize              `json:"resizes,omitempty"`
	Expected []Expected            `json:"expected,omitempty"`
	Owed     int                   `json:"owed,omitempty"` // members to be replaced whose replacement failed
	Draining []Drain               `json:"draining,omitempty"`
	Replaced []time.Time           `json:"replaced,omitempty"` // replacements of late, oldest first
	Missing  map[string]time.Time  `json:"missing,omitempty"`  // signal: missing since
	Adds     map[string]Adds       `json:"adds,omitempty"`     // signal with a band: what adding members brought
	Above    map[string]time.Time  `json:"above,omitempty"`    // hold: above its threshold since
	Failed   map[Direction]Failure `json:"failed,omitempty"`   // the provider's failures in a row, by direction
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

// Expected are members that were asked for and are not listed yet. They count as
// booting until they are listed or their time is over.
type Expected struct {
	Names []string  `json:"names"`
	Until time.Time `json:"until"`
	Owed  bool      `json:"owed,omitempty"` // they replace others: if they do not come, they are asked for again
}

// A Drain is members that were taken out of rotation together.
type Drain struct {
	IDs   []MemberID `json:"ids"`
	Since time.Time  `json:"since"`
	// Unsure: whoever sends requests failed when it was asked to send no more, so
	// it has to be asked again.
	Unsure bool `json:"unsure,omitempty"`
}

// A Failure is how often in a row the provider failed, and how long it is left alone.
type Failure struct {
	Count int       `json:"count"`
	Until time.Time `json:"until"`
	Why   string    `json:"why"`
}

// Adds is what adding members for a band has brought so far.
type Adds struct {
	At      time.Time `json:"at"`
	Value   float64   `json:"value"`   // before the last add
	Useless int       `json:"useless"` // adds in a row that bettered it by less than a tenth
}

// The provider is left alone for a second after a failure, twice as long after
// each further one, and five minutes at the most. A process that dies and is
// replaced again and again is treated likewise.
const (
	firstBackoff = time.Second
	mostBackoff  = 5 * time.Minute
)

// bootTime is how long a member that was asked for, or that boots, counts as
// capacity on its way. (Cluster-autoscaler's max-node-provision-time is as long.)
const bootTime = 15 * time.Minute

// Expect remembers members that were asked for.
func (m *Memory) Expect(names []string, now time.Time) {
	if len(names) > 0 {
		m.Expected = append(m.Expected, Expected{Names: names, Until: now.Add(bootTime)})
	}
}

// doubtTime is how long members count as coming after the call that asked for
// them failed. A call that timed out may have been obeyed.
const doubtTime = 15 * time.Second

// Doubt remembers that a step failed: the members that it asked for may come and
// may not (owed: then they are to be asked for again), and those that it took out
// of rotation may still be in it.
func (m *Memory) Doubt(names []string, owed bool, out []MemberID, now time.Time) {
	for i, e := range m.Expected {
		if slices.ContainsFunc(e.Names, func(n string) bool { return slices.Contains(names, n) }) {
			m.Expected[i].Until, m.Expected[i].Owed = now.Add(doubtTime), owed
		}
	}
	for i, d := range m.Draining {
		if slices.ContainsFunc(d.IDs, func(id MemberID) bool { return slices.Contains(out, id) }) {
			m.Draining[i].Unsure = true
		}
	}
}

// Unsure are the members of which it is not known whether they are out of rotation.
func (m *Memory) Unsure() []MemberID {
	var out []MemberID
	for _, d := range m.Draining {
		if d.Unsure {
			out = append(out, d.IDs...)
		}
	}
	return out
}

// Withdraw remembers members that were taken out of rotation.
func (m *Memory) Withdraw(ids []MemberID, now time.Time) {
	if len(ids) > 0 {
		m.Draining = append(m.Draining, Drain{IDs: ids, Since: now})
	}
}

// Admit forgets that members were taken out of rotation.
func (m *Memory) Admit(ids []MemberID) {
	m.keepDraining(func(id MemberID) bool { return !slices.Contains(ids, id) })
}

// DrainingSince says since when a member is out of rotation.
func (m *Memory) DrainingSince(id MemberID) (time.Time, bool) {
	for _, d := range m.Draining {
		if slices.Contains(d.IDs, id) {
			return d.Since, true
		}
	}
	return time.Time{}, false
}

// Ended remembers how the provider took a step in a direction: a failure makes
// that direction wait, success ends the waiting.
func (m *Memory) Ended(dir Direction, failure string, now time.Time) {
	if failure == "" {
		delete(m.Failed, dir)
		return
	}
	if m.Failed == nil {
		m.Failed = map[Direction]Failure{}
	}
	count := m.Failed[dir].Count + 1
	if len(failure) > 200 {
		failure = failure[:200]
	}
	m.Failed[dir] = Failure{Count: count, Until: now.Add(backoff(count)), Why: failure}
}

// backoff is how long to wait after a number of failures in a row.
func backoff(count int) time.Duration {
	return min(firstBackoff<<min(count-1, 20), mostBackoff)
}

// settle forgets what the list of members shows to be over.
func (m *Memory) settle(members []Member, now time.Time) {
	listed := map[string]bool{}
	ids := map[MemberID]bool{}
	for _, x := range members {
		listed[x.Name], ids[x.ID] = true, true
	}
	m.keepDraining(func(id MemberID) bool { return ids[id] })
	kept := m.Expected[:0]
	for _, e := range m.Expected {
		e.Names = slices.DeleteFunc(e.Names, func(n string) bool { return listed[n] })
		switch {
		case len(e.Names) > 0 && now.Before(e.Until):
			kept = append(kept, e)
		case e.Owed:
			m.Owed += len(e.Names)
		case len(e.Names) > 0:
			m.forgive(len(e.Names))
		}
	}
	m.Expected = kept
}

// forgive takes members that never came off what counts against the rate, and
// off what adding members is judged by.
func (m *Memory) forgive(n int) {
	for i := len(m.Resizes) - 1; i >= 0 && n > 0; i-- {
		if by := min(m.Resizes[i].By, n); by > 0 {
			m.Resizes[i].By -= by
			n -= by
		}
	}
	m.Adds = nil
}

// rewind makes sense of a clock that went back: what lies in the future has
// happened just now.
func (m *Memory) rewind(now time.Time) {
	past := func(t *time.Time, most time.Time) {
		if t.After(most) {
			*t = most
		}
	}
	for i := range m.Highs {
		past(&m.Highs[i].At, now)
	}
	for i := range m.Lows {
		past(&m.Lows[i].At, now)
	}
	for i := range m.Resizes {
		past(&m.Resizes[i].At, now)
	}
	for i := range m.Replaced {
		past(&m.Replaced[i], now)
	}
	for i := range m.Draining {
		past(&m.Draining[i].Since, now)
	}
	for i := range m.Expected {
		past(&m.Expected[i].Until, now.Add(bootTime))
	}
	for dir, f := range m.Failed {
		past(&f.Until, now.Add(mostBackoff))
		m.Failed[dir] = f
	}
	for _, times := range []map[string]time.Time{m.Missing, m.Above} {
		for name, t := range times {
			past(&t, now)
			times[name] = t
		}
	}
}

// keepDraining forgets the draining members that keep refuses.
func (m *Memory) keepDraining(keep func(MemberID) bool) {
	kept := m.Draining[:0]
	for _, d := range m.Draining {
		d.IDs = slices.DeleteFunc(d.IDs, func(id MemberID) bool { return !keep(id) })
		if len(d.IDs) > 0 {
			kept = append(kept, d)
		}
	}
	m.Draining = kept
}

// expected counts the members asked for and not listed.
func (m *Memory) expected() int {
	n := 0
	for _, e := range m.Expected {
		n += len(e.Names)
	}
	return n
}

// Clone returns a memory that shares nothing with m.
func (m Memory) Clone() Memory {
	m.Highs, m.Lows = slices.Clone(m.Highs), slices.Clone(m.Lows)
	m.Resizes, m.Replaced = slices.Clone(m.Resizes), slices.Clone(m.Replaced)
	m.Expected, m.Draining = slices.Clone(m.Expected), slices.Clone(m.Draining)
	for i := range m.Expected {
		m.Expected[i].Names = slices.Clone(m.Expected[i].Names)
	}
	for i := range m.Draining {
		m.Draining[i].IDs = slices.Clone(m.Draining[i].IDs)
	}
	m.Missing, m.Adds = maps.Clone(m.Missing), maps.Clone(m.Adds)
	m.Above, m.Failed = maps.Clone(m.Above), maps.Clone(m.Failed)
	return m
}
