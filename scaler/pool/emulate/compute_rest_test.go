package emulate_test

import (
	"testing"
	"time"

	compute "google.golang.org/api/compute/v1"
	"google.golang.org/api/googleapi"

	"flyball/scaler/pool/emulate"
)

func TestMembersRestAndWakeOutsideTheTarget(t *testing.T) {
	inCompute(t, webGroup(emulate.ComputeGroup{Size: 2}), func(g gce) {
		name := g.cloud.Instances()[0].Name
		url, igm := []string{"zones/" + zone + "/instances/" + name}, g.api.InstanceGroupManagers
		for _, c := range []struct {
			act                        func(...googleapi.CallOption) (*compute.Operation, error)
			status                     string
			target, stopped, suspended int64
		}{
			{igm.StopInstances(project, zone, "web", &compute.InstanceGroupManagersStopInstancesRequest{Instances: url}).Do, "TERMINATED", 1, 1, 0},
			{igm.StartInstances(project, zone, "web", &compute.InstanceGroupManagersStartInstancesRequest{Instances: url}).Do, "RUNNING", 2, 0, 0},
			{igm.SuspendInstances(project, zone, "web", &compute.InstanceGroupManagersSuspendInstancesRequest{Instances: url}).Do, "SUSPENDED", 1, 0, 1},
			{igm.ResumeInstances(project, zone, "web", &compute.InstanceGroupManagersResumeInstancesRequest{Instances: url}).Do, "RUNNING", 2, 0, 0},
			{igm.StopInstances(project, zone, "web", &compute.InstanceGroupManagersStopInstancesRequest{Instances: url}).Do, "TERMINATED", 1, 1, 0},
		} {
			g.wait(g.must(c.act()))
			time.Sleep(5 * time.Minute)
			m, i := g.group(), g.list()[name]
			if m.TargetSize != c.target || m.TargetStoppedSize != c.stopped || m.TargetSuspendedSize != c.suspended ||
				i.CurrentAction != "NONE" || i.InstanceStatus != c.status {
				g.Errorf("want %+v, have target %d, stopped %d, suspended %d, %+v", c, m.TargetSize, m.TargetStoppedSize, m.TargetSuspendedSize, i)
			}
		}
		g.wait(g.delete(true, name))
		if m := g.group(); m.TargetSize != 1 || m.TargetStoppedSize != 0 {
			g.Errorf("deleted at rest: target %d, stopped %d", m.TargetSize, m.TargetStoppedSize)
		}
	})
}
