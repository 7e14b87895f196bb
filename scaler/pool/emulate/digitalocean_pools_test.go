package emulate_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"flyball/scaler/pool/emulate"
)

// fixed is a pool of a fixed size.
func (c cloud) fixed(n uint64) *godo.DropletAutoscalePoolRequest {
	_, print := c.do.AddKey("ops")
	return &godo.DropletAutoscalePoolRequest{
		Name:   "web",
		Config: &godo.DropletAutoscaleConfiguration{TargetNumberInstances: n},
		DropletTemplate: &godo.DropletAutoscaleResourceTemplate{
			Size: "s-1vcpu-1gb", Region: "fra1", Image: "ubuntu-24-04-x64", SSHKeys: []string{print}, Tags: []string{"web"},
		},
	}
}

// members are those of a pool, by their states.
func (c cloud) members(id string) map[string]int {
	c.Helper()
	ms, _, err := c.c.DropletAutoscale.ListMembers(context.Background(), id, &godo.ListOptions{PerPage: 200})
	if err != nil {
		c.Fatal(err)
	}
	out := map[string]int{}
	for _, m := range ms {
		out[m.Status]++
	}
	return out
}

func (c cloud) makePool(q *godo.DropletAutoscalePoolRequest) *godo.DropletAutoscalePool {
	c.Helper()
	p, resp, err := c.c.DropletAutoscale.Create(context.Background(), q)
	if err != nil || resp.StatusCode != http.StatusAccepted {
		c.Fatalf("a pool is not accepted: %v", err)
	}
	return p
}

func (c cloud) updatePool(id string, q *godo.DropletAutoscalePoolRequest) {
	c.Helper()
	if _, _, err := c.c.DropletAutoscale.Update(context.Background(), id, q); err != nil {
		c.Fatal(err)
	}
}

func TestAPoolOfAFixedSizeChangesItOnceInTenMinutes(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
		q := c.fixed(3)
		p := c.makePool(q)
		if got := c.members(p.ID); got["provisioning"] != 3 {
			c.Fatalf("a new pool has %v", got)
		}
		time.Sleep(time.Minute)
		q.Config.TargetNumberInstances = 5
		c.updatePool(p.ID, q)
		time.Sleep(8 * time.Minute)
		if got := c.members(p.ID); got["active"] != 3 {
			c.Fatalf("before the cooldown is over it has %v", got)
		}
		time.Sleep(2 * time.Minute)
		if got := c.members(p.ID); got["active"] != 5 {
			c.Fatalf("when it is over it has %v", got)
		}
		time.Sleep(10 * time.Minute)
		q.Config.TargetNumberInstances = 1
		c.updatePool(p.ID, q)
		if got := c.members(p.ID); got["deleting"] != 4 || got["active"] != 1 {
			c.Fatalf("when it is to shrink it has %v", got)
		}
		time.Sleep(time.Minute)
		if got := c.members(p.ID); len(c.do.Droplets()) != 1 || got["active"] != 1 {
			c.Fatalf("then it has %v", got)
		}
		events, _, err := c.c.DropletAutoscale.ListHistory(context.Background(), p.ID, nil)
		if err != nil || len(events) != 5 || events[0].Reason != "SCALE_DOWN" || events[0].Status != "success" || events[2].Reason != "SCALE_UP" {
			c.Fatalf("its history is %+v, %v", events, err)
		}
	})
}

