package emulate_test

import (
	"fmt"
	"testing"
	"time"

	compute "google.golang.org/api/compute/v1"

	"flyball/scaler/pool/emulate"
)

// regional is one group of three zones.
func regional(o emulate.ComputeGroup) emulate.ComputeOptions {
	o.Name, o.Region = "web", region
	return emulate.ComputeOptions{Groups: []emulate.ComputeGroup{o}}
}

// zones counts instances that serve, by zone.
func (g gce) zones() string {
	g.Helper()
	n := map[string]int{}
	for _, i := range g.cloud.Instances() {
		if i.Serving && i.Action == "NONE" {
			n[i.Zone[len(i.Zone)-1:]]++
		}
	}
	return fmt.Sprint(n["a"], n["b"], n["c"])
}

// createRegional makes n members of a regional group.
func (g gce) createRegional(n int) *compute.Operation {
	g.Helper()
	var q compute.RegionInstanceGroupManagersCreateInstancesRequest
	for i := range n {
		q.Instances = append(q.Instances, &compute.PerInstanceConfig{Name: fmt.Sprintf("web-%d", i+1)})
	}
	o := g.must(g.api.RegionInstanceGroupManagers.CreateInstances(project, region, "web", &q).Do())
	o = g.must(g.api.RegionOperations.Wait(project, region, o.Name).Do())
	if o.Status != "DONE" {
		g.Fatalf("waited: %+v", o)
	}
	return o
}

// deleteZone deletes all members of a zone, by name.
func (g gce) deleteZone(zone string) {
	g.Helper()
	var q compute.RegionInstanceGroupManagersDeleteInstancesRequest
	l, err := g.api.RegionInstanceGroupManagers.ListManagedInstances(project, region, "web").Do()
	if err != nil {
		g.Fatal(err)
	}
	for _, i := range g.cloud.Instances() {
		if i.Zone == zone {
			q.Instances = append(q.Instances, "zones/"+zone+"/instances/"+i.Name)
		}
	}
	if len(l.ManagedInstances) <= len(q.Instances) {
		g.Fatalf("list: %v", l.ManagedInstances)
	}
	g.must(g.api.RegionInstanceGroupManagers.DeleteInstances(project, region, "web", &q).Do())
}

func TestARegionalGroupIsEvenOverItsZones(t *testing.T) {
	inCompute(t, regional(emulate.ComputeGroup{}), func(g gce) {
		g.createRegional(7)
		time.Sleep(3 * time.Minute)
		if g.zones() != "3 2 2" {
			g.Errorf("zones: %s", g.zones())
		}
		m, err := g.api.RegionInstanceGroupManagers.Get(project, region, "web").Do()
		if err != nil || m.TargetSize != 7 || m.DistributionPolicy.TargetShape != "EVEN" || len(m.DistributionPolicy.Zones) != 3 ||
			m.UpdatePolicy.InstanceRedistributionType != "PROACTIVE" {
			g.Errorf("group: %+v, %v", m, err)
		}
	})
}

func TestProactiveRedistributionDeletesWhatNobodyChose(t *testing.T) {
	for kind, want := range map[string]string{"PROACTIVE": "2 2 2", "NONE": "3 3 0"} {
		inCompute(t, regional(emulate.ComputeGroup{Redistribution: kind}), func(g gce) {
			g.createRegional(9)
			time.Sleep(3 * time.Minute)
			g.deleteZone(region + "-c")
			time.Sleep(40 * time.Second)
			if g.zones() != "3 3 0" {
				g.Errorf("%s, soon: %s", kind, g.zones())
			}
			time.Sleep(20 * time.Minute)
			if g.zones() != want {
				g.Errorf("%s: %s", kind, g.zones())
			}
			if n := g.cloud.Target("web"); n != 6 {
				g.Errorf("%s: target %d", kind, n)
			}
		})
	}
}

func TestAZoneWithoutStockStallsItsShareUnlessTheShapeIsOther(t *testing.T) {
	for shape, want := range map[string]string{"EVEN": "2 0 2", "BALANCED": "3 0 3", "ANY": "6 0 0"} {
		inCompute(t, regional(emulate.ComputeGroup{Shape: shape, Redistribution: "NONE"}), func(g gce) {
			g.world.Plant(emulate.Fault{Name: "sold_out", On: "zones/" + region + "-b"})
			g.createRegional(6)
			time.Sleep(10 * time.Minute)
			if g.zones() != want {
				g.Errorf("%s: %s", shape, g.zones())
			}
			g.world.Heal()
			time.Sleep(10 * time.Minute)
			if shape == "EVEN" && g.zones() != "2 2 2" {
				g.Errorf("%s, after there is stock: %s", shape, g.zones())
			}
		})
	}
}
