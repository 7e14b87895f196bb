package digitalocean

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"flyball/scaler/journal"
	"flyball/scaler/pool/emulate"
)

// answering is an API some of whose answers are others: of the requests that begin so.
type answering struct {
	next   http.RoundTripper
	on     string // method and path
	status int    // of the answer; 0: it is changed by what follows
	change func(doc map[string]any)
}

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := a.next.RoundTrip(r)
	if err != nil || !strings.HasPrefix(r.Method+" "+r.URL.Path, a.on) {
		return res, err
	}
	if a.status != 0 {
		res.StatusCode, res.Body = a.status, io.NopCloser(strings.NewReader(`{"id":"forbidden","message":"You are not authorized to perform this operation"}`))
		return res, nil
	}
	var doc map[string]any
	if err := json.NewDecoder(res.Body).Decode(&doc); err != nil {
		return nil, err
	}
	a.change(doc)
	raw, err := json.Marshal(doc)
	res.Body = io.NopCloser(bytes.NewReader(raw))
	return res, err
}

// answers has the API answer otherwise from now on.
func (c *cloud) answers(a answering) {
	a.next = c.do.Transport()
	c.accounts = NewAccounts(Options{Transport: a, Log: c.log()})
}

// well is an account in which all is as it should be for a pool of Droplets.
func (c *cloud) well() {
	id, print := c.do.AddKey("ops")
	d := *c.config.Droplets
	d.Image, d.SSHKeys, d.VPC = "app", []string{strconv.Itoa(id), print}, c.do.AddVPC("fra1")
	d.TrafficTag = "web-traffic"
	d.UserDataFile = filepath.Join(c.t.TempDir(), "init.yml")
	if err := os.WriteFile(d.UserDataFile, []byte("#cloud-config\n"), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.do.AddImage("app")
	c.do.AddBalancer("fra1", d.TrafficTag)
	c.config.Droplets = &d
}

// wantFindings looks at a pool and wants one finding that is wrong and says such
// things; "" is none.
func (c *cloud) wantFindings(p *Pool, most int, what string, says ...string) {
	c.t.Helper()
	found := p.Preflight(c.t.Context(), most)
	matched := 0
	for _, f := range found {
		if f.OK && f.Hint != "" || !f.OK && f.Hint == "" || f.What == "" || f.Text == "" {
			c.t.Errorf("finding %+v: what is wrong has a hint, and nothing else", f)
		}
		switch {
		case f.OK:
		case f.What == what && containsAll(f.Text+" | "+f.Hint, says):
			matched++
		default:
			c.t.Errorf("also found: %s: %s (%s)", f.What, f.Text, f.Hint)
		}
		if strings.Contains(f.Text+f.Hint, secret) {
			c.t.Errorf("the token is shown: %s", f.Text)
		}
	}
	if what != "" && matched != 1 {
		c.t.Errorf("%d findings that %s and say %q, want 1, of %+v", matched, what, says, found)
	}
}

func containsAll(s string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}

func TestAPreflightFindsEachMisconfigurationOfDroplets(t *testing.T) {
	const nobody = "00000000-0000-4000-8000-000000000009"
	for _, tt := range []struct {
		name string
		do   func(*cloud) // what is wrong, before the program starts
		what string
		says []string
	}{
		{"all is well", func(*cloud) {}, "", nil},
		{"no token", func(c *cloud) { c.config.TokenFile += "x" }, "token", []string{"tokenx", "write the API token"}},
		{"a token that is refused", func(c *cloud) {
			if err := os.WriteFile(c.config.TokenFile, []byte("old"), 0o600); err != nil {
				c.t.Fatal(err)
			}
		}, "token", []string{"is not accepted", "make a new one"}},
		{"an endpoint that is not reached", func(c *cloud) { c.world.Plant(emulate.Fault{Name: "lost_before"}) }, "API", []string{"is not reached", "endpoint"}},
		{"a scope that is missing", func(c *cloud) {
			c.answers(answering{on: "GET /v2/load_balancers", status: http.StatusForbidden})
		}, "load balancer", []string{"lacks the scope load_balancer:read", "make a token"}},
		{"an account that is locked", func(c *cloud) {
			c.answers(answering{on: "GET /v2/account", change: func(doc map[string]any) {
				if acc, ok := doc["account"].(map[string]any); ok {
					acc["status"], acc["status_message"] = "locked", "pay first"
				}
			}})
		}, "account", []string{"is locked: pay first"}},
		{"a region that is unknown", func(c *cloud) {
			c.config.Droplets.Regions, c.config.Droplets.VPC, c.config.Droplets.TrafficTag, c.config.Droplets.Image = []string{"fra9"}, "", "", "ubuntu-24-04-x64"
			c.answers(answering{on: "GET /v2/images/", change: func(doc map[string]any) {
				if i, ok := doc["image"].(map[string]any); ok {
					i["regions"] = []string{"fra9"}
				}
			}})
		}, "region", []string{"fra9", "doctl compute region list"}},
		{"a size that is unknown", func(c *cloud) { c.config.Droplets.Sizes = []string{"s-1vcpu-1gb", "s-9vcpu"} }, "size", []string{"s-9vcpu is not known", "doctl compute size list"}},
		{"a size that is sold out", func(c *cloud) { c.do.SellOut("s-1vcpu-1gb", "fra1") }, "size", []string{"s-1vcpu-1gb in fra1", "not to be had now"}},
		{"another size is sold", func(c *cloud) {
			c.config.Droplets.Sizes = []string{"s-1vcpu-1gb", "s-1vcpu-2gb"}
			c.do.SellOut("s-1vcpu-1gb", "fra1")
		}, "", nil},
		{"an image that is gone", func(c *cloud) { c.config.Droplets.Image = "app-old" }, "image", []string{"app-old is not there", "doctl compute image list"}},
		{"an image of another region", func(c *cloud) {
			c.do.AddImage("app-ams", "ams3")
			c.config.Droplets.Image = "app-ams"
		}, "image", []string{"is not in fra1", "image-action transfer", "--region fra1"}},
		{"an image that is too large", func(c *cloud) {
			c.answers(answering{on: "GET /v2/images/", change: func(doc map[string]any) {
				if i, ok := doc["image"].(map[string]any); ok {
					i["min_disk_size"] = 50
				}
			}})
		}, "image", []string{"a disk of 50 GB", "has 25"}},
		{"an image that is not ready", func(c *cloud) {
			c.answers(answering{on: "GET /v2/images/", change: func(doc map[string]any) {
				if i, ok := doc["image"].(map[string]any); ok {
					i["status"] = "pending"
				}
			}})
		}, "image", []string{"is pending", "wait"}},
		{"a key that is gone", func(c *cloud) { c.config.Droplets.SSHKeys = []string{"42"} }, "SSH key", []string{"42 is not in the account", "ssh-key list"}},
		{"a network that is gone", func(c *cloud) { c.config.Droplets.VPC = nobody }, "VPC", []string{nobody, "doctl vpcs list"}},
		{"a network of another region", func(c *cloud) { c.config.Droplets.VPC = c.do.AddVPC("ams3") }, "VPC", []string{"lies in ams3", "made in fra1"}},
		{"a Droplet limit that is too low", func(c *cloud) {
			c.do.SetDropletLimit(11)
			c.do.AddStranger("bastion")
			c.do.AddStranger("db")
		}, "Droplet limit", []string{"is 11", "2 other Droplets", "can have 9", "max: 9"}},
		{"a balancer that is missing", func(c *cloud) { c.config.Droplets.TrafficTag = "edge" }, "load balancer", []string{"none uses the tag edge"}},
		{"a balancer of another region", func(c *cloud) {
			c.config.Droplets.TrafficTag = "edge"
			c.do.AddBalancer("ams3", "edge")
		}, "load balancer", []string{"in fra1", "get no requests"}},
		{"a balancer without a check", func(c *cloud) {
			c.answers(answering{on: "GET /v2/load_balancers", change: func(doc map[string]any) {
				if bs, ok := doc["load_balancers"].([]any); ok {
					if b, ok := bs[0].(map[string]any); ok {
						delete(b, "health_check")
					}
				}
			}})
		}, "load balancer", []string{"has no health check"}},
		{"a stranger with the pool's tag", func(c *cloud) { c.do.AddStranger("pet", "flyball-web") }, "tag", []string{"flyball-web", "pet (", "left alone"}},
		{"members of another Flyball", func(c *cloud) { c.do.AddStranger("web-7", "flyball", "flyball-web") }, "tag", []string{"flyball-web", "web-7 (", "in nyc1", "another Flyball"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
				c.well()
				tt.do(c)
				c.wantFindings(c.pool("web"), 10, tt.what, tt.says...)
			})
		})
	}
}

