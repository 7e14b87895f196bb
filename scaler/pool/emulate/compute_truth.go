package emulate

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	compute "google.golang.org/api/compute/v1"
)

// A ComputeInstance is what is true of a VM, whatever lists say.
type ComputeInstance struct {
	ID       uint64
	Name     string
	Zone     string
	Template string
	Group    string // that manages it; "": none
	Action   string // what the group is doing about it; "": it is in none
	Status   string // PROVISIONING, STAGING, RUNNING, STOPPING, TERMINATED; "": there is no VM
	Addr     netip.Addr
	Born     time.Time // zero: there is no VM
	Serving  bool      // its program answers
	Resting  bool      // the group stopped or suspended it
}

// Instances is a snapshot of all VMs, and of members without one, by name.
func (c *Compute) Instances() []ComputeInstance {
	c.w.hold()
	defer c.w.mu.Unlock()
	var out []ComputeInstance
	for _, v := range c.vms {
		i := ComputeInstance{ID: v.id, Name: v.name, Zone: v.zone, Template: v.template, Status: v.status(), Addr: v.m.addr, Born: v.m.born, Serving: v.m.serving()}
		if m := v.managedBy(); m != nil {
			i.Group, i.Action, i.Resting = v.group.o.Name, m.action, m.rest != ""
		}
		out = append(out, i)
	}
	for _, g := range c.groups {
		for _, m := range g.members {
			if m.vm == nil {
				out = append(out, ComputeInstance{Name: m.name, Zone: m.zone, Template: m.template, Group: g.o.Name, Action: m.action, Resting: m.rest != ""})
			}
		}
	}
	slices.SortFunc(out, func(a, b ComputeInstance) int { return strings.Compare(a.Name+" "+a.Zone, b.Name+" "+b.Zone) })
	return out
}

// Target is a group's target size; it panics if there is no such group.
func (c *Compute) Target(group string) int {
	c.w.hold()
	defer c.w.mu.Unlock()
	return c.groupNamed(group).target
}

// AddTemplate makes another template.
func (c *Compute) AddTemplate(t ComputeTemplate) {
	c.w.hold()
	defer c.w.mu.Unlock()
	c.addTemplate(t)
}

// DeleteTemplate deletes one, which the API refuses for one that is in use and
// people do by other means all the same.
func (c *Compute) DeleteTemplate(name string) {
	c.w.hold()
	defer c.w.mu.Unlock()
	t := c.template(name)
	c.templates = slices.DeleteFunc(c.templates, func(o *compute.InstanceTemplate) bool { return o == t })
}

// SetQuota changes a metric's limit in every region, as INSTANCES or CPUS.
func (c *Compute) SetQuota(metric string, limit float64) {
	c.w.hold()
	defer c.w.mu.Unlock()
	quotas := map[string]float64{metric: limit}
	for m, l := range c.o.Quotas {
		if m != metric {
			quotas[m] = l
		}
	}
	c.o.Quotas = quotas
}

// SetLoad says what a group's members have to do, in whole members: its autoscaler
// recommends a size by it.
func (c *Compute) SetLoad(group string, members float64) {
	c.w.hold()
	defer c.w.mu.Unlock()
	g := c.groupNamed(group)
	if g.scaler == nil {
		panic(fmt.Sprintf("set the load of group %q: it has no autoscaler", group))
	}
	g.scaler.load, g.scaler.decides = members, c.w.at
}

// Kill ends the program in a VM; the VM runs on. It and its like say whether there is
// such a VM.
func (c *Compute) Kill(name string) bool { return c.byHand(name, func(v *vm) { c.w.kill(v.m) }) }

// StopByHand stops a VM, as somebody does at the console.
func (c *Compute) StopByHand(name string) bool { return c.byHand(name, func(v *vm) { c.w.halt(v.m) }) }

// DeleteByHand deletes a VM, as somebody does at the console. Its group makes it again.
func (c *Compute) DeleteByHand(name string) bool { return c.byHand(name, c.end) }

func (c *Compute) byHand(name string, do func(v *vm)) bool {
	c.w.hold()
	defer c.w.mu.Unlock()
	v := c.vmNamed(name)
	if v != nil {
		do(v)
	}
	return v != nil
}

// hourly are rough prices in USD by machine type, per hour, for bills in tests.
func hourly(machineType string) float64 {
	return map[string]float64{"e2-micro": 0.0084, "e2-small": 0.0168, "e2-medium": 0.0335, "e2-standard-2": 0.067, "e2-standard-4": 0.134, "e2-standard-8": 0.268}[machineType]
}

// bill is that of one VM: by the second, with a minute at least.
func (c *Compute) bill(v *vm) Bill {
	had := max(c.w.at.Sub(v.m.born), time.Minute)
	return Bill{1, had, had.Hours() * hourly(v.kind)}
}

// Bill is what all VMs have cost so far, those that are stopped included.
func (c *Compute) Bill() Bill {
	c.w.hold()
	defer c.w.mu.Unlock()
	b := c.billed
	for _, v := range c.vms {
		b = b.plus(c.bill(v))
	}
	return b
}

// AddByHand makes a member of a group of that name, as somebody does at the console;
// where group is "", a VM in no group, in the first group's first zone.
func (c *Compute) AddByHand(group, name string) {
	c.w.hold()
	defer c.w.mu.Unlock()
	if group == "" {
		g := c.groups[0]
		c.newVM(g.zones[0], name, g.template)
		return
	}
	c.groupNamed(group).add([]string{name}, "hand")
}

// ResizeByHand sets a group's size, as somebody does at the console; names are the
// group's, and whom it deletes is arbitrary.
func (c *Compute) ResizeByHand(group string, size int) {
	c.w.hold()
	defer c.w.mu.Unlock()
	c.groupNamed(group).setSize(size, "hand")
}

// SetAutoscaler gives a group an autoscaler, or another; nil takes it away.
func (c *Compute) SetAutoscaler(group string, o *ComputeAutoscaler) {
	c.w.hold()
	defer c.w.mu.Unlock()
	g := c.groupNamed(group)
	g.scaler = nil
	if o != nil {
		g.scaler = newAutoscaler(g, *o)
	}
}

// groupNamed is the first group of a name; it panics if there is none.
func (c *Compute) groupNamed(name string) *group {
	for _, g := range c.groups {
		if g.o.Name == name {
			return g
		}
	}
	panic(fmt.Sprintf("find group %q: there is none", name))
}
