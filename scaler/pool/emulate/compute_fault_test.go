package emulate_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"flyball/scaler/pool/emulate"
)

func TestCreationFailsByNameAndIsTriedUntilItSucceeds(t *testing.T) {
	for fault, code := range map[string]string{"sold_out": "ZONE_RESOURCE_POOL_EXHAUSTED", "limit": "QUOTA_EXCEEDED"} {
		for _, on := range []string{"web-1", "POST /compute/v1/projects/emulated/zones/us-central1-a/instanceGroupManagers/web/createInstances"} {
			inCompute(t, emulate.ComputeOptions{}, func(g gce) {
				g.world.Plant(emulate.Fault{Name: fault, On: on})
				if o := g.wait(g.create("web-1")); o.Error != nil {
					g.Errorf("the operation fails: %+v", o.Error)
				}
				time.Sleep(20 * time.Minute)
				m := g.list()["web-1"]
				if m == nil || m.CurrentAction != "CREATING" || m.InstanceStatus != "" || m.LastAttempt == nil || m.LastAttempt.Errors.Errors[0].Code != code {
					g.Fatalf("%s: %+v", fault, m)
				}
				l, err := g.api.InstanceGroupManagers.ListErrors(project, zone, "web").Do()
				if err != nil || len(l.Items) < 5 || l.Items[0].Error.Code != code || !strings.HasSuffix(l.Items[0].InstanceActionDetails.Instance, "/web-1") {
					g.Errorf("%s: %d errors, %v", fault, len(l.Items), err)
				}
				g.world.Heal(fault)
				time.Sleep(10 * time.Minute)
				if m := g.list()["web-1"]; m.CurrentAction != "NONE" || m.LastAttempt != nil {
					g.Errorf("%s, after it was healed: %+v", fault, m)
				}
			})
		}
	}
}

func TestATargetIsHandedBackByDeletingWhatIsNotCreated(t *testing.T) {
	inCompute(t, emulate.ComputeOptions{Quotas: map[string]float64{"CPUS": 4}}, func(g gce) {
		g.wait(g.create("web-1", "web-2", "web-3"))
		time.Sleep(3 * time.Minute)
		r, err := g.api.Regions.Get(project, region).Do()
		if err != nil || r.Quotas[0].Metric != "CPUS" || r.Quotas[0].Limit != 4 || r.Quotas[0].Usage != 4 {
			g.Errorf("region: %+v, %v", r, err)
		}
		for name, m := range g.list() {
			if m.CurrentAction == "CREATING" && m.LastAttempt.Errors.Errors[0].Code == "QUOTA_EXCEEDED" {
				g.wait(g.delete(true, name))
			}
		}
		time.Sleep(10 * time.Second)
		if n := g.group().TargetSize; n != 2 || len(g.list()) != 2 {
			g.Errorf("target %d, %d members", n, len(g.list()))
		}
	})
}

func TestFaultsOfMembersBefallThem(t *testing.T) {
	for fault, check := range map[string]func(g gce){
		"accepted_then_gone": func(g gce) {
			if len(g.list()) != 0 || g.group().TargetSize != 0 {
				g.Errorf("accepted_then_gone: %v, target %d", g.list(), g.group().TargetSize)
			}
		},
		"half_create": func(g gce) {
			n := g.group().CurrentActions
			if n.Creating != 2 || n.None != 2 {
				g.Errorf("half_create: %+v", n)
			}
		},
		"partial_list": func(g gce) {
			if n := len(g.list()); n != 2 {
				g.Errorf("partial_list: %d", n)
			}
		},
		"never_ready": func(g gce) {
			if is := g.cloud.Instances(); is[0].Serving || is[0].Status != "RUNNING" {
				g.Errorf("never_ready: %+v", is)
			}
		},
		"failed_boot": func(g gce) {
			if is := g.cloud.Instances(); is[0].Serving || is[0].Status != "RUNNING" || !is[0].Addr.IsValid() {
				g.Errorf("failed_boot: %+v", is)
			}
		},
		"deaf": func(g gce) {
			g.wait(g.delete(true, "web-1"))
			time.Sleep(80 * time.Second)
			if m := g.list()["web-1"]; m == nil || m.InstanceStatus != "STOPPING" {
				g.Errorf("deaf: %+v", m)
			}
			time.Sleep(15 * time.Second)
			if m := g.list()["web-1"]; m != nil {
				g.Errorf("deaf: %+v", m)
			}
		},
	} {
		inCompute(t, emulate.ComputeOptions{}, func(g gce) {
			g.world.Plant(emulate.Fault{Name: fault})
			g.wait(g.create("web-1", "web-2", "web-3", "web-4"))
			time.Sleep(5 * time.Minute)
			check(g)
		})
	}
}

