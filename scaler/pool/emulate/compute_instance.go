package emulate

import (
	"net/http"
	"path"
	"regexp"
	"strings"

	compute "google.golang.org/api/compute/v1"
)

// showVM writes an instance as the API does.
func (c *Compute) showVM(v *vm) *compute.Instance {
	out := &compute.Instance{
		Kind: "compute#instance", Id: v.id, Name: v.name, Zone: c.link("zones", v.zone), Status: v.status(),
		CreationTimestamp: stamp(v.m.born), LastStartTimestamp: stamp(v.started), SelfLink: c.instanceLink(v.zone, v.name),
		MachineType: c.link("zones", v.zone, "machineTypes", v.kind), Labels: v.labels, Metadata: c.metadata(v),
	}
	n := &compute.NetworkInterface{Kind: "compute#networkInterface", Name: "nic0", Network: c.link("global/networks/default")}
	if a := v.m.addr; a.IsValid() {
		n.NetworkIP = a.String()
	}
	out.NetworkInterfaces = []*compute.NetworkInterface{n}
	return out
}

// metadata are the template's, and who made the instance from what.
func (c *Compute) metadata(v *vm) *compute.Metadata {
	md := &compute.Metadata{Kind: "compute#metadata"}
	add := func(key, value string) { md.Items = append(md.Items, &compute.MetadataItems{Key: key, Value: &value}) }
	if v.m.userData != "" {
		add("user-data", v.m.userData)
	}
	if v.group != nil {
		add("instance-template", strings.TrimPrefix(c.link("global/instanceTemplates", v.template), "https://www.googleapis.com/compute/v1/"))
		add("created-by", strings.TrimPrefix(v.group.link(), "https://www.googleapis.com/compute/v1/"))
	}
	return md
}

func (c *Compute) getInstance(r *http.Request) (any, error) {
	zone, name := r.PathValue("place"), r.PathValue("instance")
	if v := c.vmIn(zone, name); v != nil {
		return c.showVM(v), nil
	}
	return nil, notFound("projects/" + c.o.Project + "/zones/" + zone + "/instances/" + name)
}

// deleteInstance deletes one behind its group's back, whose target stays: the group
// makes it again unless it is to do nothing on failures.
func (c *Compute) deleteInstance(r *http.Request) (any, error) {
	zone, name := r.PathValue("place"), r.PathValue("instance")
	v := c.vmIn(zone, name)
	what := "projects/" + c.o.Project + "/zones/" + zone + "/instances/" + name
	if v == nil {
		return nil, notFound(what)
	}
	check := func() error {
		if c.w.befalls("pending_event", subject(r)) {
			return notReady(what)
		}
		return nil
	}
	o := operation{kind: "delete", target: c.instanceLink(zone, name), targetID: v.id, in: placeOf(r), apply: func() *failure {
		c.end(v)
		return nil
	}}
	return c.operate(r, o, check)
}

// listInstances lists a zone's, by name.
func (c *Compute) listInstances(r *http.Request) (any, error) {
	keep, err := parseFilter(r.URL.Query().Get("filter"))
	if err != nil {
		return nil, err
	}
	var all []*compute.Instance
	for _, v := range c.vms {
		show := c.showVM(v)
		fields := map[string]string{"name": show.Name, "status": show.Status, "zone": show.Zone, "machineType": show.MachineType}
		for k, l := range show.Labels {
			fields["labels."+k] = l
		}
		m := v.managedBy()
		if v.zone == r.PathValue("place") && keep(fields) && (m == nil || !m.shown.After(c.w.at)) {
			all = append(all, show)
		}
	}
	if c.w.befalls("partial_list", subject(r)) {
		all = all[:len(all)/2]
	}
	all, next, err := cutPage(r, all, 500)
	return &compute.InstanceList{Kind: "compute#instanceList", Items: all, NextPageToken: next}, err
}

// A term of a filter is a field, how it is compared, and a value.
var filterTerm = regexp.MustCompile(`^\(?\s*([A-Za-z.\-_0-9]+)\s*(=|!=|:|\beq\b|\bne\b)\s*("[^"]*"|[^\s"()]+)\s*\)?$`)

// parseFilter reads the part of Google's filters that is understood here: terms
// joined by AND, as name=web-1, name:web-*, name eq web-.*, labels.role=app. What is
// not understood is refused, not ignored.
func parseFilter(s string) (func(fields map[string]string) bool, error) {
	type term struct {
		field string
		is    bool
		value *regexp.Regexp
	}
	var terms []term
	for _, part := range strings.Split(s, " AND ") {
		if strings.TrimSpace(s) == "" {
			break
		}
		m := filterTerm.FindStringSubmatch(strings.TrimSpace(part))
		if m == nil {
			return nil, invalid("Invalid value for field 'filter': '%s'. Invalid list filter expression.", s)
		}
		value := strings.Trim(m[3], `"`)
		switch m[2] {
		case "=", "!=":
			value = regexp.QuoteMeta(value)
		case ":":
			value = strings.ReplaceAll(regexp.QuoteMeta(value), `\*`, ".*")
		}
		re, err := regexp.Compile("^(?:" + value + ")$")
		if err != nil {
			return nil, invalid("Invalid value for field 'filter': '%s'. Invalid list filter expression.", s)
		}
		terms = append(terms, term{m[1], m[2] != "!=" && m[2] != "ne", re})
	}
	return func(fields map[string]string) bool {
		for _, t := range terms {
			if t.value.MatchString(fields[t.field]) != t.is {
				return false
			}
		}
		return true
	}, nil
}

func (c *Compute) getTemplate(r *http.Request) (any, error) {
	if t := c.template(r.PathValue("template")); t != nil {
		return t, nil
	}
	return nil, notFound("projects/" + c.o.Project + "/global/instanceTemplates/" + r.PathValue("template"))
}

// getMachineType tells a type's size. Assumed: 4 GiB for each CPU.
func (c *Compute) getMachineType(r *http.Request) (any, error) {
	zone, name := r.PathValue("place"), r.PathValue("type")
	cpus := c.cpus(name)
	if cpus == 0 {
		return nil, notFound("projects/" + c.o.Project + "/zones/" + zone + "/machineTypes/" + name)
	}
	return &compute.MachineType{
		Kind: "compute#machineType", Name: name, GuestCpus: cpus, MemoryMb: cpus * 4096, Zone: zone,
		SelfLink: c.link("zones", zone, "machineTypes", name),
	}, nil
}

// getPlace tells a zone, or a region with its quotas: such as a group is in.
func (c *Compute) getPlace(r *http.Request) (any, error) {
	in := placeOf(r)
	var zones []string
	for _, g := range c.groups {
		zones = append(zones, g.zones...)
	}
	region := &compute.Region{Kind: "compute#region", Name: in.name, Status: "UP", SelfLink: c.link(in.String()), Quotas: c.quotas(in.name)}
	for _, z := range zones {
		if in == (place{"zones", z}) {
			return &compute.Zone{Kind: "compute#zone", Name: z, Status: "UP", Region: c.link("regions", regionOf(z)), SelfLink: c.link(in.String())}, nil
		}
		if in == (place{"regions", regionOf(z)}) {
			region.Zones = append(region.Zones, c.link("zones", z))
		}
	}
	if len(region.Zones) == 0 {
		return nil, notFound("projects/" + c.o.Project + "/" + path.Join(in.kind, in.name))
	}
	return region, nil
}
