package emulate

import (
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"net/http"
	"path"
	"strconv"
	"time"

	compute "google.golang.org/api/compute/v1"
)

// fingerprint changes whenever the configuration does; sizes are none of it.
func (g *group) fingerprint() string {
	h := fnv.New64a()
	fmt.Fprint(h, g.id, g.edition)
	return base64.URLEncoding.EncodeToString(h.Sum(nil))
}

// show writes a group as the API does.
func (g *group) show() *compute.InstanceGroupManager {
	template := g.c.link("global/instanceTemplates", g.template)
	out := &compute.InstanceGroupManager{
		Kind: "compute#instanceGroupManager", Id: g.id, Name: g.o.Name, CreationTimestamp: stamp(g.born),
		BaseInstanceName: g.o.Base, InstanceTemplate: template, Fingerprint: g.fingerprint(), SelfLink: g.link(),
		InstanceGroup:               g.c.link(g.in.String(), "instanceGroups", g.o.Name),
		Versions:                    []*compute.InstanceGroupManagerVersion{{InstanceTemplate: template, TargetSize: &compute.FixedOrPercent{Calculated: int64(g.target)}}},
		TargetSize:                  int64(g.target),
		TargetStoppedSize:           g.resting(actionStopping),
		TargetSuspendedSize:         g.resting(actionSuspending),
		ListManagedInstancesResults: "PAGELESS",
		CurrentActions:              g.actions(),
		Status:                      g.status(),
		UpdatePolicy:                &g.policy,
		InstanceLifecyclePolicy:     &compute.InstanceGroupManagerInstanceLifecyclePolicy{DefaultActionOnFailure: g.o.OnFailure, ForceUpdateOnRepair: "NO"},
		ForceSendFields:             []string{"TargetSize"},
	}
	if g.o.Paginated {
		out.ListManagedInstancesResults = "PAGINATED"
	}
	if g.o.HealthCheck != "" {
		out.AutoHealingPolicies = []*compute.InstanceGroupManagerAutoHealingPolicy{{HealthCheck: g.healthCheck(), InitialDelaySec: int64(g.o.InitialDelay.Seconds())}}
	}
	if g.in.kind == "zones" {
		out.Zone = g.c.link(g.in.String())
		return out
	}
	out.Region = g.c.link(g.in.String())
	out.DistributionPolicy = &compute.DistributionPolicy{TargetShape: g.o.Shape}
	for _, z := range g.zones {
		out.DistributionPolicy.Zones = append(out.DistributionPolicy.Zones, &compute.DistributionPolicyZoneConfiguration{Zone: g.c.link("zones", z)})
	}
	return out
}

func (g *group) healthCheck() string { return g.c.link("global/healthChecks", g.o.HealthCheck) }

// actions counts members by what is being done about them.
func (g *group) actions() *compute.InstanceGroupManagerActionsSummary {
	s := &compute.InstanceGroupManagerActionsSummary{ForceSendFields: []string{
		"Abandoning", "Creating", "CreatingWithoutRetries", "Deleting", "None", "Recreating", "Refreshing", "Restarting", "Verifying",
	}}
	at := map[string]*int64{
		actionNone: &s.None, actionCreating: &s.Creating, actionVerifying: &s.Verifying, actionDeleting: &s.Deleting,
		actionAbandoning: &s.Abandoning, actionRecreating: &s.Recreating, actionRestarting: &s.Restarting,
		actionStopping: &s.Stopping, actionSuspending: &s.Suspending, actionStarting: &s.Starting, actionResuming: &s.Resuming,
	}
	for _, m := range g.members {
		*at[m.action]++
	}
	return s
}

