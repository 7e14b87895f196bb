package emulate

import "time"

// redistribute evens out a regional group whose zones differ by more than one member,
// as PROACTIVE does: when nothing was done to it for a minute (assumed), a member is
// made in the emptiest zone, under a new name, and one of the fullest is deleted. So
// VMs that nobody chose go after others were deleted by name.
func (g *group) redistribute() {
	if g.in.kind != "regions" || g.o.Redistribution != "PROACTIVE" || g.o.Shape != "EVEN" || g.c.w.at.Sub(g.calm) < time.Minute {
		return
	}
	last := map[string]*managed{} // of each zone
	count := map[string]int{}
	for _, m := range g.members {
		if m.action != actionNone {
			return
		}
		if m.rest == "" {
			last[m.zone] = m
		}
		count[m.zone]++
	}
	fullest := g.zones[0]
	for _, z := range g.zones {
		if count[z] > count[fullest] {
			fullest = z
		}
	}
	m := last[fullest]
	if m == nil || count[fullest]-count[g.emptiest(nil)] < 2 {
		return
	}
	g.manage(g.freeName(), "redistribution")
	g.drop(m, actionDeleting)
}

// roll brings members to the template, one at a time, if the update policy is
// PROACTIVE: under their names if the replacement method is RECREATE, else a new
// member is made and the old one deleted. Assumed: one at a time, whatever surge is
// allowed.
func (g *group) roll() {
	if g.policy.Type != "PROACTIVE" {
		return
	}
	var old *managed
	for _, m := range g.members {
		if m.action != actionNone {
			return
		}
		if old == nil && m.rest == "" && m.template != g.template {
			old = m
		}
	}
	switch {
	case old == nil:
	case g.policy.ReplacementMethod == "RECREATE":
		g.renew(old)
	default:
		g.manage(g.freeName(), "update")
		g.drop(old, actionDeleting)
	}
}
