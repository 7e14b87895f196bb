package digitalocean

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"flyball/rules"
	"flyball/scaler/pool/emulate"
)

// wanting keeps a pool at a size as the loop does, but less patiently: what was asked for
// and is not listed counts for 15 s after the call failed. No name is used twice.
type wanting struct {
	*cloud
	pool     *Pool
	size     int
	named    int
	expected map[string]time.Time // names, until
	most     int                  // members that were on their way or there at one time, as the cloud has them
}

func (w *wanting) judge() []rules.Member {
	ms := w.look(w.pool)
	n, listed := 0, map[string]bool{}
	for _, m := range ms {
		listed[m.Name] = true
		if m.State == rules.Booting || m.State == rules.Ready {
			n++
		}
	}
	for name, until := range w.expected {
		if listed[name] || !time.Now().Before(until) {
			delete(w.expected, name)
		}
	}
	var fresh []string
	for range w.size - n - len(w.expected) {
		w.named++
		fresh = append(fresh, fmt.Sprintf("web-%d", w.named))
	}
	if len(fresh) > 0 {
		held := 15 * time.Minute
		if err := w.tryGrow(w.pool, fresh...); err != nil {
			held = 15 * time.Second
		}
		for _, name := range fresh {
			w.expected[name] = time.Now().Add(held)
		}
	}
	w.most = max(w.most, len(w.do.Droplets()))
	return ms
}

func TestACreateInDoubtIsCountedUntilItIsKnownAndNeverBoughtTwice(t *testing.T) {
	for _, fault := range []string{"lost_before", "lost_after", "error_503", "slow"} {
		t.Run(fault, func(t *testing.T) {
			inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
				t := c.t
				c.world.Plant(emulate.Fault{Name: "list_lag"})
				w := &wanting{cloud: c, pool: c.pool("web"), size: 3, expected: map[string]time.Time{}}
				c.look(w.pool)
				c.world.Plant(emulate.Fault{Name: fault, On: "POST /v2/droplets", Times: 1})
				began := time.Now()
				for time.Since(began) < 3*time.Minute {
					w.judge()
					time.Sleep(time.Second)
				}
				if got := c.look(w.pool); len(got) != 3 || w.most != 3 {
					t.Errorf("members are %s; there were %d Droplets at one time, want 3", states(got), w.most)
				}
			})
		})
	}
}

func TestACreateThatNeverArrivedBootsUntilThatIsKnownAndThenLeaves(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.pool("web")
		c.ready(p, "web-1")
		c.world.Plant(emulate.Fault{Name: "error_503", On: "POST /v2/droplets", Times: 1})
		if err := c.tryGrow(p, "web-2", "web-3"); !errors.Is(err, errDoubt) {
			t.Fatalf("a create that failed is %v", err)
		}
		began := time.Now()
		var story []string
		for time.Since(began) < 2*time.Minute {
			if is := states(c.look(p)); len(story) == 0 || story[len(story)-1] != is {
				story = append(story, is)
				t.Logf("after %s: %s", time.Since(began), is)
			}
			time.Sleep(time.Second)
		}
		want := []string{"web-1 ready, web-2 booting, web-3 booting", "web-1 ready, web-2 leaving, web-3 leaving", "web-1 ready"}
		if fmt.Sprint(story) != fmt.Sprint(want) {
			t.Errorf("members are %q, want %q", story, want)
		}
		began = time.Now()
		for time.Since(began) < time.Minute {
			c.look(p)
			time.Sleep(time.Second)
		}
		if n := c.asked(began, "GET /v2/droplets?"); n > 5 {
			t.Errorf("%d lists in a minute of rest: the doubt is never forgotten", n)
		}
	})
}

func TestADropletInDoubtIsAMemberBeforeItsTagsCome(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.pool("web")
		c.look(p)
		c.world.Plant(emulate.Fault{Name: "lost_before", On: "POST /v2/droplets", Times: 2})
		_ = c.tryGrow(p, "web-1")
		_ = c.tryGrow(p, "web-2", "web-3")
		ids := []int{c.do.AddStranger("web-1"), c.do.AddStranger("web-2", "flyball")} // the others come later
		c.do.AddStranger("web-3", "pet")
		time.Sleep(2 * time.Second)
		ms := c.look(p)
		if len(ms) != 3 || string(ms[0].ID) != fmt.Sprint(ids[0]) || string(ms[1].ID) != fmt.Sprint(ids[1]) || ms[2].ID != "web-3" {
			t.Errorf("members are %+v, want Droplets %v and one in doubt", ms, ids)
		}
	})
}

func TestADropletInDoubtTakesRoomInTheAccount(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{DropletLimit: 5}, func(c *cloud) {
		t := c.t
		p := c.pool("web")
		c.ready(p, "web-1")
		c.world.Plant(emulate.Fault{Name: "lost_before", On: "POST /v2/droplets", Times: 1})
		_ = c.tryGrow(p, "web-2", "web-3")
		ms, terms, err := p.Look(t.Context())
		if err != nil || len(ms) != 3 || terms.Most != 5 {
			t.Errorf("members are %s, at most %d, %v; want 3 and 5", states(ms), terms.Most, err)
		}
	})
}

func TestDropletsThatWereAcceptedAndNeverMadeLeaveBeforeTheyVanish(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.pool("web")
		c.look(p)
		c.world.Plant(emulate.Fault{Name: "half_create", Times: 1})
		c.grow(p, names(1, 4)...)
		last := map[string]rules.State{}
		c.until("half is known to be missing", func() bool {
			is := map[string]rules.State{}
			for _, m := range c.look(p) {
				is[m.Name] = m.State
			}
			for name, state := range last {
				if _, there := is[name]; !there && state != rules.Leaving {
					t.Errorf("%s vanished when it was %s: that is drift", name, state)
				}
			}
			last = is
			return len(is) == 2
		})
	})
}