// status says whether nothing is under way, and who scales the group.
func (g *group) status() *compute.InstanceGroupManagerStatus {
	s := &compute.InstanceGroupManagerStatus{
		IsStable: true, VersionTarget: &compute.InstanceGroupManagerStatusVersionTarget{IsReached: true, ForceSendFields: []string{"IsReached"}},
		ForceSendFields: []string{"IsStable"},
	}
	for _, m := range g.members {
		s.IsStable = s.IsStable && m.action == actionNone
		s.VersionTarget.IsReached = s.VersionTarget.IsReached && m.template == g.template
	}
	if g.scaler != nil {
		s.Autoscaler = g.scaler.link()
	}
	return s
}

func (c *Compute) getGroup(r *http.Request) (any, error) {
	g, err := c.groupOf(r)
	if err != nil {
		return nil, err
	}
	return g.show(), nil
}

func (c *Compute) listGroups(r *http.Request) (any, error) {
	var items []*compute.InstanceGroupManager
	for _, g := range c.groups {
		if g.in == placeOf(r) {
			items = append(items, g.show())
		}
	}
	items, next, err := cutPage(r, items, 500)
	return &compute.InstanceGroupManagerList{Kind: "compute#instanceGroupManagerList", Items: items, NextPageToken: next}, err
}

// cutPage cuts a page from a list by maxResults and pageToken. A token is where the next
// page begins.
func cutPage[T any](r *http.Request, all []T, size int) ([]T, string, error) {
	q := r.URL.Query()
	if s := q.Get("maxResults"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || n > 500 {
			return nil, "", invalid("Invalid value for field 'maxResults': '%s'. Must be a number of 0 to 500.", s)
		}
		if n > 0 {
			size = n
		}
	}
	from := 0
	if s := q.Get("pageToken"); s != "" {
		b, err := base64.URLEncoding.DecodeString(s)
		if err == nil {
			from, err = strconv.Atoi(string(b))
		}
		if err != nil || from < 0 {
			return nil, "", invalid("Invalid value for field 'pageToken': '%s'.", s)
		}
	}
	from = min(from, len(all))
	to := min(from+size, len(all))
	next := ""
	if to < len(all) {
		next = base64.URLEncoding.EncodeToString([]byte(strconv.Itoa(to)))
	}
	return all[from:to], next, nil
}

// listManaged lists members. A group without pages gives all of them, whatever is
// asked about pages.
func (g *group) listManaged(r *http.Request) (any, error) {
	keep, err := parseFilter(r.URL.Query().Get("filter"))
	if err != nil {
		return nil, err
	}
	var all []*compute.ManagedInstance
	for _, m := range append(append([]*managed(nil), g.members...), g.left...) {
		if show := g.showManaged(m); !m.shown.After(g.c.w.at) && keep(managedFields(show)) {
			all = append(all, show)
		}
	}
	if g.c.w.befalls("partial_list", subject(r)) {
		all = all[:len(all)/2]
	}
	next := ""
	if g.o.Paginated {
		if all, next, err = cutPage(r, all, 500); err != nil {
			return nil, err
		}
	}
	return &compute.InstanceGroupManagersListManagedInstancesResponse{ManagedInstances: all, NextPageToken: next}, nil
}

// showManaged writes a member. Its instance's URL is there before the instance is.
func (g *group) showManaged(m *managed) *compute.ManagedInstance {
	out := &compute.ManagedInstance{
		Name: m.name, Instance: g.c.instanceLink(m.zone, m.name), CurrentAction: m.action,
		Version: &compute.ManagedInstanceVersion{InstanceTemplate: g.c.link("global/instanceTemplates", m.template)},
	}
	if m.vm != nil {
		out.Id, out.InstanceStatus = m.vm.id, m.vm.status()
		if g.o.HealthCheck != "" {
			out.InstanceHealth = []*compute.ManagedInstanceInstanceHealth{{HealthCheck: g.healthCheck(), DetailedHealthState: m.health()}}
		}
	}
	if !m.forgotten.IsZero() {
		out.InstanceStatus = "STOPPING"
	}
	if len(m.errors) > 0 {
		out.LastAttempt = &compute.ManagedInstanceLastAttempt{Errors: &compute.ManagedInstanceLastAttemptErrors{Errors: m.errors}}
	}
	return out
}

