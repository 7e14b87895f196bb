package emulate_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"flyball/scaler/pool/emulate"
)

// befallen are what each fault does, as a client of DigitalOcean sees it. It is planted
// once, for all, before the client does anything.
func befallen() map[string]func(c cloud) {
	return map[string]func(c cloud){
		"error_500": func(c cloud) { c.refused(http.StatusInternalServerError) },
		"error_503": func(c cloud) { c.refused(http.StatusServiceUnavailable) },
		"too_many": func(c cloud) {
			resp := c.refused(http.StatusTooManyRequests)
			if resp.Header.Get("retry-after") != "30" {
				c.Fatalf("it is answered with the headers %v", resp.Header)
			}
		},
		"lost_before": func(c cloud) { c.lost(0) },
		"lost_after":  func(c cloud) { c.lost(1) },
		"slow": func(c cloud) {
			_, _, err := c.c.Droplets.Create(context.Background(), web("web-1"))
			if !errors.Is(err, context.DeadlineExceeded) || len(c.do.Droplets()) != 1 {
				c.Fatalf("after the client's 5 s there are %d Droplets, and %v", len(c.do.Droplets()), err)
			}
		},
		"duplicate": func(c cloud) {
			m, _ := c.create("web-1")
			if ms := c.do.Droplets(); len(ms) != 2 || ms[1].ID != m.ID || ms[0].Name != ms[1].Name {
				c.Fatalf("there are %+v", ms)
			}
		},
		"list_lag":     listsLag,
		"partial_list": partialList,
		"sold_out": func(c cloud) {
			c.unmade(http.StatusUnprocessableEntity)
		},
		"limit": func(c cloud) {
			c.unmade(http.StatusUnprocessableEntity)
		},
		"half_create": halfCreate,
		"accepted_then_gone": func(c cloud) {
			m, resp := c.create("web-1")
			if _, _, err := c.c.Droplets.Get(context.Background(), m.ID); status(err) != http.StatusNotFound {
				c.Fatalf("a Droplet that was accepted is found: %v", err)
			}
			time.Sleep(5 * time.Second)
			if a := c.action(resp.Links.Actions[0].ID); a.Status != "errored" {
				c.Fatalf("its action is %s", a.Status)
			}
			if b := c.do.Bill(); len(c.names()) != 0 || b.Machines != 0 {
				c.Fatalf("there are %v, and %+v", c.names(), b)
			}
		},
		"pending_event": func(c cloud) {
			c.do.AddStranger("web-1")
			id := c.do.Droplets()[0].ID
			if _, err := c.c.Droplets.Delete(context.Background(), id); status(err) != http.StatusUnprocessableEntity {
				c.Fatalf("the first delete answers %v", err)
			}
			if _, err := c.c.Droplets.Delete(context.Background(), id); err != nil {
				c.Fatalf("the second delete answers %v", err)
			}
		},
		"slow_boot": func(c cloud) {
			m, _ := c.create("web-1")
			c.staysFor(m.ID, "new", 199*time.Second)
			time.Sleep(401 * time.Second)
			c.staysFor(m.ID, "active", 0)
		},
		"failed_boot": func(c cloud) {
			m, resp := c.create("web-1")
			c.staysFor(m.ID, "new", time.Hour)
			if a := c.action(resp.Links.Actions[0].ID); a.Status != "errored" {
				c.Fatalf("its action is %s", a.Status)
			}
			if _, err := c.c.Droplets.Delete(context.Background(), m.ID); err != nil {
				c.Fatalf("it cannot be deleted: %v", err)
			}
		},
		"never_ready": func(c cloud) {
			m, _ := c.create("web-1")
			time.Sleep(time.Hour)
			c.staysFor(m.ID, "active", 0)
			if c.do.Droplets()[0].Serving {
				c.Fatal("its program answers")
			}
		},
		"deaf": func(c cloud) {
			id := c.do.AddStranger("web-1")
			a, _, err := c.c.DropletActions.Shutdown(context.Background(), id)
			if err != nil {
				c.Fatal(err)
			}
			time.Sleep(3 * time.Minute)
			if now := c.action(a.ID); now.Status != "errored" || c.get(id).Status != "active" {
				c.Fatalf("the shutdown is %s, the Droplet %s", now.Status, c.get(id).Status)
			}
			if _, _, err := c.c.DropletActions.PowerOff(context.Background(), id); err != nil {
				c.Fatal(err)
			}
			time.Sleep(5 * time.Second)
			c.staysFor(id, "off", 0)
		},
	}
}

