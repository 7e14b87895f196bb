package rules

import (
	"slices"
	"time"
)

// mostMissed is how many new members in a row may fail to come until a roll stops.
// They are asked for ever more rarely, so these are a minute and a quarter at the
// least: longer than a cloud's hiccup, and no hammering for an image that is not
// there. Those that lacked capacity are not counted: a roll waits for that.
const mostMissed = 5

// awaitSurge takes down what became of the one that was asked for.
func (j *judgement) awaitSurge() {
	ro, s := j.m.Roll, j.c.surge
	switch {
	case s != nil && s.ID == "":
		if said := j.m.refusal(); said != "" {
			ro.Said = said
		}
	case s != nil && s.State == Ready:
		ro.Missed, ro.Said = 0, ""
	case s == nil && ro.Surge != "":
		ro.Missed++
		if i := slices.IndexFunc(j.in.Members, func(m Member) bool { return m.Name == ro.Surge }); i >= 0 && ro.Said == "" {
			ro.Said = brief(j.in.Members[i].Note, mostNote) // it leaves, and not by us
		}
		ro.Surge = ""
	}
	if s == nil && j.m.Lacks(j.now) {
		ro.Missed, ro.Since = 0, time.Time{}
	}
}

// refusal is in the provider's words why the surge, which is not listed, could not
// be made; "" if nothing was heard against it.
func (m *Memory) refusal() string {
	for _, e := range m.Expected {
		if !slices.Contains(e.Names, m.Roll.Surge) {
			continue
		}
		for _, f := range []Failure{m.Failed[capacity], m.Failed[DirOut]} {
			if !e.Failed.IsZero() && e.Failed.Equal(f.At) {
				return f.Why
			}
		}
	}
	return ""
}

// surge asks for one member more, once nobody comes or goes. It may stand above
// max: max bounds what the load may want, and who is on the way out never counted
// against it. It never stands above the provider's quota.
func (j *judgement) surge() string {
	switch {
	case len(j.c.draining)+len(j.c.leaving) > 0:
		return "waits: " + slices.Concat(j.c.draining, j.c.leaving)[0].Name + " is leaving"
	case len(j.c.booting) > 0:
		return "waits: " + j.c.booting[0].Name + " is booting"
	case j.c.expected > 0:
		return "waits: members were asked for and are not listed yet"
	case j.n > max(j.r.Max, j.floor):
		return "waits: the pool is above its max"
	}
	j.act(ScaleOut, j.d.Size+1, nil)
	return "makes one of the new version"
}

// tellAwaited is what is known of a surge that is not listed.
func (j *judgement) tellAwaited(s *Member) string {
	said := j.m.Roll.Said
	switch {
	case said == "":
		return "waits: " + s.Name + " was asked for and is not listed yet"
	case j.m.Lacks(j.now):
		return "waits: the provider has no capacity for " + s.Name + ": " + said
	}
	return "waits: asking for " + s.Name + " failed, it may come all the same: " + said
}

// dropSurge takes the surge of a roll that ended away: it is one more than wanted.
// Where the provider picks who ends, it becomes a member as all others.
func (j *judgement) dropSurge() {
	s := j.c.surge
	if !j.in.Terms.Victims {
		j.m.Roll.Surge = ""
		return
	}
	barred := j.d.Verdict != Keep || j.doubt != "" || j.bars[DirIn] != "" || j.in.Terms.Drift != "" || j.c.correlated(j.r.Warmup)
	if s == nil || s.ID == "" || barred {
		return
	}
	j.act(ScaleIn, j.d.Size-1, []MemberID{s.ID})
}

// waitRefused lets a roll that is under way tell what it waits for where what it
// asked for, or what goes before it, is refused.
func (j *judgement) waitRefused() {
	ro, d := j.d.Roll, &j.d
	if ro == nil || ro.State != RollUnderWay || d.Refused == "" || d.Refused == Drift || j.in.Terms.Version == "" {
		return
	}
	why := string(d.Refused)
	if d.Detail != "" {
		why = "the provider is left alone " + d.Detail
		if d.Verdict == ScaleOut && j.m.Lacks(j.now) && !j.now.Before(j.m.Failed[DirOut].Until) {
			why = "the provider has no capacity and is left alone " + d.Detail
		}
	}
	if !j.rolls {
		ro.Text += ", which is not done: " + string(d.Refused)
		return
	}
	ro.Text = "waits: " + why
}