func TestAPreflightFindsUserDataThatChanged(t *testing.T) {
	for _, tt := range []struct {
		change func(path string) error
		says   string
	}{
		{os.Remove, "init.yml"},
		{func(path string) error { return os.WriteFile(path, make([]byte, mostUserData+1), 0o600) }, "65537 bytes"},
	} {
		inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
			c.well()
			p := c.pool("web")
			if err := tt.change(c.config.Droplets.UserDataFile); err != nil {
				c.t.Fatal(err)
			}
			c.wantFindings(p, 10, "user data", tt.says, "write a file")
		})
	}
}

func TestAPreflightSaysThatCallsAreShort(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{HourLimit: 100}, func(c *cloud) {
		c.well()
		for range 85 {
			if _, _, err := c.client().Account.Get(c.t.Context()); err != nil {
				c.t.Fatal(err)
			}
		}
		c.wantFindings(c.pool("web"), 10, "API calls", "of 100 are left", "not all was looked at", "a token of its own")
	})
}

func TestAPreflightSaysWhatABalancerNeeds(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		c.well()
		began := time.Now()
		found := c.pool("web").Preflight(c.t.Context(), 10)
		for _, f := range found {
			if f.What == "load balancer" && !containsAll(f.Text, []string{"every 10s", "drain has to be 50s at least", "30s after it answers"}) {
				c.t.Errorf("of the balancer is said: %s", f.Text)
			}
		}
		if n := c.asked(began, ""); n > 20 || n != c.asked(began, "GET ") {
			c.t.Errorf("%d calls, %d of them reads; want 20 reads at most", n, c.asked(began, "GET "))
		}
	})
}

