package rules

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// rollTold is how long an ended roll is told of.
const rollTold = 24 * time.Hour

// mostSick is how many members of a new version may fall sick or die until it is
// taken for bad.
const mostSick = 2

// roll goes on with a roll, ends it, or waits. It acts only where nothing else is
// to be done, and never in doubt.
func (j *judgement) roll() {
	drift := j.in.Terms.Drift != "" // who is not listed is not gone then
	if !drift {
		j.takeRoll()
	}
	ro := j.m.Roll
	if ro == nil {
		return
	}
	if drift && ro.Ended.IsZero() {
		j.d.Roll = j.tellRoll("waits: " + string(Drift))
		return
	}
	text := ro.Why
	if ro.Ended.IsZero() {
		text = j.rollOn(j.outdated())
	}
	if !ro.Ended.IsZero() {
		text = ro.Why
		j.dropSurge()
	}
	if ro.Ended.Equal(j.now) && ro.Why != "" && j.d.Verdict == Keep {
		j.d.Reason, j.d.Signal = RollStopped, ""
	}
	j.d.Roll = j.tellRoll(text)
}

// takeRoll takes up what is ordered, and forgets what ended long ago.
func (j *judgement) takeRoll() {
	ro, order := j.m.Roll, j.in.Roll
	if ro != nil {
		j.awaitSurge()
		j.recount()
	}
	switch {
	case order.In(j.now) && (ro == nil || !ro.At.Equal(order.At)):
		if ro != nil && j.c.surge != nil {
			j.endRoll("another one was ordered") // and waits until this one is cleared away
			return
		}
		j.m.Roll = &Roll{At: order.At, Version: j.in.Terms.Version, Of: len(j.outdated()), Bad: j.above(nil)}
	case ro == nil:
	case ro.Ended.IsZero() && !order.In(j.now):
		j.endRoll("it was stopped by an order")
	case !ro.Ended.IsZero() && j.c.surge == nil && j.now.Sub(ro.Ended) >= rollTold:
		j.m.Roll = nil
	}
}

// endRoll ends a roll that is under way.
func (j *judgement) endRoll(why string) {
	if ro := j.m.Roll; ro.Ended.IsZero() {
		ro.Ended, ro.Why, ro.Gone = j.now, why, max(0, ro.Of-ro.Done-len(j.outdated()))
	}
}

// recount takes back that a member was replaced where it was taken back into
// rotation, as growth does with those that drain.
func (j *judgement) recount() {
	ro := j.m.Roll
	is := func(m Member) bool { return m.ID == ro.Last }
	switch {
	case ro.Last == "" || !ro.Ended.IsZero():
	case slices.ContainsFunc(j.outdated(), is):
		ro.Done, ro.Last = ro.Done-1, ""
	case !slices.ContainsFunc(j.in.Members, is):
		ro.Last = ""
	}
}

// rollOn does the next thing and tells it, unless the roll is to end.
func (j *judgement) rollOn(old []Member) string {
	ro := j.m.Roll
	if v := j.in.Terms.Version; v != "" && v != ro.Version {
		if s := j.c.surge; s != nil {
			j.dropSurge()
			return "waits: " + s.Name + " is of an older template by now and goes"
		}
		*ro = Roll{At: ro.At, Version: v, Bad: ro.Bad, Worse: ro.Worse}
	}
	ro.Of = max(ro.Of, ro.Done+len(old))
	j.countSick()
	if why := j.whyStop(); why != "" {
		j.endRoll(why)
		return ""
	}
	if len(old) == 0 && ro.Version != "" {
		j.endRoll("")
		return ""
	}
	if text := j.whyWait(); text != "" {
		return "waits: " + text
	}
	if j.c.surge == nil {
		return j.surge()
	}
	return j.retire(old)
}

// whyStop is why a roll must not go on.
func (j *judgement) whyStop() string {
	ro, s := j.m.Roll, j.c.surge
	late := !ro.Since.IsZero() && j.now.Sub(ro.Since) >= bootTime
	worse := j.above(ro.Bad)
	if len(worse) == 0 {
		ro.Worse = time.Time{}
	} else if ro.Worse.IsZero() {
		ro.Worse = j.now
	}
	switch {
	case !j.in.Terms.Victims:
		return "the provider does not take the members to remove"
	case j.c.correlated(j.r.Warmup):
		return "many members turned unhealthy at once (" + string(CorrelatedUnhealthy) + ")"
	case len(ro.Sick) >= mostSick:
		return strings.Join(ro.Sick, " and ") + " of the new version turned unhealthy"
	case ro.Missed >= mostMissed:
		return itoa(ro.Missed) + " new members in a row did not come" + last(ro.Said)
	case late && (s == nil || s.State != Ready):
		return "no new member became ready within " + round(bootTime) + last(ro.Said)
	case s != nil && s.State == Ready && s.Version != ro.Version:
		return "the new member " + s.Name + " is of version " + quote(s.Version) + ", not " + quote(ro.Version)
	case j.bars[DirOut] != "":
		return "the hold " + j.bars[DirOut] + " forbids growth"
	case !ro.Worse.IsZero() && j.now.Sub(ro.Worse) >= j.r.Warmup:
		return strings.Join(worse, " and ") + " got worse since it began"
	case s == nil && j.in.Terms.Most > 0 && j.n+1 > j.in.Terms.Most:
		return "the provider gives no more than " + itoa(j.in.Terms.Most) + " members, and one more is needed (" + string(Quota) + ")"
	}
	return ""
}

