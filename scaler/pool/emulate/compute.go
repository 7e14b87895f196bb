package emulate

import (
	"crypto/rsa"
	"fmt"
	"net/http"
	"path"
	"slices"
	"time"

	compute "google.golang.org/api/compute/v1"
)

// ComputeOptions say what a Compute has at the start.
type ComputeOptions struct {
	Project     string             // default "emulated"
	Groups      []ComputeGroup     // default one of the name web in us-central1-a
	Templates   []ComputeTemplate  // default one for each that a group names
	Token       string             // that is accepted beside those that were given for credentials; "": any
	PerMinute   int                // requests, refilled on the minute; default 1,500
	Quotas      map[string]float64 // of every region, by metric: INSTANCES (default 1,000), CPUS (default 4,000)
	MachineCPUs map[string]int64   // virtual CPUs by machine type, beside those of e2 that are known
}

// A ComputeGroup is a managed instance group as it is at the start, its members
// running since an hour.
type ComputeGroup struct {
	Name           string
	Zone           string             // of a zonal group, as us-central1-a
	Region         string             // of a regional one
	Zones          []string           // of a regional one; default a, b and c of its region
	Template       string             // default the group's name
	Base           string             // beginning of names that the group gives; default the group's name
	Size           int                // members at the start
	Paginated      bool               // listManagedInstances answers in pages; else it ignores what is asked about them
	HealthCheck    string             // its name; "": nothing heals but what is stopped or deleted by hand
	InitialDelay   time.Duration      // that autohealing waits for a new member
	OnFailure      string             // REPAIR (default) or DO_NOTHING
	Shape          string             // EVEN (default), BALANCED, ANY or ANY_SINGLE_ZONE
	Redistribution string             // PROACTIVE (default of regional groups) or NONE
	Draining       time.Duration      // of the backend service: members leave so much later
	Autoscaler     *ComputeAutoscaler // nil: none
}

// A ComputeTemplate is what members are made from.
type ComputeTemplate struct {
	Name        string
	MachineType string // default e2-small
	UserData    string // metadata user-data
	Labels      map[string]string
}

// Compute emulates what Flyball asks of Google's Compute Engine API v1: managed
// instance groups of a zone or a region, their autoscalers, operations, instances,
// templates, quotas, and the end point that gives tokens to service accounts. Links
// in answers are Google's own, wherever it is served.
//
// What Google does not document is assumed, and named as such where it is done.
type Compute struct {
	w         *World
	o         ComputeOptions
	api, auth *service
	billed    Bill // of VMs that are gone
	groups    []*group
	templates []*compute.InstanceTemplate
	vms       []*vm // that exist, in the order of their making
	ops       []*operation
	keys      []*rsa.PublicKey     // of service accounts
	issued    map[string]time.Time // tokens given, and when they expire
	ids       uint64
	minute    time.Time
	asked     int // since minute
}

// NewCompute makes a Compute and adds it to the world. It panics if a group is in no
// place.
func NewCompute(w *World, o ComputeOptions) *Compute {
	if o.Project == "" {
		o.Project = "emulated"
	}
	if o.Groups == nil {
		o.Groups = []ComputeGroup{{Name: "web", Zone: "us-central1-a"}}
	}
	if o.PerMinute == 0 {
		o.PerMinute = 1500
	}
	c := &Compute{w: w, o: o, issued: map[string]time.Time{}, ids: 1_000_000_000_000_000_000}
	w.mu.Lock()
	for _, t := range o.Templates {
		c.addTemplate(t)
	}
	for _, g := range o.Groups {
		c.addGroup(g)
	}
	w.mu.Unlock()
	c.api = &service{api: c.routes(), settle: c.settle, accepts: c.accepts, count: c.count, refuse: refuseCompute}
	c.auth = &service{
		api: http.HandlerFunc(c.giveToken), settle: func() {}, accepts: func(string) bool { return true },
		count: func(*answer, *http.Request) bool { return true }, refuse: refuseCompute,
	}
	w.add(c.api)
	w.add(c.auth)
	return c
}

// addGroup makes a group with its members.
func (c *Compute) addGroup(o ComputeGroup) {
	if (o.Zone == "") == (o.Region == "") {
		panic(fmt.Sprintf("add group %q: it needs a zone or a region", o.Name))
	}
	g := newGroup(c, o)
	c.groups = append(c.groups, g)
	for range o.Size {
		m := g.manage(g.freeName(), "")
		g.boot(m)
		c.w.up(m.vm.m)
		m.vm.m.born = c.w.at.Add(-time.Hour)
		m.vm.started, m.running, m.action = m.vm.m.born, m.vm.m.born, actionNone
	}
	g.target = len(g.members)
	if o.Autoscaler != nil {
		g.scaler = newAutoscaler(g, *o.Autoscaler)
	}
}

// settle lets happen what is due.
func (c *Compute) settle() {
	c.runOperations()
	for _, g := range c.groups {
		g.settle()
	}
	for _, v := range slices.Clone(c.vms) {
		c.endIfDue(v)
	}
}

// id gives the next number, as resources have them.
func (c *Compute) id() uint64 {
	c.ids += 1 + c.w.dice("id").Uint64N(1_000_000)
	return c.ids
}

// link is the URL by which Google names a resource of the project.
func (c *Compute) link(parts ...string) string {
	return "https://www.googleapis.com/compute/v1/projects/" + c.o.Project + "/" + path.Join(parts...)
}

// addTemplate makes a template; it panics if there is one of that name.
func (c *Compute) addTemplate(t ComputeTemplate) {
	if c.template(t.Name) != nil {
		panic(fmt.Sprintf("add template %q: there is one", t.Name))
	}
	if t.MachineType == "" {
		t.MachineType = "e2-small"
	}
	p := &compute.InstanceProperties{MachineType: t.MachineType, Labels: t.Labels, Metadata: &compute.Metadata{Kind: "compute#metadata"}}
	if t.UserData != "" {
		p.Metadata.Items = []*compute.MetadataItems{{Key: "user-data", Value: &t.UserData}}
	}
	c.templates = append(c.templates, &compute.InstanceTemplate{
		Kind: "compute#instanceTemplate", Id: c.id(), Name: t.Name, CreationTimestamp: stamp(c.w.at),
		Properties: p, SelfLink: c.link("global/instanceTemplates", t.Name),
	})
}

// template finds one by its name or its URL; nil: there is none.
func (c *Compute) template(name string) *compute.InstanceTemplate {
	i := slices.IndexFunc(c.templates, func(t *compute.InstanceTemplate) bool { return t.Name == path.Base(name) })
	if i < 0 {
		return nil
	}
	return c.templates[i]
}

// stamp writes a time as Google does.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000-07:00") }

// A place is a zone, a region, or the whole project.
type place struct{ kind, name string } // zones, regions, or global, which has no name

func (p place) String() string { return path.Join(p.kind, p.name) }

// regionOf is a zone's region.
func regionOf(zone string) string {
	if len(zone) < 2 {
		return zone
	}
	return zone[:len(zone)-2]
}
