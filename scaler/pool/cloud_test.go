package pool

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"flyball/rules"
	"flyball/scaler/journal"
	"flyball/scaler/pool/digitalocean"
	"flyball/scaler/pool/emulate"
	"flyball/scaler/pool/exec"
	"flyball/scaler/pool/gce"
	"flyball/scaler/pool/pooltest"
	"flyball/scaler/traffic"
)

func tokenFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func droplets(file string) Config {
	return Config{
		DigitalOcean: &digitalocean.Config{
			TokenFile: file, Port: 80, Endpoint: "http://localhost", // else the machine is asked which Droplet it is
			Droplets: &digitalocean.Droplets{
				Regions: []string{"fra1"}, Sizes: []string{"s-1vcpu-1gb"}, Image: "ubuntu-24-04-x64", TrafficTag: "edge",
			},
		},
	}
}

func group() Config {
	return Config{GCE: &gce.Config{
		Project: "emulated", Zone: "us-central1-a", Group: "web", Mode: "direct", Port: 80, Endpoint: "http://localhost",
	}}
}

// signed adds the token that an emulator asks for.
type signed struct{ http.RoundTripper }

func (s signed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer any")
	return s.RoundTripper.RoundTrip(r)
}

func TestPoolsOfCloudsGrowAndShowTheirPriceAndQuota(t *testing.T) {
	for name, tt := range map[string]struct {
		c     func(*testing.T) Config
		cloud func(*emulate.World) http.RoundTripper
		price float64 // of two members and hour
		quota float64
	}{
		"digitalocean": {
			c: func(t *testing.T) Config { return droplets(tokenFile(t)) },
			cloud: func(w *emulate.World) http.RoundTripper {
				return emulate.NewDigitalOcean(w, emulate.DigitalOceanOptions{}).Transport()
			},
			price: 2 * 0.00893, quota: 25,
		},
		"gce": {
			c: func(*testing.T) Config { return group() },
			cloud: func(w *emulate.World) http.RoundTripper {
				return signed{emulate.NewCompute(w, emulate.ComputeOptions{}).Transport()}
			},
		},
		"gce, by a price that is written": {
			c: func(*testing.T) Config {
				c := group()
				c.Price = Price{Hourly: 0.0335, Currency: "USD"}
				return c
			},
			cloud: func(w *emulate.World) http.RoundTripper {
				return signed{emulate.NewCompute(w, emulate.ComputeOptions{}).Transport()}
			},
			price: 2 * 0.0335,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := NewMetrics(prometheus.NewRegistry())
				e := Env{DataDir: t.TempDir(), Metrics: m, Transport: tt.cloud(emulate.NewWorld(emulate.Options{}))}
				p, err := New("web", tt.c(t), e)
				if err != nil {
					t.Fatal(err)
				}
				u := p.Unit()
				p.ready.ask = func(context.Context, string) error { return nil }
				pooltest.Look(t, u.Pool)
				if err := u.Pool.Grow(t.Context(), journal.Step{ID: "s", Verb: journal.Grow, Names: []string{"web-1", "web-2"}, To: 2}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Minute) // of the bubble
				ms, terms, err := u.Pool.Look(t.Context())
				if err != nil || len(ms) != 2 || ms[0].Addr == "" || terms.Drift != "" {
					t.Fatalf("members are %v with %+v, %v", ms, terms, err)
				}
				if got := testutil.ToFloat64(m.price.WithLabelValues("web", "USD")); tt.price > 0 && (got < tt.price*0.999 || got > tt.price*1.001) {
					t.Errorf("the price is %v, want %v", got, tt.price)
				}
				if got := testutil.ToFloat64(m.quota.WithLabelValues("web")); tt.quota > 0 && got != tt.quota {
					t.Errorf("the quota is %v, want %v", got, tt.quota)
				}
				if fs := p.Preflight(t.Context(), 2); len(fs) == 0 {
					t.Error("a preflight finds nothing at all")
				}
				within, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				if err := p.Sweep(within); err != nil {
					t.Error(err)
				}
				m.Forget("web")
				if n := testutil.CollectAndCount(m.price) + testutil.CollectAndCount(m.quota) + testutil.CollectAndCount(m.drift); n != 0 {
					t.Errorf("%d series are left", n)
				}
			})
		})
	}
}

// fixed is traffic that counts what it is told.
type fixed struct {
	tagged
	open map[rules.MemberID]int
	in   []rules.MemberID
	err  error
}

func (f *fixed) Open(context.Context) (map[rules.MemberID]int, error) { return f.open, f.err }

func (f *fixed) Admit(_ context.Context, ms []rules.Member) error {
	f.in = append(f.in, ids(ms)...)
	return f.err
}

func (f *fixed) Withdraw(_ context.Context, ms []rules.Member) error {
	f.in = slices.DeleteFunc(f.in, func(id rules.MemberID) bool { return slices.Contains(ids(ms), id) })
	return f.err
}

