package emulate

import (
	"fmt"
	"slices"
	"time"

	compute "google.golang.org/api/compute/v1"
)

// What a group is doing about a member.
const (
	actionNone       = "NONE"
	actionCreating   = "CREATING"
	actionVerifying  = "VERIFYING"
	actionDeleting   = "DELETING"
	actionAbandoning = "ABANDONING"
	actionRecreating = "RECREATING"
	actionRestarting = "RESTARTING"
)

// A group is a managed instance group.
type group struct {
	c        *Compute
	o        ComputeGroup
	in       place
	zones    []string
	id       uint64
	born     time.Time
	target   int
	template string // that new members are made from: its name
	policy   compute.InstanceGroupManagerUpdatePolicy
	edition  int // of the configuration; the fingerprint follows it
	members  []*managed
	left     []*managed // gone, and still listed
	errors   []*compute.InstanceManagedByIgmError
	scaler   *autoscaler
	calm     time.Time // when its members last changed
}

// A managed is a member of a group, whether its VM exists or not.
type managed struct {
	name, zone, template string
	asked                string // the request that it was made for
	action               string
	rest                 string // how it was laid to rest; "": it is of the target
	vm                   *vm    // nil: there is none yet, or no more
	old                  *vm    // that is to be replaced, or to end
	next                 time.Time
	tries                int
	healthy, sick        time.Time // since when
	running              time.Time // since when
	noticed              time.Time // when the group will see that it is stopped or gone
	errors               []*compute.ManagedInstanceLastAttemptErrorsErrors
	shown, forgotten     time.Time // lists have it from and until then; zero: always
	barred               bool      // it cannot be made, and that does not pass
	vanishes             bool      // it is given up at the first try
}

// newGroup makes an empty group.
func newGroup(c *Compute, o ComputeGroup) *group {
	o = withDefaults(o)
	g := &group{c: c, o: o, in: place{"zones", o.Zone}, zones: []string{o.Zone}, id: c.id(), born: c.w.at, template: o.Template, calm: c.w.at}
	if o.Region != "" {
		g.in, g.zones = place{"regions", o.Region}, o.Zones
	}
	g.policy = compute.InstanceGroupManagerUpdatePolicy{
		Type: "OPPORTUNISTIC", MinimalAction: "REPLACE", ReplacementMethod: "SUBSTITUTE",
		MaxSurge:       &compute.FixedOrPercent{Fixed: int64(len(g.zones)), Calculated: int64(len(g.zones))},
		MaxUnavailable: &compute.FixedOrPercent{Fixed: int64(len(g.zones)), Calculated: int64(len(g.zones))},
	}
	if o.Region != "" {
		g.policy.InstanceRedistributionType = o.Redistribution
	}
	if c.template(o.Template) == nil {
		c.addTemplate(ComputeTemplate{Name: o.Template})
	}
	return g
}

func withDefaults(o ComputeGroup) ComputeGroup {
	for _, d := range []struct {
		at *string
		to string
	}{
		{&o.Template, o.Name}, {&o.Base, o.Name}, {&o.OnFailure, "REPAIR"}, {&o.Shape, "EVEN"}, {&o.Redistribution, "PROACTIVE"},
	} {
		if *d.at == "" {
			*d.at = d.to
		}
	}
	if o.Region != "" && len(o.Zones) == 0 {
		o.Zones = []string{o.Region + "-a", o.Region + "-b", o.Region + "-c"}
	}
	return o
}

// find is the group of a name in a place; nil: there is none.
func (c *Compute) find(in place, name string) *group {
	i := slices.IndexFunc(c.groups, func(g *group) bool { return g.in == in && (g.o.Name == name || fmt.Sprint(g.id) == name) })
	if i < 0 {
		return nil
	}
	return c.groups[i]
}

// link is the group's URL.
func (g *group) link() string {
	return g.c.link(g.in.String(), "instanceGroupManagers", g.o.Name)
}

// member is that of a name; nil: there is none.
func (g *group) member(name string) *managed {
	i := slices.IndexFunc(g.members, func(m *managed) bool { return m.name == name })
	if i < 0 {
		return nil
	}
	return g.members[i]
}

// freeName makes up a name as groups do: the base and four letters or digits.
func (g *group) freeName() string {
	const letters = "0123456789bcdfghjklmnpqrstvwxz"
	for {
		d, b := g.c.w.dice("name "+g.o.Name), make([]byte, 4)
		for i := range b {
			b[i] = letters[d.IntN(len(letters))]
		}
		if name := g.o.Base + "-" + string(b); g.member(name) == nil && g.c.vmNamed(name) == nil {
			return name
		}
	}
}

// manage adds a member whose VM is to be created.
func (g *group) manage(name, asked string) *managed {
	w := g.c.w
	m := &managed{name: name, zone: g.emptiest(nil), template: g.template, asked: asked, action: actionCreating}
	m.next = w.at.Add(between(w.dice("create "+name), time.Second, 3*time.Second))
	m.vanishes = w.befalls("accepted_then_gone", name)
	if w.befalls("list_lag", name) {
		m.shown = w.at.Add(listLag)
	}
	g.left = slices.DeleteFunc(g.left, func(o *managed) bool { return o.name == name })
	g.members = append(g.members, m)
	g.calm = w.at
	return m
}

// listLag is how late lists are where that fault befalls.
const listLag = 30 * time.Second

