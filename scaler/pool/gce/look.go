package gce

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/api/compute/v1"

	"flyball/rules"
)

// repairTime is how long a group that repairs its members may take to begin with
// one that ended; then it counts as dead.
const repairTime = 5 * time.Minute

// A standing is a member's state, and since when.
type standing struct {
	state rules.State
	since time.Time
}

// Look lists the members: by one call for the group, one for its list, and one for
// its autoscaler if it has one; and one for each machine that is new. At rest what
// was seen up to 15 s ago is told again.
func (p *Pool) Look(ctx context.Context) ([]rules.Member, rules.Terms, error) {
	s, err := p.known(ctx, false)
	if err != nil {
		return nil, rules.Terms{}, err
	}
	return p.keep(ctx, s, p.members(s)), p.terms(s), nil
}

// members are those of a snapshot, and those that could not be made, sorted by name.
func (p *Pool) members(s *snapshot) []rules.Member {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ms []rules.Member
	for _, m := range s.members {
		if !onStandby(s.group, m) {
			ms = append(ms, p.member(s, m))
		}
	}
	ms = append(ms, p.unborn()...)
	slices.SortFunc(ms, func(a, b rules.Member) int { return strings.Compare(a.Name, b.Name) })
	return ms
}

// member is one instance as a member. Whether it is ready is its own word. p.mu is held.
func (p *Pool) member(s *snapshot, m *compute.ManagedInstance) rules.Member {
	x := p.machines[m.Id]
	out := rules.Member{ID: idOf(m), Name: nameOf(m), Addr: x.addr, Born: x.born}
	if m.Version != nil {
		out.Version = last(m.Version.InstanceTemplate)
	}
	if out.Born.IsZero() {
		out.Born = p.making[out.Name]
	}
	state, note := p.state(s, m)
	was := p.states[out.ID]
	if was.state != state {
		was = standing{state, s.at}
		if state == rules.Booting && !out.Born.IsZero() {
			was.since = out.Born
		}
	}
	p.states[out.ID] = was
	out.State, out.Since = was.state, was.since
	if asked := p.ended[out.ID]; !asked.IsZero() {
		out.State, out.Since = rules.Leaving, asked
	}
	out.Note = strings.Join(slices.DeleteFunc([]string{"zone " + zoneOf(m.Instance), note, health(m)},
		func(s string) bool { return s == "" || s == "zone " }), ", ")
	return out
}

// state is what the group says of an instance, with what is to be said of it.
func (p *Pool) state(s *snapshot, m *compute.ManagedInstance) (rules.State, string) {
	action := m.CurrentAction
	switch {
	case isGoing(m) && p.ended[idOf(m)].IsZero():
		return rules.Leaving, p.goes(s.group, m)
	case isGoing(m):
		return rules.Leaving, ""
	case inTheMaking(m):
		return p.made(s, m)
	case action == "RECREATING" || action == "RESTARTING" || action == "STARTING" || action == "RESUMING":
		return rules.Booting, strings.ToLower(action) + " by the group"
	case !hasEnded(m):
		return rules.Booting, unless(m.InstanceStatus, "RUNNING")
	}
	status := cmp.Or(strings.ToLower(m.InstanceStatus), "deleted by somebody else")
	if repairs(s.group) && s.at.Sub(p.stopped[idOf(m)]) < repairTime {
		return rules.Booting, status + ", to be repaired by the group"
	}
	return rules.Dead, status
}

// made is the state of a member in the making: dead if that takes too long, and it
// was asked for by Flyball.
func (p *Pool) made(s *snapshot, m *compute.ManagedInstance) (rules.State, string) {
	f, failed := attempted(m)
	took := s.at.Sub(p.making[nameOf(m)])
	note := "in the making"
	if failed {
		note += ", the last attempt failed: " + f.Error()
	}
	if p.cfg.Mode != modeDirect || took < p.cfg.ProvisionTimeout {
		return rules.Booting, note
	}
	return rules.Dead, fmt.Sprintf("not made within %s: %s", p.cfg.ProvisionTimeout, note)
}

// goes says why a member goes that Flyball did not end.
func (p *Pool) goes(g *compute.InstanceGroupManager, m *compute.ManagedInstance) string {
	switch {
	case m.CurrentAction == "ABANDONING":
		return "taken out of the group by somebody else"
	case redistributes(g):
		return "ended by the group to spread its members over the zones, or by somebody else"
	default:
		return "ended by the group or by somebody else"
	}
}

// terms are what the group can do, as its mode declares.
func (p *Pool) terms(s *snapshot) rules.Terms {
	t := rules.Terms{Drains: p.cfg.Drains, Lag: int(doubtFor / time.Second), Version: last(templateOf(s.group)), Drift: p.fight(s)}
	if s.native != nil {
		t.Advice = int(s.native.RecommendedSize)
	}
	switch p.cfg.Mode {
	case modeDirect:
		t.Names, t.Victims, t.Most = true, true, p.most(s)
	case modeOnlyScaleOut:
		t.Victims, t.Most = true, max(1, present(s)) // Google's autoscaler adds
	case modeFloor:
		if s.native != nil && s.native.AutoscalingPolicy != nil {
			t.Most = int(s.native.AutoscalingPolicy.MaxNumReplicas)
		}
	}
	return t
}

