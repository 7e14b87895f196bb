package emulate

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	compute "google.golang.org/api/compute/v1"
)

// mostInstances is how many instances one request may name, mostMembers how many a
// group may have.
const (
	mostInstances = 1000
	mostMembers   = 4000
)

// namePattern is that of RFC 1035, as Google wants all names.
var namePattern = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)

// actOnGroup is every POST to a group.
func (c *Compute) actOnGroup(r *http.Request) (any, error) {
	g, err := c.groupOf(r)
	if err != nil {
		return nil, err
	}
	verb := r.PathValue("verb")
	if verb == "listManagedInstances" {
		return g.listManaged(r)
	}
	act, isKnown := map[string]method{
		"createInstances": g.createInstances, "deleteInstances": g.deleteInstances, "abandonInstances": g.abandonInstances,
		"recreateInstances": g.recreateInstances, "applyUpdatesToInstances": g.applyUpdates,
		"stopInstances": g.stopInstances, "startInstances": g.startInstances,
		"suspendInstances": g.suspendInstances, "resumeInstances": g.resumeInstances,
		"resize": g.resize, "setInstanceTemplate": g.setTemplate,
	}[verb]
	if !isKnown {
		return nil, notFound(r.URL.Path)
	}
	if c.w.befalls("pending_event", subject(r)) {
		return nil, notReady(strings.TrimPrefix(g.link(), "https://www.googleapis.com/compute/v1/"))
	}
	return act(r)
}

// groupOf is the group that a request is about.
func (c *Compute) groupOf(r *http.Request) (*group, error) {
	in, name := placeOf(r), r.PathValue("group")
	if g := c.find(in, name); g != nil {
		return g, nil
	}
	return nil, notFound("projects/" + c.o.Project + "/" + in.String() + "/instanceGroupManagers/" + name)
}

// ask begins an operation on the group.
func (g *group) ask(r *http.Request, kind string, check func() error, apply func() *failure) (any, error) {
	o := operation{kind: "compute.instanceGroupManagers." + kind, target: g.link(), targetID: g.id, in: g.in, apply: apply}
	return g.c.operate(r, o, check)
}

// createInstances makes members of the names that are given. Assumed: a name that a
// member has, also one that is leaving, refuses the whole request with 409; if it was
// taken meanwhile, the operation fails, and nothing is made.
func (g *group) createInstances(r *http.Request) (any, error) {
	var q compute.InstanceGroupManagersCreateInstancesRequest
	if err := readJSON(r, &q); err != nil {
		return nil, err
	}
	names, asked := []string{}, subject(r)
	check := func() error { return g.checkNames(q.Instances) }
	return g.ask(r, "createInstances", check, func() *failure {
		for _, i := range q.Instances {
			if g.member(i.Name) != nil {
				return &failure{"RESOURCE_ALREADY_EXISTS", fmt.Sprintf("Instance '%s' already exists in the managed instance group '%s'.", i.Name, g.o.Name)}
			}
			names = append(names, i.Name)
		}
		g.add(names, asked)
		return nil
	})
}

func (g *group) checkNames(is []*compute.PerInstanceConfig) error {
	if len(is) == 0 || len(is) > mostInstances {
		return invalid("Invalid value for field 'resource.instances': ''. It must name 1 to %d instances, not %d.", mostInstances, len(is))
	}
	if g.target+len(is) > mostMembers {
		return checkSize(int64(g.target + len(is)))
	}
	seen := map[string]bool{}
	for n, i := range is {
		if i == nil || !namePattern.MatchString(i.Name) || seen[i.Name] {
			return invalid("Invalid value for field 'resource.instances[%d].name'. Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)', and stand once.", n)
		}
		seen[i.Name] = true
		if g.member(i.Name) != nil {
			return &computeError{http.StatusConflict, "alreadyExists", fmt.Sprintf("The instance '%s' already exists in the managed instance group '%s'", i.Name, g.o.Name)}
		}
	}
	return nil
}