// health is what the health check thinks of a member.
func (m *managed) health() string {
	switch {
	case m.action == actionVerifying && m.healthy.IsZero():
		return "UNKNOWN"
	case !m.sick.IsZero():
		return "UNHEALTHY"
	}
	return "HEALTHY"
}

func managedFields(m *compute.ManagedInstance) map[string]string {
	return map[string]string{
		"name": m.Name, "instance": m.Instance, "currentAction": m.CurrentAction, "instanceStatus": m.InstanceStatus, "status": m.InstanceStatus,
	}
}

// listErrors lists what failed, newest first.
func (c *Compute) listErrors(r *http.Request) (any, error) {
	g, err := c.groupOf(r)
	if err != nil {
		return nil, err
	}
	var all []*compute.InstanceManagedByIgmError
	for i := len(g.errors) - 1; i >= 0; i-- {
		all = append(all, g.errors[i])
	}
	all, next, err := cutPage(r, all, 500)
	return &compute.InstanceGroupManagersListErrorsResponse{Items: all, NextPageToken: next}, err
}

// checkTemplate refuses a template that is not there.
func (g *group) checkTemplate(url string) error {
	if g.c.template(url) == nil {
		return notFound("projects/" + g.c.o.Project + "/global/instanceTemplates/" + path.Base(url))
	}
	return nil
}

func (g *group) useTemplate(url string) {
	g.template = path.Base(url)
	g.edition++
}

// patchGroup merges what is given into the group's configuration: its template,
// versions (the first counts), update policy, autohealing, shape, pages and size. A fingerprint that is given must be the current one.
func (c *Compute) patchGroup(r *http.Request) (any, error) {
	g, err := c.groupOf(r)
	if err != nil {
		return nil, err
	}
	old := g.show()
	now, err := decodeOnto(r, *old)
	if err != nil {
		return nil, err
	}
	template := now.InstanceTemplate
	if template == old.InstanceTemplate && len(now.Versions) > 0 && now.Versions[0] != nil {
		template = now.Versions[0].InstanceTemplate
	}
	check := func() error {
		if now.Fingerprint != g.fingerprint() {
			return conditionNotMet("Invalid fingerprint.")
		}
		if err := checkSize(now.TargetSize); err != nil {
			return err
		}
		return g.checkTemplate(template)
	}
	asked := subject(r)
	return g.ask(r, "patch", check, func() *failure {
		g.configure(&now)
		g.useTemplate(template)
		if now.TargetSize != old.TargetSize {
			g.setSize(int(now.TargetSize), asked)
		}
		return nil
	})
}

// configure takes over what can be changed of a group.
func (g *group) configure(now *compute.InstanceGroupManager) {
	if now.UpdatePolicy != nil {
		g.policy = *now.UpdatePolicy
		g.o.Redistribution = g.policy.InstanceRedistributionType
	}
	if l := now.InstanceLifecyclePolicy; l != nil && l.DefaultActionOnFailure != "" {
		g.o.OnFailure = l.DefaultActionOnFailure
	}
	if now.DistributionPolicy != nil && now.DistributionPolicy.TargetShape != "" {
		g.o.Shape = now.DistributionPolicy.TargetShape
	}
	g.o.HealthCheck, g.o.InitialDelay = "", 0
	if len(now.AutoHealingPolicies) > 0 && now.AutoHealingPolicies[0] != nil && now.AutoHealingPolicies[0].HealthCheck != "" {
		p := now.AutoHealingPolicies[0]
		g.o.HealthCheck, g.o.InitialDelay = path.Base(p.HealthCheck), time.Duration(p.InitialDelaySec)*time.Second
	}
	g.o.Paginated = now.ListManagedInstancesResults == "PAGINATED"
}
