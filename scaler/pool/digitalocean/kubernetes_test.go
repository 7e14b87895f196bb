package digitalocean

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
	"flyball/scaler/pool/emulate"
	"flyball/scaler/pool/pooltest"
)

// withNodes makes a node pool and configures it.
func (c *cloud) withNodes(count int) *nodes {
	c.t.Helper()
	cluster := c.do.AddCluster("prod", "fra1")
	pool := c.do.AddNodePool(cluster, "web", "s-1vcpu-2gb", count)
	c.config.Droplets, c.config.Endpoint = nil, realEndpoint
	c.config.Kubernetes = &Kubernetes{Cluster: cluster, NodePool: pool}
	time.Sleep(2 * time.Minute)
	return c.nodes()
}

// nodes is the pool as a program has it that just started, or goes on.
func (c *cloud) nodes() *nodes {
	c.t.Helper()
	p, ok := c.pool("web").Pool.(*nodes)
	if !ok {
		c.t.Fatal("the configuration does not make a node pool")
	}
	return p
}

func TestANodePoolIsAPoolThatTakesASizeAndVictims(t *testing.T) {
	pooltest.RunInBubbles(t, func(t *testing.T) pooltest.Harness {
		c := newCloud(t, emulate.DigitalOceanOptions{})
		return pooltest.Harness{
			Pool: c.withNodes(1), Least: 1, Pace: time.Second,
			Settle: func(*testing.T) { time.Sleep(3 * time.Minute) },
			Again: func(*testing.T) scaler.Pool {
				c.restart()
				return c.nodes()
			},
		}
	})
}

func TestANodePoolIsLookedAtWithItsTerms(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{DropletLimit: 7}, func(c *cloud) {
		t := c.t
		p := c.withNodes(2)
		c.do.AddStranger("bastion")
		time.Sleep(time.Minute)
		ms, terms, err := p.Look(t.Context())
		want := rules.Terms{Victims: true, Drains: true, Most: 6, Price: 0.01786, Currency: "USD"}
		if err != nil || terms != want {
			t.Errorf("terms are %+v, %v; want %+v", terms, err, want)
		}
		for _, m := range ms {
			if m.State != rules.Ready || !strings.HasSuffix(m.Addr, ":8080") || !strings.HasPrefix(m.Name, "web-") {
				t.Errorf("member %+v, want one that is up, with its address", m)
			}
		}
	})
}

func TestANodeThatEndsIsDrainedFirst(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.withNodes(3)
		victim := c.look(p)[0]
		began := time.Now()
		for range 3 {
			if err := c.remove(p, victim.ID); err != nil {
				t.Fatal(err)
			}
			if ms := c.look(p); ms[0].ID != victim.ID || ms[0].State != rules.Leaving || !strings.Contains(ms[0].Note, nodeDraining) {
				t.Errorf("the victim is %+v, want it draining", ms[0])
			}
			time.Sleep(5 * time.Second)
		}
		if all, hard := c.asked(began, "DELETE "), c.asked(began, "DELETE /v2/kubernetes/clusters/"+p.spec.Cluster+"/node_pools/"+p.spec.NodePool+"/nodes/"+string(victim.ID)+"?"); all != 1 || hard != 0 {
			t.Errorf("it was deleted %d times, %d of them with conditions; want once, drained", all, hard)
		}
		c.until("it is gone", func() bool { return len(c.look(p)) == 2 })
	})
}

// Failure mode 21.
func TestTheNodeThatFlyballRunsOnIsNeverEnded(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.withNodes(3)
		ms := c.look(p)
		for _, d := range c.do.Droplets() {
			if d.Name == ms[0].Name {
				c.self = d.ID
			}
		}
		if ms := c.look(p); !ms[0].Kept || ms[1].Kept || ms[2].Kept || !strings.Contains(ms[0].Note, "Flyball runs on it") {
			t.Errorf("members are %+v, want the first of them kept", ms)
		}
		if err := c.remove(p, ms[0].ID, ms[1].ID); !errors.Is(err, ErrSelf) {
			t.Errorf("it is asked to end: %v", err)
		}
		c.until("the other one is gone", func() bool { return len(c.look(p)) == 2 })
		if left := c.look(p); left[0].ID != ms[0].ID || left[0].State != rules.Ready {
			t.Errorf("members are %s", states(left))
		}
	})
}

