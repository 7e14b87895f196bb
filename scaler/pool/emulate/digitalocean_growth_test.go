package emulate_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"flyball/scaler/pool/emulate"
)

func TestAPoolOfARangeIsSteeredByItsEndsEveryFiveMinutes(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
		q := c.fixed(0)
		q.Config = &godo.DropletAutoscaleConfiguration{MinInstances: 2, MaxInstances: 2, TargetCPUUtilization: 0.5, CooldownMinutes: 5}
		p := c.makePool(q)
		time.Sleep(time.Minute)
		q.Config.MinInstances, q.Config.MaxInstances = 4, 4
		c.updatePool(p.ID, q)
		time.Sleep(5 * time.Minute)
		if got := c.members(p.ID); got["active"] != 4 {
			c.Errorf("it has %v", got)
		}
		for name, wrong := range map[string]godo.DropletAutoscaleConfiguration{
			"upside down": {MinInstances: 3, MaxInstances: 2, TargetCPUUtilization: 0.5, CooldownMinutes: 5},
			"hasty":       {MinInstances: 2, MaxInstances: 3, TargetCPUUtilization: 0.5, CooldownMinutes: 4},
			"aimless":     {MinInstances: 2, MaxInstances: 3, CooldownMinutes: 5},
		} {
			q.Config = &wrong
			if _, _, err := c.c.DropletAutoscale.Update(context.Background(), p.ID, q); status(err) != http.StatusUnprocessableEntity {
				c.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestListsOfMembersAndNodesLagToo(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
		c.world.Plant(emulate.Fault{Name: "list_lag"})
		p := c.makePool(c.fixed(2))
		cl := c.do.AddCluster("prod", "fra1")
		id := c.do.AddNodePool(cl, "web", "s-2vcpu-4gb", 2)
		if len(c.do.Droplets()) != 4 || len(c.members(p.ID)) != 0 || len(c.nodePool(cl, id).Nodes) != 0 {
			c.Fatalf("at once there are %v and %s", c.members(p.ID), nodes(c.nodePool(cl, id)))
		}
		time.Sleep(2 * time.Minute)
		victim := c.nodePool(cl, id).Nodes[0].ID
		if _, err := c.c.Kubernetes.DeleteNode(context.Background(), cl, id, victim, &godo.KubernetesNodeDeleteRequest{SkipDrain: true}); err != nil {
			c.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		if got := nodes(c.nodePool(cl, id)); got != "deleting running" || len(c.do.Droplets()) != 3 {
			c.Fatalf("one that is gone: there are %s", got)
		}
		time.Sleep(30 * time.Second)
		if got := nodes(c.nodePool(cl, id)); got != "running" {
			c.Fatalf("later there are %s", got)
		}
	})
}

func TestAPoolThatCannotGrowSaysWhyInItsHistory(t *testing.T) {
	for _, fault := range []string{"sold_out", "limit"} {
		inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
			c.world.Plant(emulate.Fault{Name: fault, On: "POST /v2/droplets/autoscale"})
			p := c.makePool(c.fixed(2))
			events, _, err := c.c.DropletAutoscale.ListHistory(context.Background(), p.ID, nil)
			if err != nil || len(events) != 1 || events[0].Status != "error" || events[0].ErrorReason == "" || p.Status != "error" {
				c.Fatalf("%s: its history is %+v, %v", fault, events, err)
			}
			c.world.Heal()
			time.Sleep(11 * time.Minute)
			if got := c.members(p.ID); got["active"] != 2 {
				c.Fatalf("%s: when there are some again it has %v", fault, got)
			}
		})
	}
}

func TestAllThatAPoolNeedsIsMadeOverTheAPI(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
		ctx := context.Background()
		k, _, err := c.c.Keys.Create(ctx, &godo.KeyCreateRequest{Name: "ops", PublicKey: "ssh-ed25519 AAAA"})
		if err != nil {
			c.Fatal(err)
		}
		if got, _, err := c.c.Keys.GetByID(ctx, k.ID); err != nil || got.Fingerprint != k.Fingerprint {
			c.Errorf("the key is %v, %v", got, err)
		}
		q := &godo.KubernetesClusterCreateRequest{Name: "prod", RegionSlug: "fra1", NodePools: []*godo.KubernetesNodePoolCreateRequest{
			{Name: "web", Size: "s-2vcpu-4gb", Count: 2, AutoScale: true, MinNodes: 3, MaxNodes: 5},
		}}
		cl, _, err := c.c.Kubernetes.Create(ctx, q)
		if err != nil || cl.NodePools[0].Count != 3 || len(cl.NodePools[0].Nodes) != 3 {
			c.Fatalf("the cluster is %+v, %v", cl, err)
		}
		q.NodePools[0].MaxNodes = 2
		if _, _, err := c.c.Kubernetes.Create(ctx, q); status(err) != http.StatusUnprocessableEntity {
			c.Errorf("a range upside down: %v", err)
		}
		if c.do.AddCluster("x", "mars1") != "" || c.do.AddBalancer("mars1", "x") != "" || c.do.AddNodePool("none", "x", "c-2", 1) != "" {
			c.Error("things are made where there is no place for them")
		}
	})
}

func TestANodePoolThatCannotGrowIsRefusedOrWaits(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{DropletLimit: 2}, func(c cloud) {
		ctx, n := context.Background(), 3
		cl := c.do.AddCluster("prod", "fra1")
		id := c.do.AddNodePool(cl, "web", "s-2vcpu-4gb", 3)
		if got := c.nodePool(cl, id); got.Count != 3 || len(got.Nodes) != 2 {
			c.Fatalf("it has %d of %d", len(got.Nodes), got.Count)
		}
		c.do.SetDropletLimit(4)
		time.Sleep(2 * time.Minute)
		if got := c.nodePool(cl, id); len(got.Nodes) != 3 {
			c.Fatalf("when there is room it has %s", nodes(got))
		}
		for _, fault := range []string{"sold_out", "limit"} {
			n = 4
			c.world.Plant(emulate.Fault{Name: fault, Times: 1})
			_, _, err := c.c.Kubernetes.UpdateNodePool(ctx, cl, id, &godo.KubernetesNodePoolUpdateRequest{Name: "web", Count: &n})
			if status(err) != http.StatusUnprocessableEntity {
				c.Errorf("%s: %v", fault, err)
			}
		}
		if _, _, err := c.c.Kubernetes.UpdateNodePool(ctx, cl, id, &godo.KubernetesNodePoolUpdateRequest{Name: "web"}); status(err) != http.StatusUnprocessableEntity {
			c.Errorf("no count: %v", err)
		}
		if _, _, err := c.c.Kubernetes.GetNodePool(ctx, cl, "none"); status(err) != http.StatusNotFound {
			c.Errorf("no such pool: %v", err)
		}
	})
}
