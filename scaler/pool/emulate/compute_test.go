package emulate_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	compute "google.golang.org/api/compute/v1"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"flyball/scaler/pool/emulate"
)

const (
	project = "emulated"
	zone    = "us-central1-a"
	region  = "us-central1"
)

// gce is a project and its client.
type gce struct {
	*testing.T
	world *emulate.World
	cloud *emulate.Compute
	api   *compute.Service
	ctx   context.Context
}

// inCompute runs a test in simulated time.
func inCompute(t *testing.T, o emulate.ComputeOptions, f func(g gce)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := emulate.NewWorld(emulate.Options{Seed: 1})
		c := emulate.NewCompute(w, o)
		api, err := compute.NewService(context.Background(),
			option.WithHTTPClient(&http.Client{Transport: bearer{c.Transport(), "secret"}, Timeout: 3 * time.Minute}))
		if err != nil {
			t.Fatal(err)
		}
		f(gce{t, w, c, api, context.Background()})
	})
}

// create asks for members of the group web.
func (g gce) create(names ...string) *compute.Operation {
	g.Helper()
	return g.must(g.api.InstanceGroupManagers.CreateInstances(project, zone, "web", instances(names...)).Do())
}

func instances(names ...string) *compute.InstanceGroupManagersCreateInstancesRequest {
	q := &compute.InstanceGroupManagersCreateInstancesRequest{}
	for _, n := range names {
		q.Instances = append(q.Instances, &compute.PerInstanceConfig{Name: n})
	}
	return q
}

func (g gce) delete(skip bool, names ...string) *compute.Operation {
	g.Helper()
	q := &compute.InstanceGroupManagersDeleteInstancesRequest{SkipInstancesOnValidationError: skip}
	for _, n := range names {
		q.Instances = append(q.Instances, "zones/"+zone+"/instances/"+n)
	}
	return g.must(g.api.InstanceGroupManagers.DeleteInstances(project, zone, "web", q).Do())
}

func (g gce) must(o *compute.Operation, err error) *compute.Operation {
	g.Helper()
	if err != nil {
		g.Fatal(err)
	}
	return o
}

// wait waits for a zonal operation.
func (g gce) wait(o *compute.Operation) *compute.Operation {
	g.Helper()
	o = g.must(g.api.ZoneOperations.Wait(project, zone, o.Name).Do())
	if o.Status != "DONE" {
		g.Fatalf("waited for operation %s: it is %s", o.Name, o.Status)
	}
	return o
}

func (g gce) group() *compute.InstanceGroupManager {
	g.Helper()
	m, err := g.api.InstanceGroupManagers.Get(project, zone, "web").Do()
	if err != nil {
		g.Fatal(err)
	}
	return m
}

// list is what listManagedInstances says, by name.
func (g gce) list() map[string]*compute.ManagedInstance {
	g.Helper()
	out := map[string]*compute.ManagedInstance{}
	err := g.api.InstanceGroupManagers.ListManagedInstances(project, zone, "web").Pages(g.ctx, func(p *compute.InstanceGroupManagersListManagedInstancesResponse) error {
		for _, m := range p.ManagedInstances {
			out[m.Name] = m
		}
		return nil
	})
	if err != nil {
		g.Fatal(err)
	}
	return out
}

// told writes what the list says, briefly.
func (g gce) told() string {
	g.Helper()
	var out []string
	for _, i := range g.cloud.Instances() {
		if m := g.list()[i.Name]; m != nil {
			out = append(out, fmt.Sprintf("%s %s %s", m.Name, m.CurrentAction, m.InstanceStatus))
		}
	}
	return strings.Join(out, ", ")
}

// refused checks that an error is Google's of a status and a reason.
func (g gce) refused(err error, status int, reason string) {
	g.Helper()
	var e *googleapi.Error
	if !errors.As(err, &e) || e.Code != status || len(e.Errors) != 1 || e.Errors[0].Reason != reason {
		g.Errorf("want %d %s, have: %v", status, reason, err)
	}
}