func TestANodePoolThatScalesByItselfIsLeftAlone(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.withNodes(2)
		c.do.AutoScale(p.spec.NodePool, 1, 4)
		ms, terms, err := p.Look(t.Context())
		if err != nil || len(ms) != 2 || !strings.Contains(terms.Drift, "scales by itself, between 1 and 4") {
			t.Errorf("Look: %s, drift %q, %v; want two members and its drift", states(ms), terms.Drift, err)
		}
		began := time.Now()
		for _, err := range []error{p.Grow(t.Context(), to(journal.Grow, 4)), c.remove(p, ms[0].ID)} {
			if err == nil || !strings.Contains(err.Error(), "--auto-scale=false") {
				t.Errorf("got %v, want what to do", err)
			}
		}
		if n := c.asked(began, "PUT ") + c.asked(began, "DELETE "); n != 0 {
			t.Errorf("it was changed %d times", n)
		}
	})
}

func TestANodeEndsOnceWhateverBecomesOfTheAnswer(t *testing.T) {
	for _, fault := range []string{"lost_before", "lost_after", "error_503", "duplicate"} {
		t.Run(fault, func(t *testing.T) {
			inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
				t := c.t
				p := c.withNodes(4)
				ms := c.look(p)
				c.world.Plant(emulate.Fault{Name: fault, On: "DELETE ", Times: 1})
				err := c.remove(p, ms[0].ID, ms[2].ID)
				if (err == nil) != (fault == "duplicate") {
					t.Errorf("the first time: %v", err)
				}
				if err := c.remove(p, ms[0].ID, ms[2].ID); err != nil {
					t.Errorf("repeated: %v", err)
				}
				time.Sleep(5 * time.Minute)
				left := c.look(p)
				if len(left) != 2 || left[0].ID != ms[1].ID || left[1].ID != ms[3].ID {
					t.Errorf("of %s these are left: %s", states(ms), states(left))
				}
			})
		})
	}
}

func TestANodePoolBeyondTheLimitLacksCapacity(t *testing.T) {
	for _, fault := range []string{"sold_out", "limit"} {
		t.Run(fault, func(t *testing.T) {
			inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
				t := c.t
				p := c.withNodes(1)
				c.world.Plant(emulate.Fault{Name: fault})
				if err := p.Grow(t.Context(), to(journal.Grow, 3)); !errors.Is(err, scaler.ErrNoCapacity) {
					t.Errorf("got %v, want that there is no capacity", err)
				}
			})
		})
	}
}

func TestANodeWhoseDropletIsOffIsDead(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.withNodes(2)
		off := c.look(p)[1]
		c.do.PowerOff(off.Name)
		c.until("it is dead", func() bool { return c.look(p)[1].State == rules.Dead })
		if err := c.remove(p, off.ID); err != nil {
			t.Fatal(err)
		}
		c.until("it is gone", func() bool {
			return !slices.ContainsFunc(c.look(p), func(m rules.Member) bool { return m.ID == off.ID })
		})
	})
}

func TestAnUnknownNodePoolIsNamed(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		c.withNodes(1)
		c.config.Kubernetes.NodePool = "00000000-0000-4000-8000-000000000009"
		p := c.nodes()
		_, _, err := p.Look(t.Context())
		for _, err := range []error{err, p.Grow(t.Context(), to(journal.Grow, 2)), c.remove(p, "x")} {
			if err == nil || !strings.Contains(err.Error(), "doctl kubernetes cluster node-pool list") {
				t.Errorf("got %v, want where to copy the id from", err)
			}
		}
	})
}
