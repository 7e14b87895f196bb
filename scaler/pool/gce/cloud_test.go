package gce

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
	"flyball/scaler/pool/emulate"
	"flyball/scaler/pool/pooltest"
)

// bearer signs requests with a token that the emulator takes.
type bearer struct{ base http.RoundTripper }

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer token-for-tests")
	return b.base.RoundTrip(r)
}

// A cloud is an emulated project with one group called web, and a pool of it.
type cloud struct {
	*testing.T
	world   *emulate.World
	gce     *emulate.Compute
	conf    Config
	metrics *Metrics
	reg     *prometheus.Registry
	pool    *Pool
	steps   atomic.Int64
}

// places are where the same is tested twice.
func places() map[string]emulate.ComputeGroup {
	return map[string]emulate.ComputeGroup{
		"zonal":    {Name: "web", Zone: "europe-west3-a", OnFailure: "DO_NOTHING"},
		"regional": {Name: "web", Region: "europe-west3", OnFailure: "DO_NOTHING", Redistribution: "NONE"},
	}
}

// newCloud makes a cloud. It has to be in a synctest bubble.
func newCloud(t *testing.T, g emulate.ComputeGroup, change ...func(*Config)) *cloud {
	t.Helper()
	w := emulate.NewWorld(emulate.Options{Seed: 1})
	c := &cloud{T: t, world: w, reg: prometheus.NewRegistry()}
	c.gce = emulate.NewCompute(w, emulate.ComputeOptions{Project: "shop-12345", Groups: []emulate.ComputeGroup{g}})
	c.metrics = NewMetrics(c.reg)
	c.conf = Config{Project: "shop-12345", Zone: g.Zone, Region: g.Region, Group: "web", Mode: modeDirect, Port: 8080, Endpoint: "http://compute.test"}
	for _, f := range change {
		f(&c.conf)
	}
	c.pool = c.again()
	return c
}

// again is the pool as a new program finds it.
func (c *cloud) again() *Pool {
	c.Helper()
	p, err := New("web", c.conf, Env{Transport: bearer{c.gce.Transport()}, Metrics: c.metrics})
	if err != nil {
		c.Fatal(err)
	}
	return p
}

// inBubble runs a test in simulated time.
func inBubble(t *testing.T, g emulate.ComputeGroup, f func(c *cloud), change ...func(*Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(newCloud(t, g, change...)) })
}

// step makes a step that no other is like, as the journal's are.
func (c *cloud) step(verb journal.Verb, names ...string) journal.Step {
	return journal.Step{ID: fmt.Sprintf("web-%d", c.steps.Add(1)), Verb: verb, Names: names, To: len(names)}
}

func (c *cloud) grow(names ...string) error {
	return c.pool.Grow(c.Context(), c.step(journal.Grow, names...))
}

func (c *cloud) remove(ms ...rules.Member) error {
	s := c.step(journal.Remove)
	for _, m := range ms {
		s.Victims = append(s.Victims, m.ID)
	}
	return c.pool.Remove(c.Context(), s)
}

func (c *cloud) look() ([]rules.Member, rules.Terms) {
	c.Helper()
	ms, terms, err := c.pool.Look(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	return ms, terms
}

// ready grows the pool and waits until the members run.
func (c *cloud) ready(names ...string) []rules.Member {
	c.Helper()
	if err := c.grow(names...); err != nil {
		c.Fatal(err)
	}
	time.Sleep(2 * time.Minute)
	ms, _ := c.look()
	for _, m := range ms {
		if m.Addr == "" || strings.HasPrefix(string(m.ID), "name/") {
			c.Fatalf("after two minutes %s is %+v", m.Name, m)
		}
	}
	return ms
}

func (c *cloud) names() string {
	c.Helper()
	ms, _ := c.look()
	var out []string
	for _, m := range ms {
		out = append(out, m.Name)
	}
	return strings.Join(out, " ")
}

// asked counts the requests whose method and address have those parts.
func (c *cloud) asked(method, part string) (n int) {
	for _, r := range c.world.Requests() {
		if r.Method == method && strings.Contains(r.URL, part) {
			n++
		}
	}
	return n
}

// settled is a pool whose steps have IDs of their own, as the journal's have, and
// whose members are there as soon as they were asked for.
type settled struct {
	*Pool
	c *cloud
}

func (s settled) Grow(ctx context.Context, step journal.Step) error {
	step.ID = s.c.step(step.Verb).ID
	defer time.Sleep(90 * time.Second)
	return s.Pool.Grow(ctx, step)
}

func (s settled) Remove(ctx context.Context, step journal.Step) error {
	step.ID = s.c.step(step.Verb).ID
	return s.Pool.Remove(ctx, step)
}

func TestPoolKeepsTheContract(t *testing.T) {
	for name, g := range places() {
		t.Run(name, func(t *testing.T) {
			pooltest.RunInBubbles(t, func(t *testing.T) pooltest.Harness {
				c := newCloud(t, g)
				return pooltest.Harness{
					Pool:    settled{c.pool, c},
					Again:   func(*testing.T) scaler.Pool { return settled{c.again(), c} },
					Kill:    func(_ *testing.T, m rules.Member) { c.gce.StopByHand(m.Name) },
					Refused: "no/name",
				}
			})
		})
	}
}

func TestAFloorKeepsTheContract(t *testing.T) {
	for name, g := range places() {
		t.Run(name, func(t *testing.T) {
			pooltest.RunInBubbles(t, func(t *testing.T) pooltest.Harness {
				c := newCloud(t, scaled(g, 1, emulate.ComputeAutoscaler{Min: 1, Max: 20}), declare(modeFloor))
				time.Sleep(20 * time.Minute) // that long Google's autoscaler thinks of earlier load
				return pooltest.Harness{
					Pool: settled{c.pool, c}, Again: func(*testing.T) scaler.Pool { return settled{c.again(), c} },
					Least: 1, Pace: time.Second,
					Settle: func(*testing.T) { time.Sleep(15 * time.Minute) },
				}
			})
		})
	}
}