func TestCreateInstancesIsAcceptedThenDoneThenMade(t *testing.T) {
	inCompute(t, emulate.ComputeOptions{}, func(g gce) {
		o := g.create("web-1", "web-2")
		if o.Status != "PENDING" || g.told() != "" {
			g.Errorf("accepted: operation %s, list %q", o.Status, g.told())
		}
		o = g.wait(o)
		if o.Error != nil || g.group().TargetSize != 2 {
			g.Errorf("done: error %v, target %d", o.Error, g.group().TargetSize)
		}
		if m := g.list()["web-1"]; m == nil || m.CurrentAction != "CREATING" || !strings.HasSuffix(m.Instance, "/zones/us-central1-a/instances/web-1") {
			g.Errorf("done: web-1 is %+v", m)
		}
		time.Sleep(2 * time.Minute)
		if want := "web-1 NONE RUNNING, web-2 NONE RUNNING"; g.told() != want {
			g.Errorf("after two minutes: %q", g.told())
		}
		m := g.group()
		if !m.Status.IsStable || m.CurrentActions.None != 2 {
			g.Errorf("after two minutes: stable %v, %+v", m.Status.IsStable, m.CurrentActions)
		}
		i, err := g.api.Instances.Get(project, zone, "web-2").Do()
		if err != nil || i.Status != "RUNNING" || !strings.HasPrefix(i.NetworkInterfaces[0].NetworkIP, "10.") {
			g.Errorf("instance: %v, %v", i, err)
		}
	})
}

func TestDeleteInstancesLowersTheTargetItself(t *testing.T) {
	inCompute(t, emulate.ComputeOptions{}, func(g gce) {
		g.wait(g.create("web-1", "web-2", "web-3"))
		time.Sleep(2 * time.Minute)
		if o := g.wait(g.delete(false, "web-2", "web-9")); o.Error == nil || g.group().TargetSize != 3 {
			g.Errorf("a stranger among them: error %v, target %d", o.Error, g.group().TargetSize)
		}
		if o := g.wait(g.delete(true, "web-2", "web-9")); o.Error != nil || g.group().TargetSize != 2 {
			g.Errorf("a stranger skipped: error %v, target %d", o.Error, g.group().TargetSize)
		}
		if want := "web-1 NONE RUNNING, web-2 DELETING STOPPING, web-3 NONE RUNNING"; g.told() != want {
			g.Errorf("done: %q", g.told())
		}
		g.wait(g.delete(true, "web-2"))
		if g.group().TargetSize != 2 {
			g.Error("deleting one that is leaving lowered the target")
		}
		time.Sleep(2 * time.Minute)
		if want := "web-1 NONE RUNNING, web-3 NONE RUNNING"; g.told() != want {
			g.Errorf("after two minutes: %q", g.told())
		}
	})
}

func TestTheSameRequestIDIsTheSameOperation(t *testing.T) {
	inCompute(t, emulate.ComputeOptions{}, func(g gce) {
		const id = "0f8fad5b-d9cb-469f-a165-70867728950e"
		ask := func(names ...string) (*compute.Operation, error) {
			return g.api.InstanceGroupManagers.CreateInstances(project, zone, "web", instances(names...)).RequestId(id).Do()
		}
		first := g.must(ask("web-1"))
		g.wait(first)
		if again := g.must(ask("web-1")); again.Name != first.Name || again.Status != "DONE" {
			g.Errorf("asked again: %s is %s, want %s", again.Name, again.Status, first.Name)
		}
		if n := g.group().TargetSize; n != 1 {
			g.Errorf("target %d", n)
		}
		_, err := g.api.InstanceGroupManagers.CreateInstances(project, zone, "web", instances("web-2")).RequestId("2").Do()
		g.refused(err, 400, "invalid")
	})
}