// add makes members and raises the target. half_create bars every second of several.
func (g *group) add(names []string, asked string) {
	half := len(names) > 1 && g.c.w.befalls("half_create", asked)
	for i, n := range names {
		m := g.manage(n, asked)
		m.barred = half && i%2 == 1
	}
	g.target += len(names)
}

// A selection is the members that a request names by the URLs of their instances.
type selection struct {
	urls []string
	skip bool // those that are not members, or are leaving
}

// check refuses what the operation is not begun for: URLs that are none, and ones of
// other places.
func (s selection) check(g *group) error {
	if len(s.urls) == 0 || len(s.urls) > mostInstances {
		return invalid("Invalid value for field 'resource.instances': ''. It must name 1 to %d instances, not %d.", mostInstances, len(s.urls))
	}
	for i, u := range s.urls {
		zone, name, err := splitInstance(u)
		if err != nil || !slices.Contains(g.zones, zone) || !namePattern.MatchString(name) {
			return invalid("Invalid value for field 'resource.instances[%d]': '%s'. The URL is malformed, or in another place than the group.", i, u)
		}
	}
	return nil
}

// splitInstance takes zone and name from an instance's URL, whole or partial.
func splitInstance(u string) (zone, name string, err error) {
	parts := strings.Split(u, "/")
	n := len(parts)
	if n < 4 || parts[n-4] != "zones" || parts[n-2] != "instances" {
		return "", "", fmt.Errorf("split %q: it is not zones/ZONE/instances/NAME", u)
	}
	return parts[n-3], parts[n-1], nil
}

// members finds them. Without skip, one that is none, or is leaving, fails the whole
// operation; its code is assumed.
func (s selection) members(g *group) ([]*managed, *failure) {
	var out []*managed
	for _, u := range s.urls {
		zone, name, _ := splitInstance(u) // checked before
		m := g.member(name)
		switch {
		case m != nil && m.zone == zone && m.stays():
			if !slices.Contains(out, m) {
				out = append(out, m)
			}
		case !s.skip:
			return nil, &failure{"RESOURCE_NOT_FOUND", fmt.Sprintf("The instance 'projects/%s/zones/%s/instances/%s' is not a member of '%s', or is being deleted or abandoned.", g.c.o.Project, zone, name, g.o.Name)}
		}
	}
	return out, nil
}

// onMembers begins an operation that does something to members, each.
func (g *group) onMembers(r *http.Request, kind string, s selection, do func(m *managed)) (any, error) {
	check := func() error { return s.check(g) }
	return g.ask(r, kind, check, func() *failure {
		ms, f := s.members(g)
		for _, m := range ms {
			do(m)
		}
		return f
	})
}

// deleteInstances deletes members, and lowers the target itself.
func (g *group) deleteInstances(r *http.Request) (any, error) {
	var q compute.InstanceGroupManagersDeleteInstancesRequest
	if err := readJSON(r, &q); err != nil {
		return nil, err
	}
	return g.onMembers(r, "deleteInstances", selection{q.Instances, q.SkipInstancesOnValidationError}, func(m *managed) {
		g.leave(m, actionDeleting)
	})
}

// abandonInstances lets VMs go on outside the group, and lowers the target.
func (g *group) abandonInstances(r *http.Request) (any, error) {
	var q compute.InstanceGroupManagersAbandonInstancesRequest
	if err := readJSON(r, &q); err != nil {
		return nil, err
	}
	return g.onMembers(r, "abandonInstances", selection{urls: q.Instances}, func(m *managed) {
		g.leave(m, actionAbandoning)
	})
}

// recreateInstances deletes VMs and makes them again under their names, from the
// group's template as it is now.
func (g *group) recreateInstances(r *http.Request) (any, error) {
	var q compute.InstanceGroupManagersRecreateInstancesRequest
	if err := readJSON(r, &q); err != nil {
		return nil, err
	}
	return g.onMembers(r, "recreateInstances", selection{urls: q.Instances}, g.renew)
}

// renew recreates a member from the group's template. One that rests is let rest.
func (g *group) renew(m *managed) {
	if m.rest != "" {
		return
	}
	m.template = g.template
	g.drop(m, actionRecreating)
}

