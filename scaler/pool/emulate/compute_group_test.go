package emulate_test

import (
	"testing"
	"time"

	compute "google.golang.org/api/compute/v1"
	"google.golang.org/api/googleapi"

	"flyball/scaler/pool/emulate"
)

// webGroup is one zonal group, with what is told about it.
func webGroup(o emulate.ComputeGroup) emulate.ComputeOptions {
	o.Name, o.Zone = "web", zone
	return emulate.ComputeOptions{
		Groups:    []emulate.ComputeGroup{o},
		Templates: []emulate.ComputeTemplate{{Name: "web", UserData: "one"}, {Name: "web-2", UserData: "two"}},
	}
}

// only is the one instance that there is.
func (g gce) only() emulate.ComputeInstance {
	g.Helper()
	is := g.cloud.Instances()
	if len(is) != 1 {
		g.Fatalf("want one instance, have %+v", is)
	}
	return is[0]
}

func TestResizeGivesNamesAndTakesWhomItLikes(t *testing.T) {
	inCompute(t, webGroup(emulate.ComputeGroup{Base: "app"}), func(g gce) {
		for _, size := range []int64{5, 2} {
			g.wait(g.must(g.api.InstanceGroupManagers.Resize(project, zone, "web", size).Do()))
			time.Sleep(3 * time.Minute)
			is := g.cloud.Instances()
			if len(is) != int(size) || g.group().TargetSize != size || len(is[0].Name) != len("app-xxxx") || !is[0].Serving {
				g.Errorf("resized to %d: %+v", size, is)
			}
		}
	})
}

func TestATemplateIsForNewMembersUntilOldOnesAreRecreated(t *testing.T) {
	inCompute(t, webGroup(emulate.ComputeGroup{Size: 1}), func(g gce) {
		old := g.only()
		const v2 = "global/instanceTemplates/web-2"
		g.wait(g.must(g.api.InstanceGroupManagers.SetInstanceTemplate(project, zone, "web", &compute.InstanceGroupManagersSetInstanceTemplateRequest{InstanceTemplate: v2}).Do()))
		time.Sleep(10 * time.Minute)
		if i := g.only(); i.ID != old.ID || i.Template != "web" || g.group().Status.VersionTarget.IsReached {
			g.Errorf("set: %+v", i)
		}
		url := []string{"zones/" + zone + "/instances/" + old.Name}
		for name, act := range map[string]func(...googleapi.CallOption) (*compute.Operation, error){
			"recreate": g.api.InstanceGroupManagers.RecreateInstances(project, zone, "web", &compute.InstanceGroupManagersRecreateInstancesRequest{Instances: url}).Do,
			"apply":    g.api.InstanceGroupManagers.ApplyUpdatesToInstances(project, zone, "web", &compute.InstanceGroupManagersApplyUpdatesRequest{Instances: url, MinimalAction: "REPLACE"}).Do,
		} {
			was := g.only()
			g.wait(g.must(act()))
			if i := g.only(); i.Action != "RECREATING" {
				g.Errorf("%s: done, and %+v", name, i)
			}
			time.Sleep(3 * time.Minute)
			if i := g.only(); i.ID == was.ID || i.Name != was.Name || i.Template != "web-2" || !i.Serving {
				g.Errorf("%s: %+v, was %+v", name, i, was)
			}
		}
		if !g.group().Status.VersionTarget.IsReached {
			g.Error("the version is not reached")
		}
	})
}

func TestAStaleFingerprintIsRefused(t *testing.T) {
	inCompute(t, webGroup(emulate.ComputeGroup{}), func(g gce) {
		patch := func(m *compute.InstanceGroupManager) (*compute.Operation, error) {
			return g.api.InstanceGroupManagers.Patch(project, zone, "web", m).Do()
		}
		before := g.group()
		g.wait(g.must(patch(&compute.InstanceGroupManager{
			Fingerprint: before.Fingerprint, Versions: []*compute.InstanceGroupManagerVersion{{InstanceTemplate: "global/instanceTemplates/web-2"}},
		})))
		if m := g.group(); m.InstanceTemplate == before.InstanceTemplate || m.UpdatePolicy.Type != "OPPORTUNISTIC" || m.BaseInstanceName != "web" {
			g.Errorf("patched: %+v", m)
		}
		_, err := patch(&compute.InstanceGroupManager{Fingerprint: before.Fingerprint, ListManagedInstancesResults: "PAGINATED"})
		g.refused(err, 412, "conditionNotMet")
		g.wait(g.must(patch(&compute.InstanceGroupManager{ListManagedInstancesResults: "PAGINATED"})))
		if m := g.group(); m.ListManagedInstancesResults != "PAGINATED" {
			g.Errorf("patched without a fingerprint: %+v", m)
		}
	})
}

func TestAbandonedInstancesRunOnOutsideTheGroup(t *testing.T) {
	inCompute(t, webGroup(emulate.ComputeGroup{Size: 1}), func(g gce) {
		was := g.only()
		g.wait(g.must(g.api.InstanceGroupManagers.AbandonInstances(project, zone, "web", &compute.InstanceGroupManagersAbandonInstancesRequest{
			Instances: []string{"zones/" + zone + "/instances/" + was.Name},
		}).Do()))
		time.Sleep(time.Hour)
		if i := g.only(); i.ID != was.ID || i.Group != "" || !i.Serving || g.group().TargetSize != 0 || len(g.list()) != 0 {
			g.Errorf("abandoned: %+v, target %d, list %v", i, g.group().TargetSize, g.list())
		}
	})
}

