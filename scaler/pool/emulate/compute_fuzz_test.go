package emulate_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	compute "google.golang.org/api/compute/v1"

	"flyball/scaler/pool/emulate"
)

// staying counts the members that a group keeps.
func staying(c *emulate.Compute) int {
	n := 0
	for _, i := range c.Instances() {
		if i.Group == "web" && !i.Resting && i.Action != "DELETING" && i.Action != "ABANDONING" {
			n++
		}
	}
	return n
}

// FuzzCompute asks whatever is given: the answer is JSON or a redirection of a path
// that is not clean, and the target is always the members that stay.
func FuzzCompute(f *testing.F) {
	const web = "/compute/v1/projects/emulated/zones/us-central1-a/instanceGroupManagers/web"
	f.Add("POST", web+"/createInstances", `{"instances":[{"name":"web-1"},null]}`)
	f.Add("POST", web+"/createInstances?requestId=0f8fad5b-d9cb-469f-a165-70867728950e", `{"instances":[{"name":"web-1"}]}`)
	f.Add("POST", web+"/deleteInstances", `{"instances":["zones/us-central1-a/instances/web-1"],"skipInstancesOnValidationError":true}`)
	f.Add("POST", web+"/applyUpdatesToInstances", `{"allInstances":true,"minimalAction":"RESTART"}`)
	f.Add("POST", web+"/resize?size=3", ``)
	f.Add("POST", web+"/listManagedInstances?maxResults=1&pageToken=MQ==&filter=name%20eq%20web.*", ``)
	f.Add("PATCH", web, `{"versions":[null],"updatePolicy":null,"autoHealingPolicies":[null],"targetSize":2}`)
	f.Add("PATCH", "/compute/v1/projects/emulated/zones/us-central1-a/autoscalers?autoscaler=web", `{"autoscalingPolicy":{"mode":"ON","minNumReplicas":3,"cpuUtilization":null}}`)
	f.Add("GET", "/compute/v1/projects/emulated/zones/us-central1-a/instances?filter=name=web-1", ``)
	f.Add("GET", "/compute/v1/projects/emulated/regions/us-central1", ``)
	f.Add("POST", "/compute/v1/projects/emulated/global/instanceTemplates", `{"name":"web-2","properties":{"machineType":"e2-small","metadata":{"items":[null,{"key":"user-data"}]}}}`)
	f.Add("DELETE", "/compute/v1/projects/emulated/zones/us-central1-a/instances/web-1", ``)
	f.Add("POST", "/token", `assertion=a.b.c`)
	f.Fuzz(func(t *testing.T, method, uri, body string) {
		if len(method+uri+body) > 4096 || !strings.HasPrefix(uri, "/") || strings.HasSuffix(uri, "/wait") {
			t.Skip()
		}
		r, err := http.NewRequest(method, "http://gce.test"+uri, strings.NewReader(body))
		if err != nil {
			t.Skip()
		}
		r.Header.Set("Authorization", "Bearer secret")
		now := time.Unix(0, 0)
		w := emulate.NewWorld(emulate.Options{Now: func() time.Time { return now }})
		o := webGroup(emulate.ComputeGroup{Size: 2, Autoscaler: &emulate.ComputeAutoscaler{Mode: "OFF"}})
		c := emulate.NewCompute(w, o)
		resp, err := c.Transport().RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode/100 != 3 && !json.Valid(got) {
			t.Errorf("%s %s: %d %s", method, uri, resp.StatusCode, got)
		}
		for range 20 {
			now = now.Add(7 * time.Second)
			if n, target := staying(c), c.Target("web"); n != target {
				t.Fatalf("%s %s: target %d, %d stay", method, uri, target, n)
			}
		}
	})
}

