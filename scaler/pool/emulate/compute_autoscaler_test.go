package emulate_test

import (
	"testing"
	"time"

	compute "google.golang.org/api/compute/v1"

	"flyball/scaler/pool/emulate"
)

// scaler is the autoscaler of the group web.
func (g gce) scaler() *compute.Autoscaler {
	g.Helper()
	a, err := g.api.Autoscalers.Get(project, zone, "web").Do()
	if err != nil {
		g.Fatal(err)
	}
	return a
}

// patch changes the autoscaler's policy.
func (g gce) patch(p *compute.AutoscalingPolicy) {
	g.Helper()
	g.wait(g.must(g.api.Autoscalers.Patch(project, zone, &compute.Autoscaler{AutoscalingPolicy: p}).Autoscaler("web").Do()))
}

func TestTheAutoscalerActsByItsModeAndAlwaysAdvises(t *testing.T) {
	for mode, want := range map[string]struct{ high, low int64 }{"ON": {5, 2}, "ONLY_SCALE_OUT": {5, 5}, "OFF": {3, 3}} {
		o := webGroup(emulate.ComputeGroup{Size: 3, Autoscaler: &emulate.ComputeAutoscaler{Mode: mode, Min: 2, Max: 8}})
		inCompute(t, o, func(g gce) {
			g.cloud.SetLoad("web", 3) // of 0.6 each
			time.Sleep(2 * time.Minute)
			if n := g.group().TargetSize; n != want.high || g.scaler().RecommendedSize != 5 {
				g.Errorf("%s, under load: target %d, recommended %d", mode, n, g.scaler().RecommendedSize)
			}
			g.cloud.SetLoad("web", 0.5)
			time.Sleep(8 * time.Minute)
			if n := g.scaler().RecommendedSize; n != 5 {
				g.Errorf("%s, within the stabilization period: recommended %d", mode, n)
			}
			time.Sleep(4 * time.Minute)
			if n := g.group().TargetSize; n != want.low || g.scaler().RecommendedSize != 2 {
				g.Errorf("%s, later: target %d, recommended %d", mode, n, g.scaler().RecommendedSize)
			}
		})
	}
}

func TestAnAutoscaledGroupIsNotResized(t *testing.T) {
	o := webGroup(emulate.ComputeGroup{Size: 2, Autoscaler: &emulate.ComputeAutoscaler{Min: 2}})
	inCompute(t, o, func(g gce) {
		resize := func() (*compute.Operation, error) {
			return g.api.InstanceGroupManagers.Resize(project, zone, "web", 4).Do()
		}
		_, err := resize()
		g.refused(err, 412, "conditionNotMet")
		if a := g.group().Status.Autoscaler; a != g.scaler().SelfLink {
			g.Errorf("the group's autoscaler is %q, want %q", a, g.scaler().SelfLink)
		}
		g.patch(&compute.AutoscalingPolicy{Mode: "OFF"})
		if p := g.scaler().AutoscalingPolicy; p.Mode != "OFF" || p.MinNumReplicas != 2 || p.MaxNumReplicas != 10 {
			g.Errorf("patched: %+v", p)
		}
		if g.wait(g.must(resize())); g.group().TargetSize != 4 {
			g.Errorf("target %d", g.group().TargetSize)
		}
		g.cloud.SetAutoscaler("web", nil)
		if a := g.group().Status.Autoscaler; a != "" {
			g.Errorf("the autoscaler was taken away, and is %q", a)
		}
	})
}

func TestTheFloorOfAnAutoscalerIsAHandle(t *testing.T) {
	o := webGroup(emulate.ComputeGroup{Size: 1, Autoscaler: &emulate.ComputeAutoscaler{}})
	inCompute(t, o, func(g gce) {
		g.patch(&compute.AutoscalingPolicy{MinNumReplicas: 4})
		time.Sleep(2 * time.Minute)
		if n := g.group().CurrentActions.None; n != 4 {
			g.Errorf("the floor is 4, and there are %d", n)
		}
		g.patch(&compute.AutoscalingPolicy{MinNumReplicas: 0, ForceSendFields: []string{"MinNumReplicas"}})
		time.Sleep(20 * time.Minute)
		if n := g.group().TargetSize; n != 0 {
			g.Errorf("the floor is 0, and the target %d", n)
		}
	})
}

func TestAPatchOfAnAutoscalerNamesIt(t *testing.T) {
	o := webGroup(emulate.ComputeGroup{Autoscaler: &emulate.ComputeAutoscaler{Mode: "OFF"}})
	inCompute(t, o, func(g gce) {
		body := &compute.Autoscaler{Name: "web", AutoscalingPolicy: &compute.AutoscalingPolicy{Mode: "ON"}}
		_, err := g.api.Autoscalers.Patch(project, zone, body).Do()
		g.refused(err, 400, "required")
		_, err = g.api.Autoscalers.Patch(project, zone, body).Autoscaler("db").Do()
		g.refused(err, 404, "notFound")
		for _, p := range []*compute.AutoscalingPolicy{{Mode: "MAYBE"}, {MinNumReplicas: 11}, {MaxNumReplicas: 1e9}} {
			_, err = g.api.Autoscalers.Patch(project, zone, &compute.Autoscaler{AutoscalingPolicy: p}).Autoscaler("web").Do()
			g.refused(err, 400, "invalid")
		}
	})
}

func TestARegionalAutoscalerIsFoundInItsRegion(t *testing.T) {
	inCompute(t, regional(emulate.ComputeGroup{Size: 3, Autoscaler: &emulate.ComputeAutoscaler{Mode: "OFF", Name: "web-as"}}), func(g gce) {
		l, err := g.api.RegionAutoscalers.List(project, region).Do()
		if err != nil || len(l.Items) != 1 || l.Items[0].Name != "web-as" || l.Items[0].Region == "" {
			g.Errorf("list: %+v, %v", l, err)
		}
		if a, err := g.api.RegionAutoscalers.Get(project, region, "web-as").Do(); err != nil || a.RecommendedSize != 3 {
			g.Errorf("get: %+v, %v", a, err)
		}
		o := g.must(g.api.RegionAutoscalers.Patch(project, region, &compute.Autoscaler{AutoscalingPolicy: &compute.AutoscalingPolicy{Mode: "ONLY_SCALE_OUT"}}).Autoscaler("web-as").Do())
		g.must(g.api.RegionOperations.Wait(project, region, o.Name).Do())
		if a, err := g.api.RegionAutoscalers.Get(project, region, "web-as").Do(); err != nil || a.AutoscalingPolicy.Mode != "ONLY_SCALE_OUT" {
			g.Errorf("patched: %+v, %v", a, err)
		}
		if l, err := g.api.Autoscalers.List(project, zone).Do(); err != nil || len(l.Items) != 0 {
			g.Errorf("the zone has it too: %+v, %v", l, err)
		}
	})
}
