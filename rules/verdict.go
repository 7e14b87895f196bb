package rules

import (
	"maps"
	"slices"
	"time"
)

// replacedFor is how long a replacement counts for the back-off of further ones.
// (The kubelet forgets a container's crashes after as long.)
const replacedFor = 10 * time.Minute

// settle turns the narrowed wish into the verdict and its reason.
func (j *judgement) settle() {
	d := &j.d
	d.To, d.Signal = j.wish+j.c.extra(), j.signal
	switch {
	case j.wish > j.n:
		d.Verdict, d.Reason = ScaleOut, j.because
		if name, ok := j.applied(AtMin, Manual); ok {
			d.Reason, d.Signal = name, ""
		}
		if j.in.Terms.Drift != "" { // nothing else could ask for it then
			d.Reason, d.Signal = Manual, ""
		}
	case j.wish < j.n:
		d.Verdict, d.Reason = ScaleIn, j.because
		for _, l := range d.Limits {
			if (l.Name == AtMax || l.Name == Quota) && l.From >= j.n {
				d.Reason, d.Signal = l.Name, ""
			}
		}
		if !j.in.Terms.Victims && !j.in.Terms.Drains {
			d.Limits = append(d.Limits, Applied{NoDrain, j.wish, j.wish, "the provider picks the victim and does not drain it"})
		}
	default:
		d.Reason = j.whyKept()
		j.replace()
	}
	if d.Verdict == Keep || d.Verdict == Replace {
		d.To = d.Size
	}
}

// applied returns the first of the named limits that was applied.
func (j *judgement) applied(names ...Reason) (Reason, bool) {
	for _, l := range j.d.Limits {
		if slices.Contains(names, l.Name) {
			return l.Name, true
		}
	}
	return "", false
}

// whyKept names what binds a pool that keeps its size.
func (j *judgement) whyKept() Reason {
	switch {
	case j.in.Terms.Drift != "":
		return Drift
	case j.d.Wants > j.n && len(j.d.Limits) > 0:
		return j.d.Limits[len(j.d.Limits)-1].Name
	case j.c.correlated(j.r.Warmup):
		return CorrelatedUnhealthy
	case j.doubt != "":
		j.d.Signal = j.doubter
		return j.doubt
	case len(j.d.Limits) > 0:
		return j.d.Limits[len(j.d.Limits)-1].Name
	case j.because == BySignal:
		return InBand
	default:
		return j.because
	}
}

// replace asks for the dead to be replaced, or for one member that has been sick
// for longer than a warm-up. Many that turn sick at once are left alone, and nobody is
// replaced in a pool that shrinks as soon as its rate allows: the sick go first then.
func (j *judgement) replace() {
	if slices.ContainsFunc(j.d.Limits, func(l Applied) bool { return l.Name == RateLimited && l.From < j.n }) {
		return
	}
	victims := ids(j.replaceable(j.c.dead))
	if len(victims)+j.m.Owed == 0 && !j.c.correlated(j.r.Warmup) {
		victims = j.sick()
		j.heals = len(victims) > 0
	}
	if len(victims)+j.m.Owed == 0 {
		return
	}
	j.d.Verdict, j.d.Reason, j.d.Signal, j.d.Victims = Replace, Replacing, "", victims
	j.d.Named = NamesOf(victims, j.in.Members)
	past := within10(j.m.Replaced, j.now)
	if len(past) > 0 && j.now.Sub(past[len(past)-1]) < backoff(len(past)) {
		j.d.Refused = ProviderBackoff
		return
	}
	if most := mostHealed(j.n); j.heals && len(j.healed()) >= most {
		j.d.Refused = RateLimited
		j.d.Detail = itoa(most) + " of " + itoa(j.n) + " members were replaced for their health within the hour; the next one after " +
			clock(j.m.Healed[len(j.m.Healed)-most].Add(healedFor))
	}
}

// Members that fail their probe, or never answer it, are replaced so often an
// hour: a quarter of the pool, at least 2 and at most 10. More is no member's
// fault (an image that does not work, a probe that asks too much), each costs a
// machine, and who is sick may still serve. The dead are not counted: they
// serve nobody.
const (
	healedFor   = time.Hour
	leastHealed = 2
	topHealed   = 10
)

func mostHealed(n int) int { return min(max(n/4, leastHealed), topHealed) }

// healed are the replacements for health that still count.
func (j *judgement) healed() []time.Time {
	j.m.Healed = slices.DeleteFunc(j.m.Healed, func(t time.Time) bool { return j.now.Sub(t) >= healedFor })
	j.m.Healed = j.m.Healed[max(0, len(j.m.Healed)-topHealed):]
	return j.m.Healed
}

// replaceable are those of the members that can be replaced: none where the
// provider picks who ends, for it would pick others.
func (j *judgement) replaceable(ms []Member) []Member {
	return slices.DeleteFunc(slices.Clone(ms), func(m Member) bool { return m.Kept || !j.in.Terms.Victims })
}

