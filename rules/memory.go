package rules

import (
	"maps"
	"slices"
	"strings"
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
	Asked    time.Time             `json:"asked,omitzero"`     // when members that take long to leave were last asked again
	Replaced []time.Time           `json:"replaced,omitempty"` // replacements of late, oldest first
	Healed   []time.Time           `json:"healed,omitempty"`   // those of the last hour that were for a member's health
	Drifted  time.Time             `json:"drifted,omitzero"`   // since when there is drift; zero: there is none
	Roll     *Roll                 `json:"roll,omitempty"`     // the roll that is under way, or that ended of late
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
	// Failed is when the call that asked for them did; zero: it did not.
	Failed time.Time `json:"failed,omitzero"`
	// To is the provider's size with them, where it takes no names: they have come
	// when it lists so many.
	To int `json:"to,omitempty"`
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
	At    time.Time `json:"at,omitzero"` // of the last
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

// Expect remembers members that were asked for. to is the provider's size with
// them if it takes no names, else 0.
func (m *Memory) Expect(names []string, to int, now time.Time) {
	if len(names) > 0 {
		m.Expected = append(m.Expected, Expected{Names: names, Until: now.Add(bootTime), To: to})
	}
}

// Removed remembers that a provider that takes no names was asked to end members.
func (m *Memory) Removed(n int) {
	for i := range m.Expected {
		if m.Expected[i].To > 0 {
			m.Expected[i].To = max(1, m.Expected[i].To-n)
		}
	}
}

// Shrunk remembers that a provider which takes no victims was asked for a smaller
// size: those that were to come make it no larger.
func (m *Memory) Shrunk(to int) {
	for i := range m.Expected {
		if m.Expected[i].To > 0 {
			m.Expected[i].To = max(1, min(m.Expected[i].To, to))
		}
	}
}

// Unbook takes members that a decision wanted and that were not asked for yet off
// what counts against the rate.
func (m *Memory) Unbook(n int) {
	for i := len(m.Resizes) - 1; i >= 0 && n > 0; i-- {
		if by := min(m.Resizes[i].By, n); by > 0 {
			m.Resizes[i].By -= by
			n -= by
		}
	}
}

// doubtTime is how long members count as coming after the call that asked for
// them failed, or for as long as the provider's lists may lag. A call that timed out
// may have been obeyed.
const doubtTime = 15 * time.Second

// Doubt remembers that a step failed: the members that it asked for may come and
// may not (owed: then they are to be asked for again), and those that it took out
// of rotation may still be in it.
func (m *Memory) Doubt(names []string, owed bool, out []MemberID, t Terms, now time.Time) {
	until := now.Add(max(doubtTime, time.Duration(t.Lag)*time.Second))
	for i, e := range m.Expected {
		if slices.ContainsFunc(e.Names, func(n string) bool { return slices.Contains(names, n) }) {
			m.Expected[i].Until, m.Expected[i].Owed, m.Expected[i].Failed = until, owed, now
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
// that direction wait, success ends the waiting. That growth was accepted is no proof of
// capacity: a cloud may find only then that it has none.
func (m *Memory) Ended(dir Direction, failure string, now time.Time) {
	if failure == "" {
		delete(m.Failed, dir)
		return
	}
	count := m.Failed[dir].Count + 1
	put(&m.Failed, dir, Failure{Count: count, At: now, Until: now.Add(backoff(count)), Why: brief(failure, mostWhy)})
}

// capacity is the direction of growth that failed for want of capacity.
const capacity Direction = "capacity"

// A provider without capacity is left alone for 5 minutes, twice as long after
// each further failure, and half an hour at the most; all is forgotten once a member
// that was made after the wait is ready, or after three hours without a failure.
// (Cluster-autoscaler's figures.)
const (
	firstLack     = 5 * time.Minute
	mostLack      = 30 * time.Minute
	lackForgotten = 3 * time.Hour
)

// Lacked remembers that the provider had no capacity to grow by. Failures while
// it is left alone are of the same lack and count once.
func (m *Memory) Lacked(failure string, now time.Time) {
	f := m.Failed[capacity]
	if now.Before(f.Until) {
		return
	}
	f.Count++
	f.At, f.Until, f.Why = now, now.Add(min(firstLack<<min(f.Count-1, 10), mostLack)), brief(failure, mostWhy)
	put(&m.Failed, capacity, f)
}

// regain forgets that there was no capacity.
func (m *Memory) regain(members []Member, now time.Time) {
	f, lacked := m.Failed[capacity]
	came := func(x Member) bool { return x.State == Ready && x.Born.After(f.Until) }
	if lacked && (now.Sub(f.At) >= lackForgotten || slices.ContainsFunc(members, came)) {
		delete(m.Failed, capacity)
	}
}

// Lacks reports whether the provider is left alone for want of capacity.
func (m *Memory) Lacks(now time.Time) bool { return now.Before(m.Failed[capacity].Until) }

// So many bytes are remembered of a failure's text, and of a member's note.
const (
	mostWhy  = 400
	mostNote = 200
)

// brief is a text of at most so many bytes. What is cut off is the middle: it begins with
// what was tried, and ends with what to do.
func brief(s string, most int) string {
	if len(s) <= most {
		return s
	}
	const cut = " … "
	half := (most - len(cut)) / 2
	return strings.ToValidUTF8(s[:half], "") + cut + strings.ToValidUTF8(s[len(s)-half:], "")
}

// backoff is how long to wait after a number of failures in a row.
func backoff(count int) time.Duration {
	return min(firstBackoff<<min(count-1, 20), mostBackoff)
}

// settle forgets what the list of members shows to be over. From a list that is
// not believed nobody is taken for gone.
func (m *Memory) settle(members []Member, t Terms, now time.Time) {
	listed := map[string]bool{}
	ids := map[MemberID]bool{}
	for _, x := range members {
		listed[x.Name], ids[x.ID] = true, true
	}
	if t.Drift == "" {
		m.keepDraining(func(id MemberID) bool { return ids[id] })
	}
	m.regain(members, now)
	if !t.Names {
		m.countIn(members)
	}
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

// countIn forgets as many of the expected as a provider that takes no names lists
// beyond those it had. Names that it chose itself tell nothing.
func (m *Memory) countIn(members []Member) {
	held := Provided(members)
	for i, e := range m.Expected {
		came := len(e.Names) - min(max(0, e.To-held), len(e.Names))
		if e.To == 0 || came == 0 {
			continue
		}
		if m.Roll != nil && slices.Contains(e.Names[:came], m.Roll.Surge) {
			m.Roll.Surge = youngest(members)
		}
		m.Expected[i].Names = e.Names[came:]
	}
}

// Provided counts the members that a provider holds its size with: all but those that
// it was asked to end.
func Provided(members []Member) int {
	n := 0
	for _, x := range members {
		if x.State != Leaving {
			n++
		}
	}
	return n
}

// youngest is the name of the member that was made last.
func youngest(members []Member) string {
	if len(members) == 0 {
		return ""
	}
	return slices.MaxFunc(members, func(a, b Member) int { return a.Born.Compare(b.Born) }).Name
}

// forgive takes members that never came off what counts against the rate, and
// off what adding members is judged by.
func (m *Memory) forgive(n int) {
	m.Unbook(n)
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
	for i := range m.Healed {
		past(&m.Healed[i], now)
	}
	for i := range m.Draining {
		past(&m.Draining[i].Since, now)
	}
	past(&m.Drifted, now)
	past(&m.Asked, now)
	m.Roll.rewind(past, now)
	for i := range m.Expected {
		past(&m.Expected[i].Until, now.Add(bootTime))
		past(&m.Expected[i].Failed, now)
	}
	for dir, f := range m.Failed {
		most := mostBackoff
		if dir == capacity {
			most = mostLack
		}
		past(&f.At, now)
		past(&f.Until, now.Add(most))
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
	m.Healed, m.Roll = slices.Clone(m.Healed), m.Roll.clone()
	return m
}