// applyUpdates brings members to the group's template, or does at least the minimal
// action. Assumed: members are replaced under their names.
func (g *group) applyUpdates(r *http.Request) (any, error) {
	var q compute.InstanceGroupManagersApplyUpdatesRequest
	if err := readJSON(r, &q); err != nil {
		return nil, err
	}
	if q.AllInstances == (len(q.Instances) > 0) {
		return nil, invalid("Invalid value for field 'resource.allInstances': '%v'. Either it is true or instances are named.", q.AllInstances)
	}
	if q.AllInstances {
		for _, m := range g.members {
			q.Instances = append(q.Instances, g.c.instanceLink(m.zone, m.name))
		}
	}
	return g.onMembers(r, "applyUpdatesToInstances", selection{q.Instances, q.AllInstances}, func(m *managed) {
		switch {
		case m.template != g.template && q.MostDisruptiveAllowedAction != "NONE", q.MinimalAction == "REPLACE":
			g.renew(m)
		case q.MinimalAction == "RESTART" && m.rest == "":
			g.drop(m, actionRestarting)
		}
	})
}

// resize sets the target. Whom it deletes is arbitrary; see [group.shrink].
func (g *group) resize(r *http.Request) (any, error) {
	size, err := strconv.Atoi(r.URL.Query().Get("size"))
	if err != nil {
		return nil, invalid("Invalid value for field 'size': '%s'. Must be a number.", r.URL.Query().Get("size"))
	}
	asked := subject(r)
	check := func() error {
		if err := checkSize(int64(size)); err != nil {
			return err
		}
		if g.scaler != nil && g.scaler.policy.Mode != "OFF" {
			return conditionNotMet("Resizing of autoscaled managed instance groups is not allowed. Please remove the autoscaler or set its mode to OFF.")
		}
		return nil
	}
	return g.ask(r, "resize", check, func() *failure {
		g.setSize(size, asked)
		return nil
	})
}

func checkSize(size int64) error {
	if size < 0 || size > mostMembers {
		return invalid("Invalid value for field 'size': '%d'. Must be 0 to %d.", size, mostMembers)
	}
	return nil
}

// setSize brings the group to a size, with names that it gives.
func (g *group) setSize(size int, asked string) {
	var names []string
	for len(names) < size-g.target {
		if n := g.freeName(); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	g.shrink(g.target - size)
	g.add(names, asked)
}

// shrink deletes n members: such as have no VM first, then such as are sick, then by
// the dice.
func (g *group) shrink(n int) {
	for ; n > 0; n-- {
		var best *managed
		var least float64
		for _, m := range g.members {
			if rank := g.rank(m); m.stays() && m.rest == "" && (best == nil || rank < least) {
				best, least = m, rank
			}
		}
		if best == nil {
			return
		}
		g.leave(best, actionDeleting)
	}
}

func (g *group) rank(m *managed) float64 {
	by := g.c.w.dice("shrink " + m.name).Float64()
	switch {
	case m.vm == nil || m.action != actionNone:
		return by
	case !m.sick.IsZero():
		return 1 + by
	}
	return 2 + by - float64(g.count(m.zone))/1e6
}

// setTemplate changes what new members are made from. Members stay as they are, unless
// the update policy is proactive.
func (g *group) setTemplate(r *http.Request) (any, error) {
	var q compute.InstanceGroupManagersSetInstanceTemplateRequest
	if err := readJSON(r, &q); err != nil {
		return nil, err
	}
	return g.ask(r, "setInstanceTemplate", func() error { return g.checkTemplate(q.InstanceTemplate) }, func() *failure {
		g.useTemplate(q.InstanceTemplate)
		return nil
	})
}

// decodeOnto reads a JSON merge patch onto a value: what it does not name stays.
func decodeOnto[T any](r *http.Request, was T) (T, error) {
	old, err := json.Marshal(was)
	if err != nil {
		return was, err
	}
	var now T
	if err := json.Unmarshal(old, &now); err != nil {
		return was, err
	}
	return now, readJSON(r, &now)
}
