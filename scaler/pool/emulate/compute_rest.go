package emulate

import (
	"net/http"
	"time"

	compute "google.golang.org/api/compute/v1"
)

// What a group does about members that rest: stopped or suspended ones, which belong
// to it, are not healed, and are not of its target size but of sizes of their own. A
// standby policy by which growth would wake them is not emulated.
const (
	actionStopping   = "STOPPING"
	actionSuspending = "SUSPENDING"
	actionStarting   = "STARTING"
	actionResuming   = "RESUMING"
)

// stopInstances and suspendInstances lay members to rest, and lower the target.
func (g *group) stopInstances(r *http.Request) (any, error) {
	var q compute.InstanceGroupManagersStopInstancesRequest
	if err := readJSON(r, &q); err != nil {
		return nil, err
	}
	return g.onMembers(r, "stopInstances", selection{urls: q.Instances}, func(m *managed) { g.lay(m, actionStopping) })
}

func (g *group) suspendInstances(r *http.Request) (any, error) {
	var q compute.InstanceGroupManagersSuspendInstancesRequest
	if err := readJSON(r, &q); err != nil {
		return nil, err
	}
	return g.onMembers(r, "suspendInstances", selection{urls: q.Instances}, func(m *managed) { g.lay(m, actionSuspending) })
}

// startInstances and resumeInstances wake members, and raise the target.
func (g *group) startInstances(r *http.Request) (any, error) {
	var q compute.InstanceGroupManagersStartInstancesRequest
	if err := readJSON(r, &q); err != nil {
		return nil, err
	}
	return g.onMembers(r, "startInstances", selection{urls: q.Instances}, func(m *managed) { g.wake(m, actionStarting) })
}

func (g *group) resumeInstances(r *http.Request) (any, error) {
	var q compute.InstanceGroupManagersResumeInstancesRequest
	if err := readJSON(r, &q); err != nil {
		return nil, err
	}
	return g.onMembers(r, "resumeInstances", selection{urls: q.Instances}, func(m *managed) { g.wake(m, actionResuming) })
}

// lay begins a member's rest. One that is not running yet, or rests, stays as it is.
func (g *group) lay(m *managed, how string) {
	if m.rest != "" || m.action != actionNone && m.action != actionVerifying || m.vm == nil {
		return
	}
	g.target--
	m.rest = how
	g.drop(m, how)
}

// wake begins its end.
func (g *group) wake(m *managed, how string) {
	if m.rest == "" || m.action != actionNone {
		return
	}
	g.target++
	m.rest, m.action = "", how
	if m.vm != nil {
		m.vm.start()
	}
}

// settleRest takes the next step of laying a member to rest, or of waking it.
func (g *group) settleRest(m *managed) {
	w := g.c.w
	switch {
	case m.vm == nil, m.rest == "" && m.vm.status() == "TERMINATED":
		g.created(m) // it will be found missing
	case m.rest == "" && m.vm.status() == "RUNNING":
		g.created(m)
	case m.rest == "" || !w.due(m.next):
	case m.vm.m.power == halted || w.at.Sub(m.next) > 90*time.Second:
		w.halt(m.vm.m)
		m.action = actionNone
	default:
		w.shutdown(m.vm.m)
	}
}

// resting counts members that rest in a way.
func (g *group) resting(how string) int64 {
	n := int64(0)
	for _, m := range g.members {
		if m.rest == how && m.stays() {
			n++
		}
	}
	return n
}