func TestTheGroupHealsUnderTheSameName(t *testing.T) {
	healed := emulate.ComputeGroup{Size: 1, HealthCheck: "http", InitialDelay: 2 * time.Minute}
	bare := emulate.ComputeGroup{Size: 1}
	left := emulate.ComputeGroup{Size: 1, HealthCheck: "http", OnFailure: "DO_NOTHING"}
	for name, c := range map[string]struct {
		group emulate.ComputeGroup
		harm  func(c *emulate.Compute, name string) bool
		heals bool
	}{
		"a program that died":                {healed, (*emulate.Compute).Kill, true},
		"a program that died, no check":      {bare, (*emulate.Compute).Kill, false},
		"stopped by hand":                    {bare, (*emulate.Compute).StopByHand, true},
		"deleted by hand":                    {bare, (*emulate.Compute).DeleteByHand, true},
		"stopped by hand, left as it is":     {left, (*emulate.Compute).StopByHand, false},
		"a program that died, left as it is": {left, (*emulate.Compute).Kill, false},
	} {
		t.Run(name, func(t *testing.T) {
			inCompute(t, webGroup(c.group), func(g gce) {
				was := g.only()
				if !was.Serving || !c.harm(g.cloud, was.Name) {
					g.Fatalf("before: %+v", was)
				}
				time.Sleep(10 * time.Minute)
				i := g.only()
				if i.Name != was.Name || (i.ID != was.ID) != c.heals || i.Serving != c.heals || g.group().TargetSize != 1 {
					g.Errorf("healed: %+v, was %+v", i, was)
				}
			})
		})
	}
}

func TestAHealthCheckIsWaitedForAndToldPerMember(t *testing.T) {
	inCompute(t, webGroup(emulate.ComputeGroup{HealthCheck: "http", InitialDelay: 5 * time.Minute}), func(g gce) {
		g.wait(g.create("web-1"))
		seen := map[string]bool{}
		for range 120 {
			time.Sleep(time.Second)
			if m := g.list()["web-1"]; m.CurrentAction == "VERIFYING" && m.InstanceHealth != nil {
				seen[m.InstanceHealth[0].DetailedHealthState] = true
			}
		}
		m := g.list()["web-1"]
		if !seen["UNKNOWN"] || m.CurrentAction != "NONE" || m.InstanceHealth[0].DetailedHealthState != "HEALTHY" {
			g.Errorf("verified: %v, then %+v", seen, m)
		}
		g.cloud.Kill("web-1")
		time.Sleep(10 * time.Second)
		if m := g.list()["web-1"]; m.InstanceHealth[0].DetailedHealthState != "UNHEALTHY" {
			g.Errorf("killed: %+v", m)
		}
	})
}

func TestMembersLeaveAfterTheDraining(t *testing.T) {
	inCompute(t, webGroup(emulate.ComputeGroup{Size: 1, Draining: time.Minute}), func(g gce) {
		name := g.only().Name
		g.wait(g.delete(true, name))
		time.Sleep(50 * time.Second)
		if i := g.only(); i.Action != "DELETING" || i.Status != "RUNNING" || !i.Serving {
			g.Errorf("draining: %+v", i)
		}
		time.Sleep(30 * time.Second)
		if is := g.cloud.Instances(); len(is) != 0 {
			g.Errorf("drained: %+v", is)
		}
	})
}

func TestMembersAreBilledByTheSecondUntilTheyAreGone(t *testing.T) {
	inCompute(t, webGroup(emulate.ComputeGroup{Size: 2}), func(g gce) {
		b := g.cloud.Bill()
		if b.Machines != 2 || b.Time != 2*time.Hour || b.USD < 0.03 || b.USD > 0.04 {
			g.Errorf("two e2-small for an hour: %+v", b)
		}
		g.wait(g.must(g.api.InstanceGroupManagers.Resize(project, zone, "web", 0).Do()))
		time.Sleep(10 * time.Minute)
		first := g.cloud.Bill()
		time.Sleep(time.Hour)
		if again := g.cloud.Bill(); again != first || first.Time <= b.Time {
			g.Errorf("gone: %+v, then %+v", first, again)
		}
	})
}

func TestAnUpdatePolicyThatIsProactiveRollsByItself(t *testing.T) {
	for _, method := range []string{"RECREATE", "SUBSTITUTE"} {
		inCompute(t, webGroup(emulate.ComputeGroup{Size: 3}), func(g gce) {
			was := g.cloud.Instances()
			g.wait(g.must(g.api.InstanceGroupManagers.Patch(project, zone, "web", &compute.InstanceGroupManager{
				InstanceTemplate: "global/instanceTemplates/web-2",
				UpdatePolicy:     &compute.InstanceGroupManagerUpdatePolicy{Type: "PROACTIVE", ReplacementMethod: method},
			}).Do()))
			time.Sleep(20 * time.Minute)
			for n, i := range g.cloud.Instances() {
				if i.Template != "web-2" || !i.Serving || (i.Name == was[n].Name) != (method == "RECREATE") {
					g.Errorf("%s: %+v, was %+v", method, i, was[n])
				}
			}
			if n := len(g.cloud.Instances()); n != 3 {
				g.Errorf("%s: %d instances", method, n)
			}
		})
	}
}
