package scaler

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"flyball/rules"
	"flyball/scaler/journal"
)

// A member that was asked to end is asked again after patience, and providers then
// end it the hard way; after drainPatience where the provider drains it first,
// which takes minutes. After that it is asked again ever more rarely.
const (
	patience      = 10 * time.Second
	drainPatience = time.Minute
	mostPatience  = 5 * time.Minute
)

// admitting is the direction of a step that asks the traffic alone: its failures
// hold up no other.
const admitting rules.Direction = "admit"

// mostNames bounds how many members one step asks for; the next judgement asks for more.
const mostNames = 100

// A situation is what a plan is made from: a decision and the pool it is about.
type situation struct {
	d       rules.Decision
	members []rules.Member // draining as remembered, open requests as counted
	listed  []rules.Member // the same as the provider lists them
	drain   time.Duration
	counted bool // whoever sends requests told of them
	met     met  // whom whoever sends requests was told to let in
	terms   rules.Terms
	steady  bool // the pool is acted on at all: its rule acts, nobody paused it, it is not dry
	now     time.Time
}

// plan chooses one short step: its verb, names and victims, never the size, which
// is the decision's. It changes the memory to what will be true once the step is
// done. No step is a zero verb.
//
// What a decision asks for comes first, so that a drain never blocks growth; then
// new capacity is let in; then drained members are ended.
func plan(s situation, m *rules.Memory) journal.Step {
	step := journal.Step{Target: "pool/" + s.d.Pool, To: s.d.To, Decision: s.d.ID, Reason: s.d.Reason}
	step.ID = stepID(s.d.Pool, s.now)
	switch {
	case s.d.Acts():
		s.carryOut(&step, m)
	case !s.steady:
	case s.insist(&step, m):
	case s.takeBack(&step, m):
	case s.admit(&step, m):
	case s.terms.Drift != "": // who seems to be too many may be all there is
		step.Verb = ""
	default:
		s.remove(&step, m)
	}
	step.Named = s.named(step.Victims)
	return step
}

// named are members by name. What is known of them is the decision's to tell.
func (s situation) named(ids []rules.MemberID) []rules.Named {
	out := rules.NamesOf(ids, s.members)
	for i := range out {
		out[i].Note = ""
	}
	return out
}

// stepID names a step: the pool and the time, as [a-z0-9-]{1,40}.
func stepID(pool string, now time.Time) string {
	return pool[:min(len(pool), 28)] + "-" + strconv.FormatInt(now.UnixMilli(), 36)
}

// carryOut makes the step that a decision asks for.
func (s situation) carryOut(step *journal.Step, m *rules.Memory) {
	switch s.d.Verdict {
	case rules.ScaleOut:
		need := s.d.To - s.d.Size
		step.Victims = s.readmit(need, m)
		step.Names = s.names(need-len(step.Victims), m)
		short := need - len(step.Victims) - len(step.Names)
		m.Unbook(short)
		step.To -= short
		step.Verb = journal.Grow
		if s.d.Reason == rules.Rolling {
			m.SurgeOf(step.Names[0])
		}
		if len(step.Names) == 0 {
			step.Verb = journal.Admit
		}
		m.Admit(step.Victims)
	case rules.Replace:
		step.Verb, step.Victims = journal.Swap, s.d.Victims
		need := len(step.Victims) + m.Owed
		if m.Lacks(s.now) {
			step.Verb = journal.Withdraw
		} else {
			step.Names = s.names(need, m)
		}
		m.Owed = need - len(step.Names)
		m.Withdraw(step.Victims, s.now)
	case rules.ScaleIn:
		s.shrink(step, m)
	}
	to := 0
	if !s.terms.Names && len(step.Names) > 0 {
		to = s.provided(m) + len(step.Names)
		step.To = to
	}
	m.Expect(step.Names, to, s.now)
}

// shrink takes members out of rotation, to be ended when they have drained. A
// provider that picks them itself is told the size.
func (s situation) shrink(step *journal.Step, m *rules.Memory) {
	need := s.d.Size - s.d.To
	let := min(need, m.Owed) // what is owed to a smaller pool need not be given
	m.Owed -= let
	need -= let
	switch {
	case need == 0:
	case !s.terms.Victims:
		step.Verb, step.To = journal.Remove, max(0, s.provided(m)-need)
		m.Shrunk(step.To)
	default:
		step.Victims = s.d.Victims // a roll says who
		if len(step.Victims) == 0 {
			step.Victims = s.victims(need, m)
		}
		if len(step.Victims) > 0 {
			step.Verb = journal.Withdraw
		}
		m.Withdraw(step.Victims, s.now)
	}
}

// provided is the size that a provider which takes no names has or was asked for:
// who drains, or is dead, is still of it.
func (s situation) provided(m *rules.Memory) int {
	n := rules.Provided(s.listed)
	for _, e := range m.Expected {
		n += len(e.Names)
	}
	return n
}

// readmit picks draining members that are well to take back, rather than to buy
// new ones.
func (s situation) readmit(need int, m *rules.Memory) []rules.MemberID {
	var out []rules.MemberID
	for _, x := range s.listed {
		if _, draining := m.DrainingSince(x.ID); draining && x.State == rules.Ready && len(out) < need {
			out = append(out, x.ID)
		}
	}
	return out
}

// takeBack takes draining members back where the provider is left alone: for that
// it is not needed.
func (s situation) takeBack(step *journal.Step, m *rules.Memory) bool {
	if s.d.Verdict != rules.ScaleOut || s.d.Refused != rules.ProviderBackoff || s.now.Before(m.Failed[admitting].Until) {
		return false
	}
	step.Verb, step.Victims = journal.Admit, s.readmit(s.d.To-s.d.Size, m)
	m.Admit(step.Victims)
	return len(step.Victims) > 0
}