func TestTwoBalancersAreToldTogether(t *testing.T) {
	a := &fixed{open: map[rules.MemberID]int{"1": 2, "2": 0, "3": 4, "4": 1}}
	b := &fixed{open: map[rules.MemberID]int{"1": 3, "2": -1, "3": 0}}
	both := together{a, b}
	open, err := both.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[rules.MemberID]int{"1": 5, "2": -1, "3": 4}, open); diff != "" {
		t.Errorf("open requests (-want +got):\n%s", diff)
	}
	ms := []rules.Member{{ID: "1"}, {ID: "2"}}
	a.err = errNo
	if err := both.Admit(t.Context(), ms); err == nil || len(b.in) != 2 {
		t.Errorf("one failed: %v; the other has %v", err, b.in)
	}
	if err := both.Withdraw(t.Context(), ms[:1]); err == nil || len(b.in) != 1 {
		t.Errorf("one failed: %v; the other has %v", err, b.in)
	}
	if open, err := both.Open(t.Context()); err == nil {
		t.Errorf("one does not know, and yet there is %v", open)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := both.Run(ctx); err != nil {
		t.Error(err)
	}
	if err := both.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWhoSendsRequestsToDroplets(t *testing.T) {
	c := droplets(tokenFile(t))
	for _, tt := range []struct {
		name string
		turn func(*Config)
		want int
	}{
		{"the tag", func(*Config) {}, 1},
		{"nobody", func(c *Config) { c.DigitalOcean.Droplets.TrafficTag = "" }, 0},
		{"the tag and a balancer", func(c *Config) { c.Traffic = &traffic.Config{Balance: "127.0.0.1:1"} }, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := c
			d, set := *c.DigitalOcean, *c.DigitalOcean.Droplets
			d.Droplets = &set
			c.DigitalOcean = &d
			tt.turn(&c)
			p, err := New("web", c, Env{DataDir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			got := 0
			if p.traffic != nil {
				got = 1
			}
			if all, ok := p.traffic.(together); ok {
				got = len(all)
			}
			if got != tt.want || (p.Unit().Traffic != nil) != (tt.want > 0) {
				t.Errorf("%d send requests, want %d", got, tt.want)
			}
		})
	}
}

func TestPoolsThatWantTheSameMembersAreNamed(t *testing.T) {
	drops := func(file, tag, trafficTag string) Config {
		return Config{DigitalOcean: &digitalocean.Config{TokenFile: file, Droplets: &digitalocean.Droplets{Tag: tag, TrafficTag: trafficTag}}}
	}
	of := func(c digitalocean.Config) Config { return Config{DigitalOcean: &c} }
	for _, tt := range []struct {
		name  string
		pools map[string]Config
		want  []string
	}{
		{"group", map[string]Config{"a": group(), "b": group()}, []string{"$.b.gce.group"}},
		{"tag", map[string]Config{"a": drops("t", "Web", ""), "b": drops("t", "web", "")}, []string{"$.b.digitalocean.droplets.tag"}},
		{"default tag", map[string]Config{"a": drops("t", "flyball-b", ""), "b": drops("t", "", "")}, []string{"$.b.digitalocean.droplets"}},
		{"traffic tag", map[string]Config{"a": drops("t", "a", "edge"), "b": drops("t", "b", "edge")}, []string{"$.b.digitalocean.droplets.traffic_tag"}},
		{"a tag that is the other's of traffic", map[string]Config{"a": drops("t", "a", "b"), "b": drops("t", "b", "")}, []string{"$.b.digitalocean.droplets.tag"}},
		{"another account", map[string]Config{"a": drops("t", "web", ""), "b": drops("u", "web", "")}, nil},
		{"autoscale pool", map[string]Config{"a": of(digitalocean.Config{AutoscalePool: "x"}), "b": of(digitalocean.Config{AutoscalePool: "X"})}, []string{"$.b.digitalocean.autoscale_pool"}},
		{
			"node pool", map[string]Config{
				"a": of(digitalocean.Config{Kubernetes: &digitalocean.Kubernetes{Cluster: "c", NodePool: "x"}}),
				"b": of(digitalocean.Config{Kubernetes: &digitalocean.Kubernetes{Cluster: "c", NodePool: "x"}}),
			}, []string{"$.b.digitalocean.kubernetes.node_pool"},
		},
		{"nothing", map[string]Config{"a": drops("t", "a", "b"), "b": drops("t", "c", "d"), "c": group()}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, paths(Conflicts("$", tt.pools))); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAPoolHasOneProvider(t *testing.T) {
	c := group()
	c.Exec = &exec.Config{Command: []string{"sh"}}
	if diff := cmp.Diff([]string{"$.exec"}, paths(c.Validate("$"))); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	if _, err := New("web", c, Env{}); err == nil {
		t.Error("a pool of two providers was made")
	}
	if _, err := New("web", Config{}, Env{}); err == nil {
		t.Error("a pool of no provider was made")
	}
	for want, c := range map[string]Config{"gce": group(), "digitalocean": droplets("t"), "exec": {Exec: c.Exec}, "": {}} {
		if got := c.Kind(); got != want {
			t.Errorf("kind is %q, want %q", got, want)
		}
	}
}