// emptiest is the zone with the fewest members that stay. Members that cannot be
// created count: where the shape is EVEN, a zone without stock keeps its share waiting.
// Shapes that are ANY fill the first zone; not is a zone that is not wanted.
func (g *group) emptiest(not []string) string {
	best, least := "", -1
	for _, z := range g.zones {
		if slices.Contains(not, z) && len(g.zones) > 1 {
			continue
		}
		if n := g.count(z); least < 0 || n < least {
			best, least = z, n
		}
		if g.o.Shape == "ANY" || g.o.Shape == "ANY_SINGLE_ZONE" {
			break
		}
	}
	return best
}

// count counts a zone's members that stay.
func (g *group) count(zone string) int {
	n := 0
	for _, m := range g.members {
		if m.zone == zone && m.stays() {
			n++
		}
	}
	return n
}

func (m *managed) stays() bool { return m.action != actionDeleting && m.action != actionAbandoning }

// leave begins a member's end, or its abandonment, and lowers the target that it is of.
func (g *group) leave(m *managed, action string) {
	if m.rest == "" {
		g.target--
	}
	g.drop(m, action)
}

// forget lets a member go; lists may linger.
func (g *group) forget(m *managed) {
	g.members = slices.DeleteFunc(g.members, func(o *managed) bool { return o == m })
	g.calm = g.c.w.at
	if !m.shown.IsZero() {
		m.forgotten, m.vm = g.c.w.at.Add(listLag), nil
		g.left = append(g.left, m)
	}
}

// settle lets happen to the group what is due.
func (g *group) settle() {
	for _, m := range slices.Clone(g.members) {
		g.settleMember(m)
	}
	g.left = slices.DeleteFunc(g.left, func(m *managed) bool { return g.c.w.due(m.forgotten) })
	g.redistribute()
	g.roll()
	if g.scaler != nil {
		g.scaler.settle()
	}
}

// settleMember takes the next step of what the group is doing about a member.
func (g *group) settleMember(m *managed) {
	w := g.c.w
	switch m.action {
	case actionCreating:
		g.create(m)
	case actionRecreating:
		if m.vm == nil || m.vm != m.old {
			g.create(m)
		} else if w.due(m.next) {
			g.c.end(m.vm)
		}
	case actionDeleting:
		if m.vm == nil {
			g.forget(m)
		} else if w.due(m.next) {
			g.c.end(m.vm)
		}
	case actionAbandoning:
		if w.due(m.next) {
			if m.vm != nil {
				m.vm.group = nil
			}
			g.forget(m)
		}
	case actionRestarting:
		g.restart(m)
	case actionStopping, actionSuspending, actionStarting, actionResuming:
		g.settleRest(m)
	case actionVerifying, actionNone:
		if m.rest == "" {
			g.watch(m)
		}
	}
}

// created is what becomes of a member whose VM runs.
func (g *group) created(m *managed) {
	m.action, m.errors, m.tries, m.running = actionNone, nil, 0, g.c.w.at
	if g.o.HealthCheck != "" {
		m.action = actionVerifying
	}
	m.healthy, m.sick = time.Time{}, time.Time{}
	g.calm = g.c.w.at
}

// drop begins the end of a member's VM, after the draining time of the backend
// service if it serves.
func (g *group) drop(m *managed, action string) {
	m.action, m.next, m.old = action, g.c.w.at, m.vm
	if m.vm != nil && m.vm.m.serving() {
		m.next = g.c.w.at.Add(g.o.Draining)
	}
	g.calm = g.c.w.at
}

// restart halts a VM and starts it again.
func (g *group) restart(m *managed) {
	switch {
	case m.vm == nil:
		m.action = actionCreating
	case m.next.IsZero():
		if m.vm.status() == "RUNNING" {
			g.created(m)
		}
	case g.c.w.due(m.next):
		g.c.w.halt(m.vm.m)
		m.vm.start()
		m.next = time.Time{}
	}
}

// watch heals: a VM that somebody stopped or deleted, or one that fails its health
// check for 30 s after its initial delay, is made again under its name. Assumed: the
// check asks every 10 s and wants three answers alike, and a stopped VM is noticed
// within the minute.
func (g *group) watch(m *managed) {
	w := g.c.w
	g.check(m)
	missing := m.vm == nil || m.vm.status() == "TERMINATED"
	if missing && m.noticed.IsZero() {
		m.noticed = w.at.Add(between(w.dice("notice "+m.name), 10*time.Second, time.Minute))
	}
	if !missing {
		m.noticed = time.Time{}
	}
	sick := !m.sick.IsZero() && w.at.Sub(m.running) > g.o.InitialDelay && w.at.Sub(m.sick) >= 30*time.Second
	if (sick || w.due(m.noticed)) && g.o.OnFailure != "DO_NOTHING" {
		m.noticed = time.Time{}
		g.drop(m, actionRecreating)
	}
}

// check asks a member by the health check, as far as the world knows.
func (g *group) check(m *managed) {
	w := g.c.w
	if g.o.HealthCheck == "" {
		m.action, m.healthy, m.sick = actionNone, time.Time{}, time.Time{}
		return
	}
	if m.vm == nil {
		return
	}
	if !m.vm.m.serving() {
		m.healthy = time.Time{}
		if m.sick.IsZero() {
			m.sick = w.at
		}
		return
	}
	m.sick = time.Time{}
	if m.healthy.IsZero() {
		m.healthy = w.at
	}
	if m.action == actionVerifying && w.at.Sub(m.healthy) >= 20*time.Second {
		m.action = actionNone
	}
}
