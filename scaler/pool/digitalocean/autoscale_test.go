package digitalocean

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
	"flyball/scaler/pool/emulate"
	"flyball/scaler/pool/pooltest"
)

// client asks the account as a human with the token would.
func (c *cloud) client() *godo.Client {
	c.t.Helper()
	a, err := c.accounts.of(c.config)
	if err != nil {
		c.t.Fatal(err)
	}
	return a.write
}

// withAutoscale makes an Autoscale Pool, configures it, and lets its first cool-down pass.
func (c *cloud) withAutoscale(config godo.DropletAutoscaleConfiguration) *autoscale {
	c.t.Helper()
	c.config.Droplets, c.config.Endpoint = nil, realEndpoint
	_, key := c.do.AddKey("ops")
	pool, _, err := c.client().DropletAutoscale.Create(c.t.Context(), &godo.DropletAutoscalePoolRequest{
		Name: "edge", Config: &config, DropletTemplate: &godo.DropletAutoscaleResourceTemplate{
			Size: "s-1vcpu-1gb", Region: "fra1", Image: "ubuntu-24-04-x64", SSHKeys: []string{key},
			Tags: []string{"edge"}, UserData: "#cloud-config\n", WithDropletAgent: true,
		},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.config.AutoscalePool = pool.ID
	c.cool()
	return c.autoscale()
}

// autoscale is the pool as a program has it that just started, or goes on.
func (c *cloud) autoscale() *autoscale {
	c.t.Helper()
	p, ok := c.pool("edge").Pool.(*autoscale)
	if !ok {
		c.t.Fatal("the configuration does not make an Autoscale Pool")
	}
	return p
}

// cool lets a cool-down pass.
func (c *cloud) cool() { time.Sleep(fixedCooldown + time.Minute) }

func to(verb journal.Verb, size int) journal.Step {
	return journal.Step{ID: string(verb), Verb: verb, To: size}
}

func fixed(n uint64) godo.DropletAutoscaleConfiguration {
	return godo.DropletAutoscaleConfiguration{TargetNumberInstances: n}
}

func TestAnAutoscalePoolIsAPoolThatTakesASize(t *testing.T) {
	pooltest.RunInBubbles(t, func(t *testing.T) pooltest.Harness {
		c := newCloud(t, emulate.DigitalOceanOptions{})
		return pooltest.Harness{
			Pool: c.withAutoscale(fixed(1)), Least: 1, Pace: time.Second,
			Settle: func(*testing.T) { c.cool() },
			Again: func(*testing.T) scaler.Pool {
				c.restart()
				return c.autoscale()
			},
		}
	})
}

func TestAnAutoscalePoolTellsWhenItTakesAnotherSize(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.withAutoscale(fixed(1))
		if err := p.Grow(t.Context(), to(journal.Grow, 2)); err != nil {
			t.Fatal(err)
		}
		at := time.Now()
		time.Sleep(time.Minute)
		for _, size := range []int{3, 1} {
			do, verb := p.Grow, journal.Grow
			if size == 1 {
				do, verb = p.Remove, journal.Remove
			}
			err := do(t.Context(), to(verb, size))
			if err == nil || !strings.Contains(err.Error(), clock(at.Add(fixedCooldown))) || errors.Is(err, scaler.ErrNoCapacity) {
				t.Errorf("to %d within the cool-down: %v, want an error that names %s", size, err, clock(at.Add(fixedCooldown)))
			}
		}
		time.Sleep(fixedCooldown)
		if ms := c.look(p); len(ms) != 2 {
			t.Errorf("what was refused was done all the same: %s", states(ms))
		}
		if err := p.Remove(t.Context(), to(journal.Remove, 1)); err != nil {
			t.Errorf("after the cool-down: %v", err)
		}
	})
}

func TestAnAutoscalePoolThatScalesByItselfIsLeftAlone(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.withAutoscale(godo.DropletAutoscaleConfiguration{
			MinInstances: 2, MaxInstances: 5, TargetCPUUtilization: 0.5, CooldownMinutes: 5,
		})
		ms, terms, err := p.Look(t.Context())
		if err != nil || len(ms) != 2 || !strings.Contains(terms.Drift, "scales by itself") {
			t.Errorf("Look: %s, drift %q, %v; want two members and its drift", states(ms), terms.Drift, err)
		}
		began := time.Now()
		for _, err := range []error{p.Grow(t.Context(), to(journal.Grow, 4)), p.Remove(t.Context(), to(journal.Remove, 1))} {
			if err == nil || !strings.Contains(err.Error(), "set it to a fixed size") {
				t.Errorf("got %v, want what to do", err)
			}
		}
		if n := c.asked(began, "PUT "); n != 0 {
			t.Errorf("it was changed %d times", n)
		}
	})
}