func TestAPoolIsRefusedWhatItCannotBe(t *testing.T) {
	for name, spoil := range map[string]func(q *godo.DropletAutoscalePoolRequest){
		"a size of none, which godo leaves out": func(q *godo.DropletAutoscalePoolRequest) { q.Config.TargetNumberInstances = 0 },
		"too many":                              func(q *godo.DropletAutoscalePoolRequest) { q.Config.TargetNumberInstances = 1001 },
		"no configuration":                      func(q *godo.DropletAutoscalePoolRequest) { q.Config = nil },
		"no template":                           func(q *godo.DropletAutoscalePoolRequest) { q.DropletTemplate = nil },
		"no key":                                func(q *godo.DropletAutoscalePoolRequest) { q.DropletTemplate.SSHKeys = nil },
		"another name":                          func(q *godo.DropletAutoscalePoolRequest) { q.Name = "other" },
		"no image":                              func(q *godo.DropletAutoscalePoolRequest) { q.DropletTemplate.Image = "none" },
		"a range and a size":                    func(q *godo.DropletAutoscalePoolRequest) { q.Config.MinInstances = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
				q := c.fixed(1)
				p := c.makePool(q)
				spoil(q)
				if _, _, err := c.c.DropletAutoscale.Update(context.Background(), p.ID, q); status(err) != http.StatusUnprocessableEntity {
					// godo hides the answer of an update that failed in its error only.
					c.Fatalf("it answers %v", err)
				}
			})
		})
	}
}

func TestAPoolMakesAgainWhatAHumanDeletedAndSaysWhenItCannot(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
		p := c.makePool(c.fixed(2))
		time.Sleep(11 * time.Minute)
		c.do.SetDropletLimit(1)
		c.do.Destroy(c.do.Droplets()[0].Name)
		c.do.PowerOff(c.do.Droplets()[1].Name)
		time.Sleep(time.Minute)
		if got := c.members(p.ID); got["off"] != 1 || len(got) != 1 {
			c.Fatalf("it has %v", got)
		}
		now, _, err := c.c.DropletAutoscale.Get(context.Background(), p.ID)
		if err != nil || now.Status != "error" {
			c.Fatalf("it is %+v, %v", now, err)
		}
		c.do.SetDropletLimit(5)
		time.Sleep(12 * time.Minute)
		if got := c.members(p.ID); got["active"] != 1 || got["off"] != 1 {
			c.Fatalf("it has %v", got)
		}
	})
}

func TestAnotherTemplateReplacesAPoolsDropletsOneByOne(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
		q := c.fixed(3)
		p := c.makePool(q)
		time.Sleep(time.Minute)
		q.DropletTemplate.Image = "debian-12-x64"
		c.updatePool(p.ID, q)
		time.Sleep(5 * time.Minute)
		for _, m := range c.do.Droplets() {
			if m.Image != "debian-12-x64" || m.Status != "active" {
				c.Errorf("there is %+v", m)
			}
		}
		if got := c.members(p.ID); got["active"] != 3 {
			c.Errorf("it has %v", got)
		}
	})
}

func TestAPoolGoesWithItsDropletsOnlyIfThatIsSaid(t *testing.T) {
	for _, isDangerous := range []bool{false, true} {
		inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
			p := c.makePool(c.fixed(2))
			del, left := c.c.DropletAutoscale.Delete, 2
			if isDangerous {
				del, left = c.c.DropletAutoscale.DeleteDangerous, 0
			}
			if _, err := del(context.Background(), p.ID); err != nil {
				c.Fatal(err)
			}
			if ps, _, err := c.c.DropletAutoscale.List(context.Background(), nil); err != nil || len(ps) != 1 || ps[0].Status != "deleting" {
				c.Fatalf("at once there are %v, %v", ps, err)
			}
			time.Sleep(time.Minute)
			if ps, _, err := c.c.DropletAutoscale.List(context.Background(), nil); err != nil || len(ps) != 0 || len(c.do.Droplets()) != left {
				c.Fatalf("later there are %v, %v, and %d Droplets", ps, err, len(c.do.Droplets()))
			}
		})
	}
}