// The members that a group can have, by Google's limits.
const (
	mostZonal    = 1000
	mostRegional = 2000
)

// most is how many members there can be: where a quota is used up, those there are.
func (p *Pool) most(s *snapshot) int {
	for _, m := range s.members {
		if f, failed := attempted(m); failed && inTheMaking(m) && f.class == quota {
			return max(1, present(s))
		}
	}
	if p.cfg.Region != "" {
		return mostRegional
	}
	return mostZonal
}

// present counts the members that are not about to go.
func present(s *snapshot) int {
	n := 0
	for _, m := range s.members {
		if !isGoing(m) && !onStandby(s.group, m) {
			n++
		}
	}
	return n
}

// address is where a member's service is; "" while it has none.
func (p *Pool) address(in *compute.Instance) string {
	for _, n := range in.NetworkInterfaces {
		ip := n.NetworkIP
		if p.cfg.Address == addressExternal {
			ip = ""
			for _, a := range n.AccessConfigs {
				ip = a.NatIP
			}
		}
		if ip != "" {
			return net.JoinHostPort(ip, strconv.Itoa(p.cfg.Port))
		}
	}
	return ""
}

// templateOf is the address of the template that new members are made by: that of
// all, or that which is not for a fixed part of them.
func templateOf(g *compute.InstanceGroupManager) string {
	link := g.InstanceTemplate
	for _, v := range g.Versions {
		if t := v.TargetSize; t == nil || t.Fixed == 0 && t.Percent == 0 {
			link = v.InstanceTemplate
		}
	}
	return link
}

// repairs reports whether the group makes members anew that ended.
func repairs(g *compute.InstanceGroupManager) bool {
	return g.InstanceLifecyclePolicy == nil || g.InstanceLifecyclePolicy.DefaultActionOnFailure != "DO_NOTHING"
}

// redistributes reports whether the group ends members to spread them over its zones.
func redistributes(g *compute.InstanceGroupManager) bool {
	return g.Region != "" && (g.UpdatePolicy == nil || g.UpdatePolicy.InstanceRedistributionType != "NONE")
}

// onStandby reports whether an instance is kept stopped by the group for later.
func onStandby(g *compute.InstanceGroupManager, m *compute.ManagedInstance) bool {
	return hasEnded(m) && isIdle(m) && (g.TargetStoppedSize > 0 || g.TargetSuspendedSize > 0)
}

// inTheMaking reports whether the group makes an instance, or tries to, and be it
// again under an old name.
func inTheMaking(m *compute.ManagedInstance) bool {
	return strings.HasPrefix(m.CurrentAction, "CREATING") || m.CurrentAction == "RECREATING" && m.Id == 0
}

// isGoing reports whether an instance is about to leave the group.
func isGoing(m *compute.ManagedInstance) bool {
	return slices.Contains([]string{"DELETING", "ABANDONING", "STOPPING", "SUSPENDING"}, m.CurrentAction)
}

func isLeaving(ms []*compute.ManagedInstance, id rules.MemberID) bool {
	return slices.ContainsFunc(ms, func(m *compute.ManagedInstance) bool { return idOf(m) == id && isGoing(m) })
}

// isIdle reports whether the group does nothing with an instance.
func isIdle(m *compute.ManagedInstance) bool {
	return m.CurrentAction == "" || m.CurrentAction == "NONE"
}

func isRunning(m *compute.ManagedInstance) bool { return m.InstanceStatus == "RUNNING" }

// hasEnded reports whether an instance runs no more, or was deleted behind the
// group's back.
func hasEnded(m *compute.ManagedInstance) bool {
	return isIdle(m) && m.Id == 0 || slices.Contains([]string{"TERMINATED", "STOPPED", "SUSPENDED"}, m.InstanceStatus)
}

// isSettled reports whether an instance will be the same on the next look.
func isSettled(m *compute.ManagedInstance) bool {
	return isIdle(m) && (isRunning(m) || hasEnded(m))
}

// health is what Google's health check says, if that is not well.
func health(m *compute.ManagedInstance) string {
	for _, h := range m.InstanceHealth {
		if h != nil && h.DetailedHealthState != "HEALTHY" && h.DetailedHealthState != "" {
			return "Google's health check says " + strings.ToLower(h.DetailedHealthState)
		}
	}
	return ""
}

// unless is a status in small letters, unless it is the usual one.
func unless(status, usual string) string {
	if status == usual {
		return ""
	}
	return strings.ToLower(status)
}