// last are the provider's words of the last new member, if it said any.
func last(said string) string {
	if said == "" {
		return ""
	}
	return "; the last: " + said
}

// whyWait is what a roll waits for.
func (j *judgement) whyWait() string {
	switch {
	case j.in.Terms.Version == "":
		return "the provider does not tell its template"
	case j.d.Verdict == Replace:
		return "a member is to be replaced for its health"
	case j.d.Verdict != Keep:
		return "the pool is to be resized"
	case j.doubt != "":
		return j.doubter + ", " + string(j.doubt)
	case !j.m.Roll.Worse.IsZero():
		return strings.Join(j.above(j.m.Roll.Bad), " and ") + " is above its band"
	case j.in.Blind:
		return "the balancer cannot be asked"
	}
	return ""
}

// retire takes out the oldest member of another version, once the surge is warm
// and gets requests as the others do.
func (j *judgement) retire(old []Member) string {
	s := j.c.surge
	switch served := j.served(); {
	case s.State == Dead || s.State == Unhealthy && j.now.Sub(s.Since) >= j.r.Warmup:
		j.act(ScaleIn, j.d.Size-1, []MemberID{s.ID})
		return s.Name + " of the new version fails and goes; another one is made"
	case s.ID == "":
		return j.tellAwaited(s)
	case s.State != Ready:
		return "waits: " + s.Name + " is " + string(s.State)
	case j.now.Sub(s.Since) < j.r.Warmup:
		return "waits: " + s.Name + " is warming up"
	case served && s.Open == nil:
		return "waits: " + s.Name + " gets no requests yet"
	case j.bars[DirIn] != "":
		return "waits: the hold " + j.bars[DirIn] + " forbids removing"
	}
	j.act(ScaleIn, j.d.Size-1, []MemberID{old[0].ID})
	return "replaces " + old[0].Name + " by " + s.Name
}

// served reports whether somebody counts the members' requests.
func (j *judgement) served() bool {
	return slices.ContainsFunc(j.in.Members, func(m Member) bool { return m.Open != nil })
}

// act makes the verdict the roll's.
func (j *judgement) act(v Verdict, to int, victims []MemberID) {
	j.rolls = true
	j.d.Verdict, j.d.To, j.d.Victims, j.d.Signal, j.d.Reason = v, to, victims, "", Rolling
	if ro := j.m.Roll; !ro.Ended.IsZero() && ro.Why != "" {
		j.d.Reason = RollStopped
	}
}

// rememberRoll keeps what the roll has asked for. The name of the surge is the plan's.
func (j *judgement) rememberRoll() {
	ro := j.m.Roll
	if j.d.Verdict == ScaleOut {
		ro.Said = ""
		if ro.Since.IsZero() {
			ro.Since = j.now
		}
		return
	}
	if who := j.d.Victims[0]; who != j.c.surge.ID { // the surge has its place
		ro.Done, ro.Last, ro.Since = ro.Done+1, who, time.Time{}
	}
	ro.Surge = ""
}

// outdated are the members that were made by another template, as they are to go:
// the sick, then the oldest. Those that are kept stay as they are.
func (j *judgement) outdated() []Member {
	version := j.in.Terms.Version
	if version == "" && j.m.Roll != nil {
		version = j.m.Roll.Version
	}
	old := slices.Concat(j.c.unhealthy, j.c.booting, j.c.warm, j.c.young)
	old = slices.DeleteFunc(old, func(m Member) bool { return m.Version == version || m.Kept || j.m.IsSurge(m) })
	slices.SortStableFunc(old, func(a, b Member) int {
		return cmp.Or(order(a)-order(b), a.Born.Compare(b.Born), cmp.Compare(a.Name, b.Name))
	})
	return old
}

func order(m Member) int {
	if m.State == Unhealthy {
		return 0
	}
	return 1
}

// countSick takes down which members of the new version fell sick or died since
// the roll began.
func (j *judgement) countSick() {
	ro := j.m.Roll
	ms := slices.Concat(j.c.unhealthy, j.c.dead)
	if s := j.c.surge; s != nil && (s.State == Unhealthy || s.State == Dead) {
		ms = append(ms, *s)
	}
	for _, m := range ms {
		if m.Version == ro.Version && !m.Since.Before(ro.At) && !slices.Contains(ro.Sick, m.Name) && len(ro.Sick) < mostSick {
			ro.Sick = append(ro.Sick, m.Name)
		}
	}
}

// above are the signals that are above their band, but for the given ones.
func (j *judgement) above(but []string) (out []string) {
	for i, s := range j.r.Signals {
		v := j.d.Signals[i].Value
		if s.Band != nil && v != nil && *v > s.Band.Above && !slices.Contains(but, s.Name) {
			out = append(out, s.Name)
		}
	}
	return out
}

// tellRoll shows the roll. Who is not listed while there is drift is not gone.
func (j *judgement) tellRoll(text string) *Rolled {
	ro := j.m.Roll
	out := &Rolled{Version: ro.Version, Of: ro.Of, Done: ro.Done, Gone: ro.Gone, State: RollUnderWay, Text: text}
	switch {
	case ro.Ended.IsZero() && j.in.Terms.Drift == "":
		out.Gone = max(0, ro.Of-ro.Done-len(j.outdated()))
	case ro.Ended.IsZero():
	case ro.Why == "":
		out.State = RollDone
	default:
		out.State = RollHalted
	}
	return out
}