// unknown is an API that has a field which the client does not know.
type unknown struct {
	next http.RoundTripper
	puts []map[string]any
}

func (u *unknown) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPut {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		var doc map[string]any
		if err := json.Unmarshal(raw, &doc); err != nil {
			return nil, err
		}
		u.puts = append(u.puts, doc)
		r.Body = io.NopCloser(bytes.NewReader(raw))
	}
	res, err := u.next.RoundTrip(r)
	if err != nil || r.Method != http.MethodGet || strings.Count(r.URL.Path, "/") != 4 {
		return res, err
	}
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	raw = bytes.Replace(raw, []byte(`"droplet_template":{`), []byte(`"droplet_template":{"name":"edge-{n}","zero":0,`), 1)
	res.Body = io.NopCloser(bytes.NewReader(raw))
	return res, nil
}

func TestASizeIsWrittenWithAllThatThePoolHad(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		c.withAutoscale(fixed(1))
		u := &unknown{next: c.do.Transport()}
		c.accounts = NewAccounts(Options{Transport: u, Log: c.log()})
		if err := c.autoscale().Grow(t.Context(), to(journal.Grow, 3)); err != nil {
			t.Fatal(err)
		}
		if len(u.puts) != 1 {
			t.Fatalf("%d sizes were written, want 1", len(u.puts))
		}
		put := u.puts[0]
		template, _ := put["droplet_template"].(map[string]any)
		want := map[string]any{
			"name": "edge-{n}", "zero": 0.0, "size": "s-1vcpu-1gb", "region": "fra1", "image": "ubuntu-24-04-x64",
			"user_data": "#cloud-config\n", "with_droplet_agent": true, "ipv6": false,
		}
		for k, v := range want {
			if template[k] != v {
				t.Errorf("the template's %s became %v, want %v", k, template[k], v)
			}
		}
		if keys := slices.Sorted(maps.Keys(put)); !slices.Equal(keys, []string{"config", "droplet_template", "name"}) || put["name"] != "edge" {
			t.Errorf("the update has %v and is called %v", keys, put["name"])
		}
	})
}

func TestASizeIsSetOnTopOfWhatIsThereNow(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.withAutoscale(fixed(2))
		c.look(p)
		human := c.autoscale()
		if err := human.Grow(t.Context(), to(journal.Grow, 5)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		began := time.Now()
		if err := p.Grow(t.Context(), to(journal.Grow, 3)); err != nil { // of a look that is stale
			t.Errorf("Grow to fewer than there are: %v", err)
		}
		if n := c.asked(began, "PUT "); n != 0 {
			t.Error("a stale growth made the pool smaller")
		}
	})
}

func TestALostAnswerSetsNoSizeTwice(t *testing.T) {
	for name, pool := range map[string]func(*cloud) scaler.Pool{
		"autoscale pool": func(c *cloud) scaler.Pool { return c.withAutoscale(fixed(1)) },
		"node pool":      func(c *cloud) scaler.Pool { return c.withNodes(1) },
	} {
		for _, fault := range []string{"lost_before", "lost_after", "error_503", "duplicate"} {
			t.Run(name+" "+fault, func(t *testing.T) {
				inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
					t := c.t
					p := pool(c)
					c.world.Plant(emulate.Fault{Name: fault, On: "PUT ", Times: 1})
					err := p.Grow(t.Context(), to(journal.Grow, 3))
					if (err == nil) != (fault == "duplicate") {
						t.Errorf("the first time: %v", err)
					}
					if err := p.Grow(t.Context(), to(journal.Grow, 3)); err != nil {
						t.Errorf("repeated: %v", err)
					}
					time.Sleep(3 * time.Minute)
					if n := len(c.do.Droplets()); n != 3 {
						t.Errorf("there are %d Droplets, want 3", n)
					}
				})
			})
		}
	}
}

func TestAnAutoscalePoolThatCannotGrowLacksCapacity(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{DropletLimit: 2}, func(c *cloud) {
		t := c.t
		p := c.withAutoscale(fixed(1))
		if _, terms, err := p.Look(t.Context()); err != nil || terms.Most != 2 {
			t.Errorf("the most is %d, %v; want 2", terms.Most, err)
		}
		if err := p.Grow(t.Context(), to(journal.Grow, 4)); err != nil {
			t.Fatal(err)
		}
		err := p.Grow(t.Context(), to(journal.Grow, 4))
		if !errors.Is(err, scaler.ErrNoCapacity) || !strings.Contains(err.Error(), "droplet limit") {
			t.Errorf("got %v, want that there is no capacity and why", err)
		}
	})
}