func TestEachFaultBefallsADropletAsItsNameSays(t *testing.T) {
	for _, name := range emulate.Names() {
		does, has := befallen()[name]
		if !has {
			t.Errorf("%s: no test says what it does", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
				c.world.Plant(emulate.Fault{Name: name, Times: 1})
				does(c)
				if n := c.world.Befallen(name); n != 1 {
					t.Errorf("it befell %d times", n)
				}
			})
		})
	}
}

// refused says that a create is, with nothing done, and is not when it is asked again.
func (c cloud) refused(with int) *godo.Response {
	c.Helper()
	resp := c.unmade(with)
	if q := c.world.Requests(); q[0].Status != with || q[0].Fault == "" {
		c.Fatalf("the log has %+v", q)
	}
	return resp
}

func (c cloud) unmade(with int) *godo.Response {
	c.Helper()
	_, resp, err := c.c.Droplets.Create(context.Background(), web("web-1"))
	if status(err) != with || len(c.do.Droplets()) != 0 {
		c.Fatalf("a create answers %v, and there are %d Droplets", err, len(c.do.Droplets()))
	}
	c.create("web-1")
	return resp
}

// lost says that the first create's answer is, and how many Droplets are made by it.
func (c cloud) lost(made int) {
	c.Helper()
	_, _, err := c.c.Droplets.Create(context.Background(), web("web-1"))
	if err == nil || status(err) != 0 || len(c.do.Droplets()) != made {
		c.Fatalf("a create answers %v, and there are %d Droplets", err, len(c.do.Droplets()))
	}
	if q := c.world.Requests(); q[0].Status != 0 {
		c.Fatalf("the log has %+v", q)
	}
}

// staysFor says that a Droplet is as it is said to be, now and a while later.
func (c cloud) staysFor(id int, status string, d time.Duration) {
	c.Helper()
	for range 2 {
		if m := c.get(id); m.Status != status {
			c.Fatalf("it is %s", m.Status)
		}
		time.Sleep(d)
		d = 0
	}
}

func (c cloud) action(id int) *godo.Action {
	c.Helper()
	a, _, err := c.c.Actions.Get(context.Background(), id)
	if err != nil {
		c.Fatal(err)
	}
	return a
}

func listsLag(c cloud) {
	m, _ := c.create("web-1")
	if c.get(m.ID).Name != "web-1" || len(c.names()) != 0 {
		c.Fatalf("a new Droplet is in the list: %v", c.names())
	}
	time.Sleep(time.Minute)
	if len(c.names()) != 1 {
		c.Fatal("after a minute it is not in the list")
	}
	c.world.Heal()
	c.world.Plant(emulate.Fault{Name: "list_lag", Times: 1})
	if _, err := c.c.Droplets.Delete(context.Background(), m.ID); err != nil {
		c.Fatal(err)
	}
	time.Sleep(20 * time.Second)
	if _, _, err := c.c.Droplets.Get(context.Background(), m.ID); status(err) != http.StatusNotFound || len(c.names()) != 1 {
		c.Fatalf("one that is gone: %v, list %v", err, c.names())
	}
	time.Sleep(20 * time.Second)
	if len(c.names()) != 0 {
		c.Fatal("it never leaves the list")
	}
}

func partialList(c cloud) {
	for _, name := range []string{"a", "b", "c", "d"} {
		c.do.AddStranger(name)
	}
	if got := c.names(); len(got) != 2 {
		c.Fatalf("the list has %v", got)
	}
	if got := c.names(); len(got) != 4 {
		c.Fatalf("the next list has %v", got)
	}
}

func halfCreate(c cloud) {
	q := &godo.DropletMultiCreateRequest{
		Names: []string{"web-1", "web-2", "web-3"}, Region: "fra1", Size: "s-1vcpu-1gb",
		Image: godo.DropletCreateImage{Slug: "debian-12-x64"},
	}
	ms, resp, err := c.c.Droplets.CreateMultiple(context.Background(), q)
	if err != nil || len(ms) != 3 || len(resp.Links.Actions) != 3 {
		c.Fatalf("it answers %v, %v", ms, err)
	}
	time.Sleep(time.Minute)
	for i, want := range []string{"completed", "errored", "completed"} {
		if a := c.action(resp.Links.Actions[i].ID); a.Status != want {
			c.Errorf("action %d is %s", i, a.Status)
		}
	}
	if got := c.names(); len(got) != 2 {
		c.Fatalf("there are %v", got)
	}
}
