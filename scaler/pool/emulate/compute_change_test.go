package emulate_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	compute "google.golang.org/api/compute/v1"
	"google.golang.org/api/googleapi"

	"flyball/scaler/pool/emulate"
)

// coded is the status of an error of Google's; 0: it is none.
func coded(err error) int {
	if e, is := err.(*googleapi.Error); is {
		return e.Code
	}
	return 0
}

func TestAnInstanceIsDeletedAndItsGroupMakesItAgain(t *testing.T) {
	for onFailure, again := range map[string]bool{"REPAIR": true, "DO_NOTHING": false} {
		inCompute(t, webGroup(emulate.ComputeGroup{Size: 1, OnFailure: onFailure}), func(g gce) {
			was := g.cloud.Instances()[0]
			if _, err := g.api.Instances.Delete(project, zone, "web-99").Do(); coded(err) != http.StatusNotFound {
				g.Errorf("an instance that there is not: %v", err)
			}
			o := g.wait(g.must(g.api.Instances.Delete(project, zone, was.Name).Do()))
			if o.OperationType != "delete" || o.Error != nil || !strings.HasSuffix(o.TargetLink, "/zones/"+zone+"/instances/"+was.Name) || o.TargetId != was.ID {
				g.Errorf("the operation is %+v", o)
			}
			time.Sleep(5 * time.Minute)
			now := g.cloud.Instances()[0]
			if now.Name != was.Name || g.cloud.Target("web") != 1 {
				g.Errorf("it was %+v, and is %+v", was, now)
			}
			if isAgain := now.ID != was.ID && now.Status == "RUNNING"; isAgain != again || !again && now.Status != "" {
				g.Errorf("%s: it was %+v, and is %+v", onFailure, was, now)
			}
		})
	}
}

func TestAnInstanceIsNotDeletedWhileSomethingElseIsUnderWay(t *testing.T) {
	inCompute(t, webGroup(emulate.ComputeGroup{Size: 1}), func(g gce) {
		name := g.cloud.Instances()[0].Name
		g.world.Plant(emulate.Fault{Name: "pending_event", Times: 1})
		if _, err := g.api.Instances.Delete(project, zone, name).Do(); coded(err) != http.StatusBadRequest {
			g.Errorf("it is under way: %v", err)
		}
		first, second := g.must(g.api.Instances.Delete(project, zone, name).Do()), g.must(g.api.Instances.Delete(project, zone, name).Do())
		time.Sleep(5 * time.Minute)
		if a, b := g.wait(first), g.wait(second); a.Error != nil || b.Error != nil {
			g.Errorf("deleted twice: %+v, %+v", a.Error, b.Error)
		}
	})
}

// insert makes a template, and waits until it is there.
func (g gce) insert(t *compute.InstanceTemplate) {
	g.Helper()
	o := g.must(g.api.InstanceTemplates.Insert(project, t).Do())
	o = g.must(g.api.GlobalOperations.Wait(project, o.Name).Do())
	if o.Status != "DONE" || o.OperationType != "insert" || o.Error != nil || o.Zone != "" || o.Region != "" {
		g.Fatalf("the operation is %+v", o)
	}
	if again := g.must(g.api.GlobalOperations.Get(project, o.Name).Do()); again.Status != "DONE" || !strings.Contains(again.SelfLink, "/global/operations/") {
		g.Errorf("asked again, the operation is %+v", again)
	}
}

func TestMembersAreMadeFromANewTemplate(t *testing.T) {
	data := "#!"
	inCompute(t, webGroup(emulate.ComputeGroup{}), func(g gce) {
		g.insert(&compute.InstanceTemplate{Name: "web-v2", Properties: &compute.InstanceProperties{
			MachineType: "e2-medium", Labels: map[string]string{"role": "app"},
			Metadata: &compute.Metadata{Items: []*compute.MetadataItems{{Key: "user-data", Value: &data}, {Key: "empty"}}},
		}})
		g.insert(&compute.InstanceTemplate{Name: "web-v3", Properties: &compute.InstanceProperties{MachineType: "e2-small"}})
		igm := g.api.InstanceGroupManagers
		g.wait(g.must(igm.SetInstanceTemplate(project, zone, "web", &compute.InstanceGroupManagersSetInstanceTemplateRequest{InstanceTemplate: "global/instanceTemplates/web-v2"}).Do()))
		g.wait(g.create("web-1"))
		q := &compute.InstanceGroupManager{Fingerprint: g.group().Fingerprint, Versions: []*compute.InstanceGroupManagerVersion{{InstanceTemplate: "global/instanceTemplates/web-v3"}}}
		g.wait(g.must(igm.Patch(project, zone, "web", q).Do()))
		g.wait(g.create("web-0"))
		time.Sleep(5 * time.Minute)
		for name, kind := range map[string]string{"web-1": "e2-medium", "web-0": "e2-small"} {
			i, err := g.api.Instances.Get(project, zone, name).Do()
			if err != nil || i.Status != "RUNNING" || !strings.HasSuffix(i.MachineType, "/"+kind) || (i.Labels["role"] == "app") != (name == "web-1") {
				g.Errorf("%s is %+v, %v", name, i, err)
			}
		}
		if m := g.list()["web-0"]; !strings.HasSuffix(m.Version.InstanceTemplate, "/web-v3") {
			g.Errorf("web-0 is of %s", m.Version.InstanceTemplate)
		}
	})
}

func TestTemplatesThatCannotBeAreRefused(t *testing.T) {
	inCompute(t, webGroup(emulate.ComputeGroup{}), func(g gce) {
		small := &compute.InstanceProperties{MachineType: "e2-small"}
		for name, tt := range map[string]struct {
			asked *compute.InstanceTemplate
			code  int
		}{
			"no name":         {&compute.InstanceTemplate{Properties: small}, 400},
			"a wrong name":    {&compute.InstanceTemplate{Name: "Web_2", Properties: small}, 400},
			"no properties":   {&compute.InstanceTemplate{Name: "web-v2"}, 400},
			"no machine type": {&compute.InstanceTemplate{Name: "web-v2", Properties: &compute.InstanceProperties{}}, 400},
			"a name in use":   {&compute.InstanceTemplate{Name: "web", Properties: small}, 409},
		} {
			if _, err := g.api.InstanceTemplates.Insert(project, tt.asked).Do(); coded(err) != tt.code {
				g.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestAMemberOfAMachineTypeThatThereIsNotIsNotMade(t *testing.T) {
	inCompute(t, webGroup(emulate.ComputeGroup{}), func(g gce) {
		g.insert(&compute.InstanceTemplate{Name: "web-v2", Properties: &compute.InstanceProperties{MachineType: "e2-tiny"}})
		g.wait(g.must(g.api.InstanceGroupManagers.SetInstanceTemplate(project, zone, "web", &compute.InstanceGroupManagersSetInstanceTemplateRequest{InstanceTemplate: "global/instanceTemplates/web-v2"}).Do()))
		g.wait(g.create("web-1"))
		time.Sleep(time.Minute)
		m := g.list()["web-1"]
		if m == nil || m.LastAttempt == nil || !strings.Contains(m.LastAttempt.Errors.Errors[0].Message, "e2-tiny") {
			g.Errorf("it is %+v", m)
		}
	})
}