func TestListsLagBehind(t *testing.T) {
	inCompute(t, emulate.ComputeOptions{}, func(g gce) {
		g.world.Plant(emulate.Fault{Name: "list_lag", On: "web-1"})
		g.wait(g.create("web-1", "web-2"))
		if l := g.list(); l["web-1"] != nil || l["web-2"] == nil {
			g.Errorf("made: %v", l)
		}
		time.Sleep(2 * time.Minute)
		if l := g.list(); l["web-1"] == nil {
			g.Errorf("after two minutes: %v", l)
		}
		g.wait(g.delete(true, "web-1", "web-2"))
		time.Sleep(20 * time.Second)
		if l := g.list(); len(g.cloud.Instances()) != 0 || l["web-2"] != nil || l["web-1"] == nil || l["web-1"].CurrentAction != "DELETING" {
			g.Errorf("deleted: %v, in truth %v", l, g.cloud.Instances())
		}
		time.Sleep(30 * time.Second)
		if l := g.list(); len(l) != 0 {
			g.Errorf("at last: %v", l)
		}
	})
}

func TestFaultsOfRequestsBefallThem(t *testing.T) {
	for fault, c := range map[string]struct {
		status int // 0: the answer is lost
		reason string
		target int64
	}{
		"error_500":     {500, "backendError", 0},
		"error_503":     {503, "backendError", 0},
		"too_many":      {403, "rateLimitExceeded", 0},
		"pending_event": {400, "resourceNotReady", 0},
		"lost_before":   {0, "", 0},
		"lost_after":    {0, "", 1},
	} {
		inCompute(t, emulate.ComputeOptions{}, func(g gce) {
			g.world.Plant(emulate.Fault{Name: fault, On: "POST", Times: 1})
			_, err := g.api.InstanceGroupManagers.CreateInstances(project, zone, "web", instances("web-1")).Do()
			if c.status != 0 {
				g.refused(err, c.status, c.reason)
			} else if err == nil {
				g.Errorf("%s: there is an answer", fault)
			}
			time.Sleep(time.Minute)
			if n := g.group().TargetSize; n != c.target {
				g.Errorf("%s: target %d", fault, n)
			}
		})
	}
}

func TestTheMinutesQuotaIsRefilledOnTheMinute(t *testing.T) {
	inCompute(t, emulate.ComputeOptions{PerMinute: 3}, func(g gce) {
		time.Sleep(50 * time.Second)
		for range 3 {
			g.group()
		}
		_, err := g.api.InstanceGroupManagers.Get(project, zone, "web").Do()
		g.refused(err, 403, "rateLimitExceeded")
		time.Sleep(10 * time.Second)
		g.group()
	})
}

func TestAWaitGivesUpWithItsRequest(t *testing.T) {
	inCompute(t, emulate.ComputeOptions{}, func(g gce) {
		o := g.create("web-1")
		ctx, cancel := context.WithTimeout(g.ctx, 50*time.Millisecond)
		defer cancel()
		if _, err := g.api.ZoneOperations.Wait(project, zone, o.Name).Context(ctx).Do(); err == nil {
			g.Error("a wait outlived its request")
		}
		if _, err := g.api.ZoneOperations.Wait(project, zone, "operation-none").Do(); err == nil {
			g.Error("waited for an operation that is not there")
		}
		if _, err := g.api.RegionOperations.Get(project, region, o.Name).Do(); err == nil {
			g.Error("a zone's operation is found in the region")
		}
	})
}

func TestWhatAHumanDoesIsSeen(t *testing.T) {
	inCompute(t, emulate.ComputeOptions{}, func(g gce) {
		g.cloud.AddByHand("web", "stray")
		g.cloud.AddByHand("", "alone")
		g.cloud.ResizeByHand("web", 3)
		g.cloud.AddTemplate(emulate.ComputeTemplate{Name: "v2", MachineType: "e2-medium", Labels: map[string]string{"role": "app"}})
		time.Sleep(3 * time.Minute)
		if l := g.list(); l["stray"] == nil || l["alone"] != nil || len(l) != 3 {
			g.Errorf("list: %v", l)
		}
		if _, err := g.api.Instances.Get(project, zone, "alone").Do(); err != nil {
			g.Error(err)
		}
		t, err := g.api.InstanceTemplates.Get(project, "v2").Do()
		if err != nil || t.Properties.MachineType != "e2-medium" || t.Properties.Labels["role"] != "app" {
			g.Errorf("template: %+v, %v", t, err)
		}
		if m, err := g.api.MachineTypes.Get(project, zone, "e2-standard-4").Do(); err != nil || m.GuestCpus != 4 {
			g.Errorf("machine type: %+v, %v", m, err)
		}
		if z, err := g.api.Zones.Get(project, zone).Do(); err != nil || z.Status != "UP" {
			g.Errorf("zone: %+v, %v", z, err)
		}
		g.cloud.DeleteTemplate("web")
		g.wait(g.create("web-1"))
		time.Sleep(time.Minute)
		if m := g.list()["web-1"]; m.LastAttempt == nil || m.LastAttempt.Errors.Errors[0].Code != "RESOURCE_NOT_FOUND" {
			g.Errorf("made of a template that is gone: %+v", m)
		}
		g.cloud.SetQuota("INSTANCES", 1)
		if r, err := g.api.Regions.Get(project, region).Do(); err != nil || r.Quotas[1].Limit != 1 {
			g.Errorf("region: %+v, %v", r, err)
		}
	})
}