// act is one random thing that somebody does to the group.
func (g gce) act(d *rand.Rand) {
	igm := g.api.InstanceGroupManagers
	some := func() []string {
		var out []string
		for _, i := range g.cloud.Instances() {
			if d.IntN(3) == 0 {
				out = append(out, "zones/"+zone+"/instances/"+i.Name)
			}
		}
		return out
	}
	name := fmt.Sprintf("web-%d", d.IntN(12))
	faults := emulate.Names()
	switch d.IntN(14) {
	case 0, 1, 2:
		_, _ = igm.CreateInstances(project, zone, "web", instances(name, name+"-b")).Do() // may be lost
	case 3, 4:
		_, _ = igm.DeleteInstances(project, zone, "web", &compute.InstanceGroupManagersDeleteInstancesRequest{Instances: some(), SkipInstancesOnValidationError: true}).Do()
	case 5:
		_, _ = igm.AbandonInstances(project, zone, "web", &compute.InstanceGroupManagersAbandonInstancesRequest{Instances: some()}).Do()
	case 6:
		_, _ = igm.RecreateInstances(project, zone, "web", &compute.InstanceGroupManagersRecreateInstancesRequest{Instances: some()}).Do()
	case 7:
		_, _ = igm.ApplyUpdatesToInstances(project, zone, "web", &compute.InstanceGroupManagersApplyUpdatesRequest{Instances: some(), MinimalAction: "RESTART"}).Do()
	case 8:
		_, _ = igm.Resize(project, zone, "web", d.Int64N(8)).Do()
	case 9:
		[]func(string) bool{g.cloud.Kill, g.cloud.StopByHand, g.cloud.DeleteByHand}[d.IntN(3)](name)
	case 10:
		g.world.Plant(emulate.Fault{Name: faults[d.IntN(len(faults))], Share: 0.5, Times: 3})
	case 11:
		g.world.Heal()
	case 12:
		_, _ = igm.StopInstances(project, zone, "web", &compute.InstanceGroupManagersStopInstancesRequest{Instances: some()}).Do()
	case 13:
		_, _ = igm.StartInstances(project, zone, "web", &compute.InstanceGroupManagersStartInstancesRequest{Instances: some()}).Do()
	}
}

func TestTheTargetIsAlwaysTheMembersThatStay(t *testing.T) {
	for seed := range uint64(30) {
		d := rand.New(rand.NewPCG(seed, 6))
		o := webGroup(emulate.ComputeGroup{Size: 3, HealthCheck: "http", InitialDelay: 10 * time.Minute})
		inCompute(t, o, func(g gce) {
			for n := range 100 {
				g.act(d)
				time.Sleep(time.Duration(d.IntN(30000)) * time.Millisecond)
				if n, target := staying(g.cloud), g.cloud.Target("web"); n != target {
					g.Fatalf("seed %d: target %d, %d stay", seed, target, n)
				}
				names := map[string]bool{}
				for _, i := range g.cloud.Instances() {
					if key := i.Zone + "/" + i.Name; i.Group != "" && names[key] {
						g.Fatalf("seed %d, after %d: two of %s", seed, n, key)
					} else if i.Group != "" {
						names[key] = true
					}
				}
			}
			g.world.Heal()
			time.Sleep(2 * time.Hour)
			for _, i := range g.cloud.Instances() {
				if i.Group == "web" && !i.Resting && i.Action != "NONE" && i.Status == "" {
					if m := g.list()[i.Name]; m == nil || m.LastAttempt == nil {
						g.Errorf("seed %d: it does not settle: %+v", seed, i)
					}
				}
			}
		})
	}
}

func TestTheSameSeedIsTheSameWorld(t *testing.T) {
	run := func() string {
		var out string
		synctest.Test(t, func(t *testing.T) {
			inWorld := emulate.NewWorld(emulate.Options{Seed: 7})
			c := emulate.NewCompute(inWorld, webGroup(emulate.ComputeGroup{Size: 3}))
			c.ResizeByHand("web", 6)
			time.Sleep(20 * time.Second)
			out = fmt.Sprintf("%+v", c.Instances())
		})
		return out
	}
	if first, again := run(), run(); first != again || !strings.Contains(first, "web-") {
		t.Errorf("first %s\nagain %s", first, again)
	}
}
