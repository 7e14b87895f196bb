package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"flyball/scaler/pool"
	"flyball/scaler/pool/digitalocean"
	"flyball/scaler/pool/emulate"
	"flyball/scaler/pool/gce"
)

// A machine is what is true of one, whatever Flyball is told.
type machine struct {
	name, addr string
	ours       bool // made for the pool
	ending     bool // its end was accepted
	off        bool // it does not run, and did
	serving    bool
	tagged     bool // with the tag of the cloud's balancer
	id         string
}

// A cloud is an emulated account with one pool's machines in it, and what others do
// to them.
type cloud struct {
	world     *emulate.World
	transport http.RoundTripper
	config    pool.Config
	machines  func() []machine
	kill      func(name string) bool // the program in a machine ends
	stop      func(name string) bool // the machine is turned off
	destroy   func(name string) bool
	account   *emulate.DigitalOcean // nil: it is another's
	strangers int
	blind     bool // it does not take victims
}

// kinds are the pools that are driven.
func kinds() []string {
	return []string{"droplets", "tagged", "zonal", "regional", "autoscale", "nodes"}
}

const (
	secret  = "dop_v1_chaos0123456789"
	strange = "bastion" // machines that are none of ours are called so
	edgeTag = "edge"
)

// newCloud makes a cloud of a kind. dir is for its secrets.
func newCloud(t *testing.T, kind string, seed uint64, dir string) *cloud {
	t.Helper()
	w := emulate.NewWorld(emulate.Options{Seed: seed})
	if kind == "zonal" || kind == "regional" {
		return newCompute(w, kind)
	}
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	do := emulate.NewDigitalOcean(w, emulate.DigitalOceanOptions{Token: secret, DropletLimit: 14 + int(seed%7)})
	c := &cloud{
		world: w, account: do, transport: do.Transport(), kill: do.Kill, stop: do.PowerOff, destroy: do.Destroy,
		config: pool.Config{
			DigitalOcean: &digitalocean.Config{TokenFile: file, Port: 8080, Endpoint: "https://do.test"}, Drain: 10 * time.Second, Ready: pool.Ready{Interval: 5 * time.Second},
		},
	}
	c.machines = func() []machine { return droplets(do, kind) }
	do.AddStranger(strange)
	c.strangers = 1
	conf := c.config.DigitalOcean
	switch kind {
	case "autoscale":
		conf.AutoscalePool, c.blind = addAutoscale(t, do), true
	case "nodes":
		cluster := do.AddCluster("prod", "fra1")
		conf.Kubernetes = &digitalocean.Kubernetes{Cluster: cluster, NodePool: do.AddNodePool(cluster, "web", "s-1vcpu-2gb", 2)}
	default:
		conf.Droplets = &digitalocean.Droplets{
			Regions: []string{"fra1", "ams3"}, Sizes: []string{"s-1vcpu-1gb"}, Image: "ubuntu-24-04-x64",
			Grace: 15 * time.Second, BootTimeout: 5 * time.Minute,
		}
		do.AddStranger(strange+"-2", "flyball-web") // of the pool's tag, and not of ours
		c.strangers++
		if kind == "tagged" {
			conf.Droplets.TrafficTag = edgeTag
		}
	}
	return c
}

func droplets(do *emulate.DigitalOcean, kind string) []machine {
	var out []machine
	for _, d := range do.Droplets() {
		m := machine{
			id: fmt.Sprint(d.ID), name: d.Name, ours: !strings.HasPrefix(d.Name, strange), ending: d.Ending,
			off: d.Status == "off", serving: d.Serving, tagged: slices.Contains(d.Tags, edgeTag),
		}
		if kind == "tagged" || kind == "droplets" {
			m.ours = m.ours && strings.HasPrefix(d.Name, "web-")
		}
		if d.Addr.IsValid() {
			m.addr = d.Addr.String() + ":8080"
		}
		out = append(out, m)
	}
	return out
}

// signed sends requests with the secret token.
type signed struct{ next http.RoundTripper }

func (s signed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+secret)
	return s.next.RoundTrip(r)
}

func addAutoscale(t *testing.T, do *emulate.DigitalOcean) string {
	t.Helper()
	api := godo.NewClient(&http.Client{Transport: signed{do.Transport()}})
	_, key := do.AddKey("ops")
	p, _, err := api.DropletAutoscale.Create(context.Background(), &godo.DropletAutoscalePoolRequest{
		Name: "web", Config: &godo.DropletAutoscaleConfiguration{TargetNumberInstances: 2},
		DropletTemplate: &godo.DropletAutoscaleResourceTemplate{
			Size: "s-1vcpu-1gb", Region: "fra1", Image: "ubuntu-24-04-x64", SSHKeys: []string{key}, WithDropletAgent: true,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p.ID
}

func newCompute(w *emulate.World, kind string) *cloud {
	g := emulate.ComputeGroup{Name: "web", Zone: "europe-west3-a", OnFailure: "DO_NOTHING"}
	if kind == "regional" {
		g = emulate.ComputeGroup{Name: "web", Region: "europe-west3", OnFailure: "DO_NOTHING", Redistribution: "NONE"}
	}
	api := emulate.NewCompute(w, emulate.ComputeOptions{Project: "shop-12345", Groups: []emulate.ComputeGroup{g}})
	return &cloud{
		world: w, transport: signed{api.Transport()}, kill: api.Kill, stop: api.StopByHand, destroy: api.DeleteByHand,
		config: pool.Config{
			GCE: &gce.Config{
				Project: "shop-12345", Zone: g.Zone, Region: g.Region, Group: "web", Mode: "direct", Port: 8080, Endpoint: "http://compute.test",
			},
			Drain: 10 * time.Second, Ready: pool.Ready{Interval: 5 * time.Second},
		},
		machines: func() []machine { return instances(api) },
	}
}

func instances(api *emulate.Compute) []machine {
	var out []machine
	for _, i := range api.Instances() {
		m := machine{
			id: fmt.Sprint(i.ID), name: i.Name, ours: strings.HasPrefix(i.Name, "web-"), serving: i.Serving,
			ending: i.Action == "DELETING" || i.Group == "" || i.Status == "STOPPING", off: i.Status == "TERMINATED",
		}
		if i.Addr.IsValid() {
			m.addr = i.Addr.String() + ":8080"
		}
		out = append(out, m)
	}
	return out
}

// ours are the pool's machines that were not asked to end.
func (c *cloud) ours() []machine {
	return slices.DeleteFunc(c.machines(), func(m machine) bool { return !m.ours || m.ending })
}

// somebody is one of the pool's machines that serve, or "".
func (c *cloud) somebody(dice *rand.Rand) string {
	ms := slices.DeleteFunc(c.ours(), func(m machine) bool { return !m.serving })
	if len(ms) > 0 {
		return ms[dice.IntN(len(ms))].name
	}
	return ""
}