func TestAPreflightCountsMembersOnceAgainstTheLimit(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{DropletLimit: 4}, func(c *cloud) {
		c.well()
		p := c.pool("web")
		c.ready(p, "web-1", "web-2")
		c.do.AddStranger("bastion")
		time.Sleep(restAge)
		c.wantFindings(p, 3, "")
		c.wantFindings(p, 4, "Droplet limit", "1 other Droplets", "can have 3")
	})
}

func TestAPreflightFindsEachMisconfigurationOfAnAutoscalePool(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config godo.DropletAutoscaleConfiguration
		most   int
		do     func(*cloud, *autoscale)
		what   string
		says   []string
	}{
		{"all is well", fixed(2), 10, func(*cloud, *autoscale) {}, "", nil},
		{"one that is gone", fixed(2), 10, func(c *cloud, _ *autoscale) {
			c.config.AutoscalePool = "00000000-0000-4000-8000-000000000009"
		}, "Autoscale Pool", []string{"there is none", "droplet-autoscale list"}},
		{
			"one that scales by itself",
			godo.DropletAutoscaleConfiguration{MinInstances: 2, MaxInstances: 5, TargetCPUUtilization: 0.5, CooldownMinutes: 5},
			10,
			func(*cloud, *autoscale) {}, "Autoscale Pool",
			[]string{"scales by itself, between 2 and 5", "set it to a fixed size"},
		},
		{"one that is being deleted", fixed(2), 10, func(c *cloud, p *autoscale) {
			if _, err := c.client().DropletAutoscale.Delete(c.t.Context(), p.cfg.AutoscalePool); err != nil {
				c.t.Fatal(err)
			}
		}, "Autoscale Pool", []string{"is being deleted"}},
		{"one that has failed", fixed(1), 2, func(c *cloud, p *autoscale) {
			c.world.Plant(emulate.Fault{Name: "sold_out"})
			if err := p.Grow(c.t.Context(), to(journal.Grow, 3)); err != nil {
				c.t.Fatal(err)
			}
		}, "Autoscale Pool", []string{"has failed", "available"}},
		{"a size that is sold out", fixed(1), 10, func(c *cloud, _ *autoscale) { c.do.SellOut("s-1vcpu-1gb", "fra1") }, "size", []string{"not to be had now"}},
		{"an image that is gone", fixed(1), 10, func(c *cloud, _ *autoscale) { c.do.RemoveImage("ubuntu-24-04-x64") }, "image", []string{"is not there"}},
		{"a limit that is too low", fixed(2), 25, func(c *cloud, _ *autoscale) { c.do.AddStranger("bastion") }, "Droplet limit", []string{"1 other Droplets", "can have 24"}},
		{"more than it can have", fixed(1), 1001, func(c *cloud, _ *autoscale) { c.do.SetDropletLimit(5000) }, "Autoscale Pool", []string{"can have 1 to 1000", "max: 1000"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
				tt.do(c, c.withAutoscale(tt.config))
				c.wantFindings(c.pool("edge"), tt.most, tt.what, tt.says...)
			})
		})
	}
}