func TestANodePoolIsResizedAndLosesTheNodesThatAreNamed(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
		ctx, k := context.Background(), c.c.Kubernetes
		cl := c.do.AddCluster("prod", "fra1")
		id := c.do.AddNodePool(cl, "web", "s-2vcpu-4gb", 2)
		time.Sleep(time.Minute)
		resize := func(n int) *godo.KubernetesNodePool {
			c.Helper()
			p, resp, err := k.UpdateNodePool(ctx, cl, id, &godo.KubernetesNodePoolUpdateRequest{Name: "web", Count: &n})
			if err != nil || resp.StatusCode != http.StatusAccepted {
				c.Fatalf("a resize answers %v", err)
			}
			return p
		}
		if p := resize(4); p.Count != 4 || nodes(p) != "provisioning provisioning running running" {
			c.Fatalf("it has %s", nodes(p))
		}
		time.Sleep(time.Minute)
		ps, _, err := k.ListNodePools(ctx, cl, nil)
		if err != nil || len(ps) != 1 || nodes(ps[0]) != "running running running running" {
			c.Fatalf("the pools are %v, %v", ps, err)
		}
		victim := ps[0].Nodes[1]
		if resp, err := k.DeleteNode(ctx, cl, id, victim.ID, nil); err != nil || resp.StatusCode != http.StatusAccepted {
			c.Fatal(err)
		}
		p := c.nodePool(cl, id)
		if p.Count != 3 || p.Nodes[1].ID != victim.ID || p.Nodes[1].Status.State != "draining" {
			c.Fatalf("after a delete it has %d: %s", p.Count, nodes(p))
		}
		hard := &godo.KubernetesNodeDeleteRequest{SkipDrain: true, Replace: true}
		if _, err := k.DeleteNode(ctx, cl, id, p.Nodes[0].ID, hard); err != nil {
			c.Fatal(err)
		}
		if p = c.nodePool(cl, id); p.Count != 3 || nodes(p) != "deleting draining provisioning running running" {
			c.Fatalf("after a replacement it has %d: %s", p.Count, nodes(p))
		}
		time.Sleep(2 * time.Minute)
		resize(1)
		time.Sleep(2 * time.Minute)
		if p = c.nodePool(cl, id); nodes(p) != "running" || len(c.do.Droplets()) != 1 {
			c.Fatalf("at last it has %s", nodes(p))
		}
		c.do.Destroy(c.do.Droplets()[0].Name)
		time.Sleep(2 * time.Minute)
		if p = c.nodePool(cl, id); nodes(p) != "running" {
			c.Fatalf("a node that a human deleted is not made again: %s", nodes(p))
		}
	})
}

func TestANodePoolThatScalesByItselfKeepsItsRange(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
		cl := c.do.AddCluster("prod", "fra1")
		id := c.do.AddNodePool(cl, "web", "s-2vcpu-4gb", 2)
		c.do.AutoScale(id, 2, 3)
		n := 9
		p, _, err := c.c.Kubernetes.UpdateNodePool(context.Background(), cl, id, &godo.KubernetesNodePoolUpdateRequest{Name: "web", Count: &n})
		if err != nil || p.Count != 3 || !p.AutoScale {
			c.Fatalf("it answers %+v, %v", p, err)
		}
		n = 30
		c.do.AutoScale(id, 0, 0)
		if _, _, err = c.c.Kubernetes.UpdateNodePool(context.Background(), cl, id, &godo.KubernetesNodePoolUpdateRequest{Name: "web", Count: &n}); status(err) != http.StatusUnprocessableEntity {
			c.Fatalf("more than the limit: %v", err)
		}
		if cs, _, err := c.c.Kubernetes.List(context.Background(), nil); err != nil || len(cs) != 1 || cs[0].NodePools[0].Count != 3 {
			c.Fatalf("the clusters are %v, %v", cs, err)
		}
	})
}

func (c cloud) nodePool(cluster, id string) *godo.KubernetesNodePool {
	c.Helper()
	p, _, err := c.c.Kubernetes.GetNodePool(context.Background(), cluster, id)
	if err != nil {
		c.Fatal(err)
	}
	return p
}

