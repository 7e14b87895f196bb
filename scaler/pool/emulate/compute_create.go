package emulate

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	compute "google.golang.org/api/compute/v1"
)

// A vm is an instance of the project, in a group or not.
type vm struct {
	c                    *Compute
	id                   uint64
	name, zone, template string
	kind                 string // machine type
	labels               map[string]string
	m                    *machine
	group                *group    // nil: nobody manages it
	member               *managed  // of the group
	started              time.Time // last
	ending               time.Time // when it is gone though it did not obey; zero: it is not ending
}

// machineStarts is how long a VM is provisioned and staged before it runs, whatever
// the program in it does. Assumed.
const machineStarts = 10 * time.Second

// A failure is why a VM was not created.
type failure struct{ code, message string }

// create tries to create a member's VM, and again for as long as the member is
// wanted: after 30 s, then twice as late each time, at most 5 minutes. Assumed: the
// delays; that it never gives up is documented.
func (g *group) create(m *managed) {
	w := g.c.w
	if m.vm != nil {
		if m.vm.status() == "RUNNING" {
			g.created(m)
		}
		return
	}
	if !w.due(m.next) {
		return
	}
	if m.vanishes {
		g.target--
		g.forget(m)
		return
	}
	if f := g.obstacle(m); f != nil {
		g.failed(m, f)
		return
	}
	g.boot(m)
}

// failed notes why a try failed, and when the next is.
func (g *group) failed(m *managed, f *failure) {
	w := g.c.w
	m.errors = []*compute.ManagedInstanceLastAttemptErrorsErrors{{Code: f.code, Message: f.message}}
	m.next = w.at.Add(min(30*time.Second<<min(m.tries, 4), 5*time.Minute))
	m.tries++
	w.tell("machine %s is not made: %s: %s", m.name, f.code, f.message)
	g.errors = append(g.errors, &compute.InstanceManagedByIgmError{
		Timestamp: stamp(w.at),
		Error:     &compute.InstanceManagedByIgmErrorManagedInstanceError{Code: f.code, Message: f.message},
		InstanceActionDetails: &compute.InstanceManagedByIgmErrorInstanceActionDetails{
			Action: m.action, Instance: g.c.instanceLink(m.zone, m.name),
			Version: &compute.ManagedInstanceVersion{InstanceTemplate: g.c.link("global/instanceTemplates", m.template)},
		},
	})
	g.errors = g.errors[max(0, len(g.errors)-500):]
	if strings.HasPrefix(f.code, "ZONE_RESOURCE_POOL") && g.o.Shape != "EVEN" {
		m.zone = g.emptiest([]string{m.zone})
	}
}

// obstacle is why a member's VM cannot be created now; nil: it can.
func (g *group) obstacle(m *managed) *failure {
	zone := g.c.o.Project + "/zones/" + m.zone
	soldOut := &failure{"ZONE_RESOURCE_POOL_EXHAUSTED", fmt.Sprintf("The zone 'projects/%s' does not have enough resources available to fulfill the request.  Try a different zone, or try again later.", zone)}
	t := g.c.template(m.template)
	switch {
	case t == nil:
		return &failure{"RESOURCE_NOT_FOUND", fmt.Sprintf("The resource 'projects/%s/global/instanceTemplates/%s' was not found", g.c.o.Project, m.template)}
	case g.c.cpus(t.Properties.MachineType) == 0: // assumed: the code
		return &failure{"INVALID_FIELD_VALUE", fmt.Sprintf("Machine type with name '%s' does not exist in zone '%s'.", t.Properties.MachineType, m.zone)}
	case m.barred:
		return soldOut
	case g.c.vmIn(m.zone, m.name) != nil:
		return &failure{"RESOURCE_ALREADY_EXISTS", fmt.Sprintf("The resource 'projects/%s/instances/%s' already exists", zone, m.name)}
	case g.strikes("sold_out", m):
		return soldOut
	case g.strikes("limit", m):
		return g.c.overQuota(m.zone, "INSTANCES")
	}
	return g.c.quotaFor(m.zone, t.Properties.MachineType)
}

// strikes says whether a fault befalls the making of a member, which is planted on
// its name, on its zone as zones/us-central1-a, or on the request that asked for it.
func (g *group) strikes(fault string, m *managed) bool {
	for _, p := range g.c.w.faults {
		for _, on := range []string{m.name, "zones/" + m.zone + "/instances/" + m.name, m.asked} {
			if p.Name == fault && strings.HasPrefix(on, p.On) {
				return g.c.w.befalls(fault, on)
			}
		}
	}
	return false
}

// quotaFor says what quota of the region another VM would exceed; nil: none.
func (c *Compute) quotaFor(zone, machineType string) *failure {
	more := map[string]float64{"INSTANCES": 1, "CPUS": float64(c.cpus(machineType))}
	for _, q := range c.quotas(regionOf(zone)) {
		if q.Usage+more[q.Metric] > q.Limit {
			return c.overQuota(zone, q.Metric)
		}
	}
	return nil
}

