package gce

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flyball/rules"
	"flyball/scaler/pool/emulate"
)

// find is the finding about something.
func find(t *testing.T, fs []rules.Finding, what string) rules.Finding {
	t.Helper()
	for _, f := range fs {
		if f.What == what {
			return f
		}
	}
	t.Fatalf("nothing was found about %s: %+v", what, fs)
	return rules.Finding{}
}

func TestPreflightFindsNothingWhereAllIsWell(t *testing.T) {
	for name, g := range places() {
		t.Run(name, func(t *testing.T) {
			inBubble(t, g, func(c *cloud) {
				fs := c.pool.Preflight(c.Context(), 10)
				for _, f := range fs {
					if !f.OK || f.Text == "" || f.Hint != "" {
						t.Errorf("%+v", f)
					}
				}
				for _, what := range []string{
					"credentials", "group", "who resizes", "template", "quota", "size of the group", "repair", "redistribution", "updates",
				} {
					find(t, fs, what)
				}
				for _, r := range c.world.Requests() {
					if r.Method != http.MethodGet && !strings.Contains(r.URL, "listManagedInstances") {
						t.Errorf("preflight asked %s %s", r.Method, r.URL)
					}
				}
			})
		})
	}
}

func TestPreflightFindsEachMisconfiguration(t *testing.T) {
	for _, tt := range []struct {
		name   string
		group  func(*emulate.ComputeGroup)
		change func(*Config)
		spoil  func(*cloud)
		most   int
		what   string // the only thing that is found
		hint   string
	}{
		{name: "another project", change: func(c *Config) { c.Project = "shop-99999" }, what: "group", hint: "see that project"},
		{name: "another group", change: func(c *Config) { c.Group = "api" }, what: "group", hint: "see that project"},
		{name: "another zone", change: func(c *Config) { c.Region, c.Zone = "", "europe-west3-b" }, what: "group", hint: "zone or region"},
		{
			name: "no key", change: func(c *Config) { c.Endpoint, c.CredentialsFile = "https://compute.test", "/nowhere/key.json" },
			what: "credentials", hint: "service account's JSON key",
		},
		{name: "nobody answers", spoil: func(c *cloud) { c.world.Plant(emulate.Fault{Name: "lost_before"}) }, what: "API", hint: "may reach it"},
		{name: "no requests left", spoil: func(c *cloud) { c.world.Plant(emulate.Fault{Name: "too_many"}) }, what: "requests", hint: "in a minute"},
		{
			name:  "an autoscaler that fights",
			group: func(g *emulate.ComputeGroup) { g.Autoscaler = &emulate.ComputeAutoscaler{} }, what: "who resizes", hint: "set its mode to OFF",
		},
		{
			name: "a ceiling of Google's", group: func(g *emulate.ComputeGroup) { g.Autoscaler = &emulate.ComputeAutoscaler{Max: 9} },
			change: declare(modeFloor), what: "range of Google's autoscaler", hint: "raise its greatest size to 10",
		},
		{name: "no template", spoil: func(c *cloud) { c.gce.DeleteTemplate("web") }, what: "template", hint: "make it again"},
		{name: "a small quota of instances", spoil: func(c *cloud) { c.gce.SetQuota("INSTANCES", 9) }, what: "quota", hint: "quota of INSTANCES in region europe-west3"},
		{name: "a small quota of processors", spoil: func(c *cloud) { c.gce.SetQuota("CPUS", 19) }, what: "quota", hint: "quota of CPUS"},
		{name: "a large max", most: 1001, spoil: func(c *cloud) { c.gce.SetQuota("INSTANCES", 1e6); c.gce.SetQuota("CPUS", 1e6) }, what: "size of the group", hint: "lower the rule's max"},
		{
			name: "two healers", group: func(g *emulate.ComputeGroup) { g.HealthCheck, g.InitialDelay = "alive", time.Minute },
			what: "repair", hint: "--clear-autohealing",
		},
		{
			name: "a healer without patience", group: func(g *emulate.ComputeGroup) {
				g.HealthCheck, g.Autoscaler = "alive", &emulate.ComputeAutoscaler{Max: 20}
			}, change: declare(modeFloor), what: "repair", hint: "longer than a boot takes",
		},
		{
			name: "redistribution", group: func(g *emulate.ComputeGroup) {
				g.Zone, g.Region, g.Redistribution = "", "europe-west3", "PROACTIVE"
			}, what: "redistribution", hint: "type=none",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := zonalGroup()
			if tt.group != nil {
				tt.group(&g)
			}
			if tt.change == nil {
				tt.change = func(*Config) {}
			}
			inBubble(t, g, func(c *cloud) {
				if tt.spoil != nil {
					tt.spoil(c)
				}
				var bad []rules.Finding
				for _, f := range c.pool.Preflight(c.Context(), max(tt.most, 10)) {
					if !f.OK {
						bad = append(bad, f)
					}
				}
				if len(bad) != 1 || bad[0].What != tt.what || bad[0].Text == "" || !strings.Contains(bad[0].Hint, tt.hint) {
					t.Errorf("found %+v, want %s with the hint %q", bad, tt.what, tt.hint)
				}
			}, tt.change)
		})
	}
}

func TestPreflightWarnsOfAGroupThatUpdatesItself(t *testing.T) {
	inBubble(t, zonalGroup(), func(c *cloud) {
		m, err := c.pool.api.InstanceGroupManagers.Get(c.conf.Project, c.conf.Zone, "web").Do()
		if err != nil {
			t.Fatal(err)
		}
		m.UpdatePolicy.Type = "PROACTIVE"
		if _, err := c.pool.api.InstanceGroupManagers.Patch(c.conf.Project, c.conf.Zone, "web", m).Do(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if f := find(t, c.pool.Preflight(c.Context(), 10), "updates"); f.OK || !strings.Contains(f.Hint, "OPPORTUNISTIC") {
			t.Errorf("%+v", f)
		}
	})
}

func TestAKeyThatIsRefusedIsNamed(t *testing.T) {
	inBubble(t, zonalGroup(), func(c *cloud) {
		c.conf.Endpoint = "http://127.0.0.1:8089"
		c.conf.CredentialsFile = filepath.Join(t.TempDir(), "key.json")
		writeKey(t, c.conf.CredentialsFile, "stranger@shop-12345.test")
		p, err := New("web", c.conf, Env{Transport: c.gce.Transport()})
		if err != nil {
			t.Fatal(err)
		}
		fs := p.Preflight(c.Context(), 10)
		if len(fs) != 1 || fs[0].What != "credentials" || !strings.Contains(fs[0].Text, "invalid_grant") {
			t.Errorf("found %+v", fs)
		}
	})
}