func TestAPreflightFindsEachMisconfigurationOfANodePool(t *testing.T) {
	for _, tt := range []struct {
		name string
		most int
		do   func(*cloud, *nodes)
		what string
		says []string
	}{
		{"all is well", 10, func(*cloud, *nodes) {}, "", nil},
		{"a cluster that is gone", 10, func(c *cloud, _ *nodes) { c.config.Kubernetes.Cluster = "00000000-0000-4000-8000-000000000009" }, "cluster", []string{"there is none", "kubernetes cluster list"}},
		{"a cluster that is not running", 10, func(c *cloud, _ *nodes) {
			c.answers(answering{on: "GET /v2/kubernetes/clusters/", change: func(doc map[string]any) {
				if k, ok := doc["kubernetes_cluster"].(map[string]any); ok {
					k["status"] = map[string]any{"state": "degraded", "message": "no control plane"}
				}
			}})
		}, "cluster", []string{"is degraded: no control plane"}},
		{"a node pool that is gone", 10, func(c *cloud, _ *nodes) { c.config.Kubernetes.NodePool = "00000000-0000-4000-8000-000000000009" }, "node pool", []string{"prod has none", "node-pool list prod"}},
		{"one that scales by itself", 10, func(c *cloud, p *nodes) { c.do.AutoScale(p.spec.NodePool, 1, 5) }, "node pool", []string{"between 1 and 5", "--auto-scale=false"}},
		{"a scope that is missing", 10, func(c *cloud, _ *nodes) {
			c.answers(answering{on: "GET /v2/kubernetes", status: http.StatusForbidden})
		}, "cluster", []string{"lacks the scope kubernetes:read"}},
		{"a size that is sold out", 10, func(c *cloud, _ *nodes) { c.do.SellOut("s-1vcpu-2gb", "") }, "size", []string{"not to be had now"}},
		{"a limit that is too low", 10, func(c *cloud, _ *nodes) { c.do.SetDropletLimit(5) }, "Droplet limit", []string{"is 5", "0 other Droplets"}},
		{"more than it can have", 1001, func(c *cloud, _ *nodes) { c.do.SetDropletLimit(5000) }, "node pool", []string{"max: 1000"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
				tt.do(c, c.withNodes(2))
				c.wantFindings(c.pool("web"), tt.most, tt.what, tt.says...)
			})
		})
	}
}

func TestARegionStandsForItsDatacentres(t *testing.T) {
	for _, tt := range []struct {
		name, slug string
		want       bool
	}{
		{"fra1", "fra1", true}, {"nyc", "nyc3", true}, {"nyc", "nyc", true}, {"nyc1", "nyc11", false}, {"nyc1", "nyc3", false}, {"sf", "sfo3", false},
	} {
		if got := standsFor(tt.name, tt.slug); got != tt.want {
			t.Errorf("%s stands for %s: %t, want %t", tt.name, tt.slug, got, tt.want)
		}
	}
}