func TestANameThatIsTakenRefusesTheWholeRequest(t *testing.T) {
	inCompute(t, emulate.ComputeOptions{}, func(g gce) {
		first, second := g.create("web-1"), g.create("web-1", "web-2")
		time.Sleep(time.Second)
		under := g.must(g.api.ZoneOperations.Get(project, zone, second.Name).Do())
		if under.Status != "RUNNING" || under.Error != nil || under.EndTime != "" {
			g.Errorf("under way, the second is %+v", under)
		}
		if g.wait(first).Error != nil {
			g.Error("the first failed")
		}
		if o := g.wait(second); o.Error == nil || o.Error.Errors[0].Code != "RESOURCE_ALREADY_EXISTS" {
			g.Errorf("the second: %+v", o.Error)
		}
		_, err := g.api.InstanceGroupManagers.CreateInstances(project, zone, "web", instances("web-3", "web-1")).Do()
		g.refused(err, 409, "alreadyExists")
		if n := g.group().TargetSize; n != 1 {
			g.Errorf("target %d", n)
		}
	})
}

func TestRequestsThatAreWrongAreRefused(t *testing.T) {
	inCompute(t, emulate.ComputeOptions{}, func(g gce) {
		igm := g.api.InstanceGroupManagers
		for _, names := range [][]string{{}, {"Web-1"}, {"web-1", "web-1"}, {"web_1"}} {
			_, err := igm.CreateInstances(project, zone, "web", instances(names...)).Do()
			g.refused(err, 400, "invalid")
		}
		for _, url := range []string{"web-1", "zones/us-east1-b/instances/web-1"} {
			_, err := igm.DeleteInstances(project, zone, "web", &compute.InstanceGroupManagersDeleteInstancesRequest{
				Instances: []string{url}, SkipInstancesOnValidationError: true,
			}).Do()
			g.refused(err, 400, "invalid")
		}
		_, err := igm.Get(project, zone, "db").Do()
		g.refused(err, 404, "notFound")
		_, err = igm.Get("other", zone, "web").Do()
		g.refused(err, 404, "notFound")
		_, err = g.api.RegionInstanceGroupManagers.Get(project, region, "web").Do()
		g.refused(err, 404, "notFound")
		_, err = igm.Resize(project, zone, "web", -1).Do()
		g.refused(err, 400, "invalid")
		_, err = igm.SetInstanceTemplate(project, zone, "web", &compute.InstanceGroupManagersSetInstanceTemplateRequest{InstanceTemplate: "global/instanceTemplates/v2"}).Do()
		g.refused(err, 404, "notFound")
	})
}

func TestOnlyPaginatedGroupsKnowPages(t *testing.T) {
	for _, paginated := range []bool{false, true} {
		o := emulate.ComputeOptions{Groups: []emulate.ComputeGroup{{Name: "web", Zone: zone, Size: 5, Paginated: paginated}}}
		inCompute(t, o, func(g gce) {
			first, err := g.api.InstanceGroupManagers.ListManagedInstances(project, zone, "web").MaxResults(2).Do()
			if err != nil {
				g.Fatal(err)
			}
			want := map[bool]int{false: 5, true: 2}[paginated]
			if len(first.ManagedInstances) != want || (first.NextPageToken != "") != paginated {
				g.Errorf("paginated %v: %d instances, token %q", paginated, len(first.ManagedInstances), first.NextPageToken)
			}
			n := 0
			err = g.api.InstanceGroupManagers.ListManagedInstances(project, zone, "web").MaxResults(2).Pages(g.ctx,
				func(p *compute.InstanceGroupManagersListManagedInstancesResponse) error {
					n += len(p.ManagedInstances)
					return nil
				})
			if err != nil || n != 5 {
				g.Errorf("paginated %v: %d in all, %v", paginated, n, err)
			}
		})
	}
}

func TestInstancesAreListedByFilter(t *testing.T) {
	inCompute(t, emulate.ComputeOptions{}, func(g gce) {
		g.wait(g.create("web-1", "web-2", "db-1"))
		time.Sleep(2 * time.Minute)
		for filter, want := range map[string]int{"": 3, "name=web-1": 1, "name:web-*": 2, "(name eq web-.*) AND (status = RUNNING)": 2, "name != web-1": 2, "status=STOPPING": 0} {
			l, err := g.api.Instances.List(project, zone).Filter(filter).Do()
			if err != nil || len(l.Items) != want {
				g.Errorf("filter %q: %v, %v", filter, l, err)
			}
		}
		_, err := g.api.Instances.List(project, zone).Filter("name").Do()
		g.refused(err, 400, "invalid")
	})
}