// nodes are the states of a pool's nodes, sorted.
func nodes(p *godo.KubernetesNodePool) string {
	var out []string
	for _, n := range p.Nodes {
		out = append(out, n.Status.State)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestABalancerFindsItsDropletsByTheirTagAndAsksHowTheyAre(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
		ctx := context.Background()
		lb := c.do.AddBalancer("fra1", "lb")
		m, _ := c.create("web-1")
		time.Sleep(time.Minute)
		if _, err := c.c.Tags.TagResources(ctx, "lb", tagged(m.ID)); err != nil {
			c.Fatal(err)
		}
		if len(c.do.Backends(lb)) != 0 {
			c.Fatal("a tag is noticed at once")
		}
		time.Sleep(10 * time.Second)
		c.behind(lb, 1, false)
		time.Sleep(30 * time.Second)
		c.behind(lb, 1, true)
		c.do.Kill("web-1")
		time.Sleep(45 * time.Second)
		c.behind(lb, 1, true)
		time.Sleep(10 * time.Second)
		c.behind(lb, 1, false)
		if _, err := c.c.Tags.UntagResources(ctx, "lb", &godo.UntagResourcesRequest{Resources: tagged(m.ID).Resources}); err != nil {
			c.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		c.behind(lb, 0, false)
		if _, err := c.c.LoadBalancers.AddDroplets(ctx, lb, m.ID); status(err) != http.StatusUnprocessableEntity {
			c.Fatalf("a balancer with a tag is given a Droplet: %v", err)
		}
	})
}

func TestADropletThatIsDeletedWhileItIsBehindABalancerIsMissedLate(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
		lb := c.do.AddBalancer("fra1", "web")
		m, _ := c.create("web-1")
		c.do.Tag("web-1", "web")
		time.Sleep(3 * time.Minute)
		c.behind(lb, 1, true)
		if _, err := c.c.Droplets.Delete(context.Background(), m.ID); err != nil {
			c.Fatal(err)
		}
		time.Sleep(40 * time.Second)
		c.behind(lb, 1, true)
		time.Sleep(20 * time.Second)
		c.behind(lb, 0, false)
	})
}

func TestABalancerWithoutATagIsGivenTenAtMost(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
		ctx, lb := context.Background(), c.do.AddBalancer("nyc1", "")
		var ids []int
		for _, n := range strings.Split("abcdefghijk", "") {
			ids = append(ids, c.do.AddStranger(n))
		}
		if _, err := c.c.LoadBalancers.AddDroplets(ctx, lb, ids...); status(err) != http.StatusUnprocessableEntity {
			c.Fatalf("eleven: %v", err)
		}
		if _, err := c.c.LoadBalancers.AddDroplets(ctx, lb, ids[:10]...); err != nil {
			c.Fatal(err)
		}
		time.Sleep(40 * time.Second)
		c.behind(lb, 10, true)
		if _, err := c.c.LoadBalancers.RemoveDroplets(ctx, lb, ids[:9]...); err != nil {
			c.Fatal(err)
		}
		time.Sleep(40 * time.Second)
		c.behind(lb, 1, true)
		if lbs, _, err := c.c.LoadBalancers.List(ctx, nil); err != nil || len(lbs) != 1 || lbs[0].Tag != "" {
			c.Fatalf("the balancers are %v, %v", lbs, err)
		}
	})
}

// behind says how many Droplets are behind a balancer, and whether all of them are well.
func (c cloud) behind(lb string, n int, healthy bool) {
	c.Helper()
	b, _, err := c.c.LoadBalancers.Get(context.Background(), lb)
	if err != nil || len(b.DropletIDs) != n || len(c.do.Backends(lb)) != n {
		c.Fatalf("behind it are %v, %v; in truth %v", b, err, c.do.Backends(lb))
	}
	for _, e := range c.do.Backends(lb) {
		if e.Healthy != healthy {
			c.Fatalf("it is seen as healthy: %v, %+v", e.Healthy, e)
		}
	}
}
