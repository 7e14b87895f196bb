package emulate_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digitalocean/godo"

	"flyball/scaler/pool/emulate"
)

// cloud is an account and its client.
type cloud struct {
	*testing.T
	world *emulate.World
	do    *emulate.DigitalOcean
	c     *godo.Client
}

// inBubble runs a test in simulated time.
func inBubble(t *testing.T, o emulate.DigitalOceanOptions, f func(c cloud)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := emulate.NewWorld(emulate.Options{Seed: 1})
		do := emulate.NewDigitalOcean(w, o)
		f(cloud{t, w, do, client(t, do, "secret")})
	})
}

func client(t *testing.T, do *emulate.DigitalOcean, token string) *godo.Client {
	t.Helper()
	c, err := godo.New(&http.Client{Transport: bearer{do.Transport(), token}, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// bearer puts a token into requests.
type bearer struct {
	next  http.RoundTripper
	token string
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if b.token != "" {
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	return b.next.RoundTrip(r)
}

// web is what the tests make.
func web(name string) *godo.DropletCreateRequest {
	return &godo.DropletCreateRequest{
		Name: name, Region: "fra1", Size: "s-1vcpu-1gb",
		Image: godo.DropletCreateImage{Slug: "ubuntu-24-04-x64"}, Tags: []string{"flyball", "pool-web"},
	}
}

// create makes a Droplet that is accepted.
func (c cloud) create(name string) (*godo.Droplet, *godo.Response) {
	c.Helper()
	m, resp, err := c.c.Droplets.Create(context.Background(), web(name))
	if err != nil {
		c.Fatal(err)
	}
	return m, resp
}

// get asks for a Droplet that there is.
func (c cloud) get(id int) *godo.Droplet {
	c.Helper()
	m, _, err := c.c.Droplets.Get(context.Background(), id)
	if err != nil {
		c.Fatal(err)
	}
	return m
}

// names are those in the list.
func (c cloud) names() []string {
	c.Helper()
	ms, _, err := c.c.Droplets.List(context.Background(), &godo.ListOptions{PerPage: 200})
	if err != nil {
		c.Fatal(err)
	}
	var out []string
	for _, m := range ms {
		out = append(out, m.Name)
	}
	return out
}

// status is that of the answer which an error came with, or 0.
func status(err error) int {
	if e, ok := err.(*godo.ErrorResponse); ok {
		return e.Response.StatusCode
	}
	return 0
}

func TestADropletLivesFromAcceptedToGone(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
		ctx := context.Background()
		m, resp := c.create("web-1")
		if resp.StatusCode != http.StatusAccepted || m.Status != "new" || len(m.Networks.V4) > 0 {
			c.Fatalf("a create answers %d, %s, %v", resp.StatusCode, m.Status, m.Networks)
		}
		link := resp.Links.Actions[0]
		a, _, err := c.c.DropletActions.GetByURI(ctx, link.HREF)
		if err != nil || a.Status != godo.ActionInProgress || a.Type != "create" {
			c.Fatalf("its action is %+v, %v", a, err)
		}
		time.Sleep(time.Minute)
		m = c.get(m.ID)
		addr, _ := m.PrivateIPv4()
		if m.Status != "active" || addr != "10.0.0.1" || len(m.Tags) != 2 || m.SizeSlug != "s-1vcpu-1gb" {
			c.Fatalf("after a minute it is %s at %q with tags %v", m.Status, addr, m.Tags)
		}
		if a, _, err = c.c.Actions.Get(ctx, link.ID); err != nil || a.Status != godo.ActionCompleted || a.CompletedAt == nil {
			c.Fatalf("its action is %+v, %v", a, err)
		}
		a, resp, err = c.c.DropletActions.Shutdown(ctx, m.ID)
		if err != nil || resp.StatusCode != http.StatusCreated || a.Status != godo.ActionInProgress {
			c.Fatalf("a shutdown answers %+v, %v", a, err)
		}
		if _, err := c.c.Droplets.Delete(ctx, m.ID); status(err) != http.StatusUnprocessableEntity {
			c.Fatalf("a delete while it shuts down answers %v", err)
		}
		time.Sleep(10 * time.Second)
		if m = c.get(m.ID); m.Status != "off" {
			c.Fatalf("after its shutdown it is %s", m.Status)
		}
		if resp, err = c.c.Droplets.Delete(ctx, m.ID); err != nil || resp.StatusCode != http.StatusNoContent {
			c.Fatalf("a delete answers %v", err)
		}
		if got := c.names(); len(got) != 1 {
			c.Fatalf("right after its deletion the list has %v", got)
		}
		time.Sleep(10 * time.Second)
		if _, _, err := c.c.Droplets.Get(ctx, m.ID); status(err) != http.StatusNotFound || len(c.names()) != 0 {
			c.Fatalf("10 s after its deletion: %v, list %v", err, c.names())
		}
		if b := c.do.Bill(); b.Machines != 1 || b.Time < 70*time.Second || b.Time > 80*time.Second || b.USD <= 0 {
			c.Fatalf("it cost %+v", b)
		}
	})
}