// sick is the member that has been unhealthy, or has booted, for too long: the
// longest, and none while another replacement has not had its warm-up.
func (j *judgement) sick() []MemberID {
	if n := len(j.m.Replaced); n > 0 && j.now.Sub(j.m.Replaced[n-1]) < j.r.Warmup {
		return nil
	}
	var out *Member
	for _, m := range j.replaceable(slices.Concat(j.c.unhealthy, j.c.booting)) {
		patience := j.r.Warmup
		if m.State != Unhealthy {
			patience = bootTime
		}
		if j.now.Sub(m.Since) >= patience && (out == nil || m.Since.Before(out.Since)) {
			out = &m
		}
	}
	if out == nil {
		return nil
	}
	return []MemberID{out.ID}
}

// refuse names why a verdict is not carried out.
func (j *judgement) refuse() {
	d := &j.d
	if d.Verdict == Keep || d.Refused != "" {
		return
	}
	dir := DirOut
	if d.Verdict == ScaleIn {
		dir = DirIn
	}
	switch {
	case j.in.Pause.In(j.now):
		d.Refused = Paused
	case j.r.Mode != Act:
		d.Refused = Observing
	case j.in.DryRun:
		d.Refused = DryRun
	case j.in.Terms.Drift != "" && d.Verdict == Replace:
		d.Refused = Drift
	case j.now.Before(j.m.Failed[dir].Until):
		d.Refused, d.Detail = ProviderBackoff, j.m.Failed[dir].tell()
	case dir == DirOut && j.m.Lacks(j.now):
		j.doWithout()
	}
}

// doWithout refuses growth for want of capacity. The dead are ended all the same,
// which hands back what they hold at the provider, and are owed until it grows.
func (j *judgement) doWithout() {
	d, why := &j.d, j.m.Failed[capacity].tell()
	if d.Verdict == Replace && len(d.Victims) > 0 && !j.heals {
		d.Limits = append(d.Limits, Applied{ProviderBackoff, d.Size, d.Size, "the dead go, and are replaced later; left alone " + why})
		return
	}
	d.Refused, d.Detail = ProviderBackoff, why
}

// tell says until when a provider is left alone, and why in its own words. A
// failure that was remembered by an earlier version does not say.
func (f Failure) tell() string {
	if f.At.IsZero() {
		return ""
	}
	return "until " + clock(f.Until) + ": " + f.Why
}

// clock is a time of the day.
func clock(t time.Time) string { return t.UTC().Format("15:04:05") }

// remember keeps what later judgements need of this one.
func (j *judgement) remember() {
	longest := max(j.r.Out.Limit.Every, j.r.In.Limit.Every)
	j.m.Resizes = slices.DeleteFunc(j.m.Resizes, func(r Resize) bool { return j.now.Sub(r.At) >= longest })
	j.m.Replaced = within10(j.m.Replaced, j.now)
	j.forgetStrangers()
	j.m.Healed = j.healed()
	if !j.d.Acts() {
		return
	}
	if j.rolls {
		j.rememberRoll()
		return
	}
	switch j.d.Verdict {
	case Replace:
		j.m.Replaced = append(j.m.Replaced, j.now)
		if j.heals {
			j.m.Healed = append(j.m.Healed, j.now)
		}
	case ScaleOut:
		j.rememberAdd()
		fallthrough
	default:
		j.m.Resizes = mergeResizes(append(j.m.Resizes, Resize{j.now, j.d.To - j.d.Size}))
	}
}

// forgetStrangers forgets signals and holds that are no longer in the rule.
func (j *judgement) forgetStrangers() {
	signal := func(name string) bool {
		return slices.ContainsFunc(j.r.Signals, func(s Signal) bool { return s.Name == name })
	}
	maps.DeleteFunc(j.m.Missing, func(name string, _ time.Time) bool { return !signal(name) })
	maps.DeleteFunc(j.m.Adds, func(name string, _ Adds) bool { return !signal(name) })
	maps.DeleteFunc(j.m.Above, func(name string, _ time.Time) bool {
		return !slices.ContainsFunc(j.r.Holds, func(h Hold) bool { return h.Name == name })
	})
}

// mergeResizes keeps the list short: the two oldest become one that lasts as
// long as the newer of them.
func mergeResizes(rs []Resize) []Resize {
	for len(rs) > mostWishes {
		rs[1].By += rs[0].By
		rs = rs[1:]
	}
	return rs
}

// within10 is the replacements that still count, the ten latest at the most.
func within10(at []time.Time, now time.Time) []time.Time {
	at = slices.DeleteFunc(at, func(t time.Time) bool { return now.Sub(t) >= replacedFor })
	return at[max(0, len(at)-10):]
}

// ids are the members' IDs.
func ids(ms []Member) []MemberID {
	var out []MemberID
	for _, m := range ms {
		out = append(out, m.ID)
	}
	return out
}