func TestMembersOfAnAutoscalePoolTellTheirStates(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.withAutoscale(fixed(2))
		c.world.Plant(emulate.Fault{Name: "slow_boot"})
		if err := p.Grow(t.Context(), to(journal.Grow, 3)); err != nil {
			t.Fatal(err)
		}
		was := c.look(p)
		var off, up, boots rules.Member
		for _, m := range was {
			switch {
			case m.State == rules.Booting:
				boots = m
			case off.ID == "":
				off = m
			default:
				up = m
			}
		}
		if boots.ID == "" || boots.Addr != "" || up.Addr == "" || up.Name == "" {
			t.Fatalf("members are %+v, want one that boots and two with addresses", was)
		}
		c.do.PowerOff(off.Name)
		c.until("one that is off is dead", func() bool {
			ms := c.look(p)
			i := slices.IndexFunc(ms, func(m rules.Member) bool { return m.ID == off.ID })
			return ms[i].State == rules.Dead && strings.Contains(ms[i].Note, "Droplet is off")
		})
		first := c.look(p)
		time.Sleep(time.Minute)
		for i, m := range c.look(p) {
			if !m.Since.Equal(first[i].Since) {
				t.Errorf("%s is %s since %s, and was since %s", m.Name, m.State, m.Since, first[i].Since)
			}
		}
	})
}

func TestHalfAListOfAnAutoscalePoolIsDrift(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.withAutoscale(fixed(4))
		c.look(p)
		time.Sleep(time.Minute)
		c.world.Plant(emulate.Fault{Name: "partial_list", On: "GET /v2/droplets/autoscale"})
		_, terms, err := p.Look(t.Context())
		if err != nil || terms.Drift == "" {
			t.Errorf("half of the list: drift %q, %v", terms.Drift, err)
		}
		c.world.Heal()
		time.Sleep(time.Minute)
		if _, terms, err = p.Look(t.Context()); err != nil || terms.Drift != "" {
			t.Errorf("the whole list: drift %q, %v", terms.Drift, err)
		}
	})
}

func TestAPoolThatJustShrankHasNotDrifted(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.withAutoscale(fixed(4))
		if err := p.Remove(t.Context(), to(journal.Remove, 1)); err != nil {
			t.Fatal(err)
		}
		for range 180 {
			if _, terms, err := p.Look(t.Context()); err != nil || terms.Drift != "" {
				t.Fatalf("drift %q, %v", terms.Drift, err)
			}
			time.Sleep(time.Second)
		}
	})
}

func TestAPoolThatIsSetToAFixedSizeAgainIsSteered(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.withAutoscale(godo.DropletAutoscaleConfiguration{MinInstances: 2, MaxInstances: 5, TargetCPUUtilization: 0.5, CooldownMinutes: 5})
		c.look(p)
		pool, _, err := c.client().DropletAutoscale.Get(t.Context(), p.cfg.AutoscalePool)
		if err != nil {
			t.Fatal(err)
		}
		size := fixed(2)
		if _, _, err := c.client().DropletAutoscale.Update(t.Context(), pool.ID, &godo.DropletAutoscalePoolRequest{
			Name: pool.Name, Config: &size, DropletTemplate: pool.DropletTemplate,
		}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * restAge)
		if _, terms, err := p.Look(t.Context()); err != nil || terms.Drift != "" {
			t.Errorf("drift %q, %v; want none any more", terms.Drift, err)
		}
		if err := p.Grow(t.Context(), to(journal.Grow, 3)); err != nil {
			t.Error(err)
		}
	})
}

func TestAnAutoscalePoolAtRestAsksLittle(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.withAutoscale(fixed(2))
		c.look(p)
		time.Sleep(5 * time.Minute)
		began := time.Now()
		for range 3600 {
			c.look(p)
			time.Sleep(time.Second)
		}
		all, own := c.asked(began, ""), c.asked(began, "GET /v2/droplets/autoscale")
		t.Logf("%d calls an hour, %d of them for the pool itself", all, own)
		if own > 310 || all > 560 {
			t.Errorf("%d calls an hour, %d of them for the pool itself; want 560 and 310 at most", all, own)
		}
	})
}