// victims picks whom to take out of rotation: the dead, the sick, those that boot,
// then those of another template than the present one, then the oldest. The one
// that a roll makes is not among them, nor are those that are kept.
func (s situation) victims(n int, m *rules.Memory) []rules.MemberID {
	rank := map[rules.State]int{rules.Dead: 0, rules.Unhealthy: 1, rules.Booting: 2, rules.Ready: 3}
	in := slices.DeleteFunc(slices.Clone(s.members), func(x rules.Member) bool {
		_, counts := rank[x.State]
		_, out := m.DrainingSince(x.ID)
		return !counts || out || x.Kept || m.IsSurge(x)
	})
	outdated := func(x rules.Member) int {
		if x.Version == s.terms.Version {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(in, func(a, b rules.Member) int {
		return cmp.Or(rank[a.State]-rank[b.State], outdated(a)-outdated(b), a.Born.Compare(b.Born), cmp.Compare(a.Name, b.Name))
	})
	var out []rules.MemberID
	for _, x := range in[:min(n, len(in))] {
		out = append(out, x.ID)
	}
	return out
}

// names makes names for new members. A number is not used again, so that no new
// member inherits the series of one that is gone.
func (s situation) names(n int, m *rules.Memory) []string {
	for _, x := range s.members {
		if i, err := strconv.Atoi(strings.TrimPrefix(x.Name, s.d.Pool+"-")); err == nil {
			m.Named = max(m.Named, i)
		}
	}
	var out []string
	for range min(n, mostNames) {
		m.Named++
		out = append(out, s.d.Pool+"-"+strconv.Itoa(m.Named))
	}
	return out
}

// insist takes members out of rotation of which it is not known whether they are.
func (s situation) insist(step *journal.Step, m *rules.Memory) bool {
	ids := m.Unsure()
	if len(ids) == 0 || s.now.Before(m.Failed[rules.DirIn].Until) {
		return false
	}
	m.Admit(ids)
	m.Withdraw(ids, s.now)
	step.Verb, step.Victims, step.To = journal.Withdraw, ids, s.d.Size
	return true
}

// met are members that the traffic was told to let in, in this life of the program.
type met map[rules.MemberID]bool

// add adds some, and forgets those that are listed no more.
func (m met) add(ids []rules.MemberID, listed []rules.Member) {
	for _, id := range ids {
		m[id] = true
	}
	maps.DeleteFunc(m, func(id rules.MemberID, _ bool) bool {
		return !slices.ContainsFunc(listed, func(x rules.Member) bool { return x.ID == id })
	})
}

// admit lets ready members in that nobody sends requests to yet, and, after a
// start, each: what the traffic thinks of them may be of another life, as one that
// drained in it and became ready only now. Who drains and turns out not to be ours to
// end comes back.
func (s situation) admit(step *journal.Step, m *rules.Memory) bool {
	if s.now.Before(m.Failed[admitting].Until) {
		return false
	}
	for _, x := range s.listed {
		_, out := m.DrainingSince(x.ID)
		unserved := s.counted && (x.Open == nil || !s.met[x.ID])
		if x.State == rules.Ready && (out && !s.endable(x) || !out && unserved) {
			step.Victims = append(step.Victims, x.ID)
		}
	}
	m.Admit(step.Victims)
	step.Verb = journal.Admit
	return len(step.Victims) > 0
}

// endable reports whether it is for us to end a member.
func (s situation) endable(x rules.Member) bool { return s.terms.Victims && !x.Kept }

// remove ends the members that have drained, and asks again about those that
// take too long to end.
func (s situation) remove(step *journal.Step, m *rules.Memory) {
	step.Verb = ""
	if s.now.Before(m.Failed[rules.DirIn].Until) {
		return
	}
	unsure, late := m.Unsure(), s.late(m)
	for _, x := range s.members {
		if slices.Contains(unsure, x.ID) || !s.endable(x) {
			continue
		}
		_, out := m.DrainingSince(x.ID)
		drained := x.State == rules.Draining && s.drained(x) && s.d.Verdict != rules.ScaleOut
		if drained || x.State == rules.Dead && out || slices.Contains(late, x.ID) {
			step.Victims = append(step.Victims, x.ID)
		}
	}
	if len(step.Victims) == 0 {
		return
	}
	if len(late) > 0 {
		m.Asked = s.now
	}
	step.Verb, step.To = journal.Remove, s.d.Size
	if !s.terms.Names {
		asked := slices.DeleteFunc(of(*step, s.listed), func(x rules.Member) bool { return x.State == rules.Leaving })
		step.To = max(0, s.provided(m)-len(asked))
		m.Removed(len(asked))
	}
}

// late are the members that take too long to end, if it is time to ask again.
func (s situation) late(m *rules.Memory) []rules.MemberID {
	first := patience
	if s.terms.Drains {
		first = drainPatience
	}
	var out []rules.MemberID
	due := false
	for _, x := range s.members {
		took := s.now.Sub(x.Since)
		if x.State != rules.Leaving || took <= first || !s.endable(x) {
			continue
		}
		out = append(out, x.ID)
		due = due || s.now.Sub(m.Asked) >= min(max(first, took/2), mostPatience)
	}
	if !due {
		return nil
	}
	return out
}

// drained reports whether a member out of rotation has nothing left to do, or no
// time left to do it. Where nobody counts, it has all its time.
func (s situation) drained(x rules.Member) bool {
	return x.Open != nil && *x.Open == 0 || s.now.Sub(x.Since) >= s.drain
}