func (c *Compute) overQuota(zone, metric string) *failure {
	return &failure{"QUOTA_EXCEEDED", fmt.Sprintf("Quota '%s' exceeded.  Limit: %.1f in region %s.", metric, c.quota(metric), regionOf(zone))}
}

// quota is the limit of a metric in every region.
func (c *Compute) quota(metric string) float64 {
	if q, isSet := c.o.Quotas[metric]; isSet {
		return q
	}
	return map[string]float64{"INSTANCES": 1000, "CPUS": 4000}[metric]
}

// quotas are a region's, with what is used of them.
func (c *Compute) quotas(region string) []*compute.Quota {
	instances, cpus := 0, int64(0)
	for _, v := range c.vms {
		if regionOf(v.zone) == region {
			instances, cpus = instances+1, cpus+c.cpus(v.kind)
		}
	}
	return []*compute.Quota{
		{Metric: "CPUS", Limit: c.quota("CPUS"), Usage: float64(cpus), ForceSendFields: []string{"Usage", "Limit"}},
		{Metric: "INSTANCES", Limit: c.quota("INSTANCES"), Usage: float64(instances), ForceSendFields: []string{"Usage", "Limit"}},
	}
}

// cpus are a machine type's virtual CPUs; 0: there is no such type.
func (c *Compute) cpus(machineType string) int64 {
	name := path.Base(machineType)
	if n, isSet := c.o.MachineCPUs[name]; isSet {
		return n
	}
	return map[string]int64{"e2-micro": 2, "e2-small": 2, "e2-medium": 2, "e2-standard-2": 2, "e2-standard-4": 4, "e2-standard-8": 8}[name]
}

// boot creates a member's VM.
func (g *group) boot(m *managed) {
	m.vm = g.c.newVM(m.zone, m.name, m.template)
	m.vm.group, m.vm.member = g, m
}

// newVM creates a VM. Where nothing runs in machines it has its address at once, as
// Google's have; else from when its program has one.
func (c *Compute) newVM(zone, name, template string) *vm {
	t := c.template(template)
	v := &vm{c: c, id: c.id(), name: name, zone: zone, template: template, kind: t.Properties.MachineType, labels: t.Properties.Labels, started: c.w.at}
	v.m = c.w.newMachine(name, userData(t))
	if c.w.o.Machines == nil || v.m.failed {
		v.m.addr = c.w.address()
	}
	c.vms = append(c.vms, v)
	return v
}

// status is a VM's, as its hypervisor sees it: it runs long before its program answers.
func (v *vm) status() string {
	switch age := v.c.w.at.Sub(v.started); {
	case !v.ending.IsZero():
		return "STOPPING"
	case v.m.power == halted && v.group != nil && v.member.rest == actionSuspending:
		return "SUSPENDED"
	case v.m.power == halted:
		return "TERMINATED"
	case v.m.power == running || age >= machineStarts && v.m.addr.IsValid():
		return "RUNNING"
	case age >= machineStarts/2:
		return "STAGING"
	}
	return "PROVISIONING"
}

// start starts a VM that was stopped.
func (v *vm) start() {
	v.started = v.c.w.at
	v.c.w.start(v.m)
}

// end begins to delete a VM: it is asked to shut down and is gone when it did, at the
// latest after 90 s.
func (c *Compute) end(v *vm) {
	if !v.ending.IsZero() {
		return
	}
	v.ending = c.w.at.Add(90 * time.Second)
	c.w.shutdown(v.m)
	if v.m.ends.IsZero() && !v.m.deaf {
		v.ending = c.w.at.Add(2 * time.Second)
	}
}

// endIfDue deletes a VM that is ending and is down, or waited for long enough.
func (c *Compute) endIfDue(v *vm) {
	if v.ending.IsZero() || v.m.power != halted && !c.w.due(v.ending) {
		return
	}
	c.billed = c.billed.plus(c.bill(v))
	c.w.remove(v.m)
	c.vms = slices.DeleteFunc(c.vms, func(o *vm) bool { return o == v })
	if m := v.managedBy(); m != nil {
		m.vm = nil
		m.next = c.w.at
	}
}

// managedBy is the member of a group that a VM is; nil: none.
func (v *vm) managedBy() *managed {
	if v.group == nil || v.member.vm != v {
		return nil
	}
	return v.member
}

// vmNamed and vmIn find VMs by name, anywhere or in a zone; nil: there is none.
func (c *Compute) vmNamed(name string) *vm {
	i := slices.IndexFunc(c.vms, func(v *vm) bool { return v.name == name })
	if i < 0 {
		return nil
	}
	return c.vms[i]
}

func (c *Compute) vmIn(zone, name string) *vm {
	i := slices.IndexFunc(c.vms, func(v *vm) bool { return v.name == name && v.zone == zone })
	if i < 0 {
		return nil
	}
	return c.vms[i]
}

// instanceLink is an instance's URL, whether it exists or not.
func (c *Compute) instanceLink(zone, name string) string {
	return c.link("zones", zone, "instances", name)
}
