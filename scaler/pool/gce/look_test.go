package gce

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/api/compute/v1"

	"flyball/rules"
	"flyball/scaler/pool/emulate"
)

func TestAnEmptyFolderAdoptsTheMembersOfTheGroup(t *testing.T) {
	for name, g := range places() {
		t.Run(name, func(t *testing.T) {
			g.Size, g.Template = 3, "blue"
			inBubble(t, g, func(c *cloud) {
				ms, terms := c.look()
				if len(ms) != 3 || terms.Version != "blue" {
					t.Fatalf("members are %+v, terms %+v", ms, terms)
				}
				for _, m := range ms {
					if time.Since(m.Born) != time.Hour || m.Addr == "" || m.Version != "blue" || !strings.Contains(m.Note, "zone europe-west3-") {
						t.Errorf("an adopted member is %+v", m)
					}
				}
			})
		})
	}
}

func TestAtRestAGroupIsAskedEvery15SAndUnderWayOnceAJudgement(t *testing.T) {
	g := zonalGroup()
	g.Size = 20
	inBubble(t, g, func(c *cloud) {
		c.look()
		time.Sleep(time.Minute)
		c.look()
		lists, all := c.asked("POST", "listManagedInstances"), len(c.world.Requests())
		for range 3600 { // judgements
			time.Sleep(time.Second)
			c.look()
			c.look() // the members are asked whether they are ready as well
		}
		if n := c.asked("POST", "listManagedInstances") - lists; n < 200 || n > 240 {
			t.Errorf("%d lists an hour at rest", n)
		}
		if n := len(c.world.Requests()) - all; n > 480 {
			t.Errorf("%d requests an hour at rest", n)
		}
		lists = c.asked("POST", "listManagedInstances")
		for i := range 30 {
			c.look()
			if i == 0 {
				if err := c.grow("web-1"); err != nil {
					t.Fatal(err)
				}
			}
			c.look()
			time.Sleep(time.Second)
		}
		if n := c.asked("POST", "listManagedInstances") - lists; n > 32 {
			t.Errorf("%d lists in 30 judgements", n)
		}
	})
}

func TestNoSizeIsEverSetAndNoSecretIsInAnAddress(t *testing.T) {
	inBubble(t, zonalGroup(), func(c *cloud) {
		c.conf.Endpoint = "http://127.0.0.1:8089"
		c.conf.CredentialsFile = filepath.Join(t.TempDir(), "key.json")
		if err := c.gce.WriteCredentials(c.conf.CredentialsFile, c.conf.Endpoint); err != nil {
			t.Fatal(err)
		}
		p, err := New("web", c.conf, Env{Transport: c.gce.Transport()})
		if err != nil {
			t.Fatal(err)
		}
		c.pool = p
		ms := c.ready("web-1", "web-2", "web-3")
		if err := c.remove(ms[1]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour) // the token has to be fetched anew
		if got := c.names(); got != "web-1 web-3" {
			t.Errorf("members are %s", got)
		}
		if n := c.asked("POST", "/token"); n != 2 {
			t.Errorf("%d tokens were fetched in two hours", n)
		}
		for _, r := range c.world.Requests() {
			u, err := url.Parse(r.URL)
			if err != nil || u.Query().Has("access_token") || u.Query().Has("key") || strings.Contains(r.URL, "ya29") {
				t.Errorf("%s %s has a secret in its address, %v", r.Method, r.URL, err)
			}
			if strings.HasSuffix(u.Path, "/resize") || r.Method == "PATCH" {
				t.Errorf("%s %s sets a size", r.Method, r.URL)
			}
		}
	})
}

func TestPagesAreReadToTheEnd(t *testing.T) {
	g := zonalGroup()
	g.Size, g.Paginated = 620, true
	inBubble(t, g, func(c *cloud) {
		if ms, _ := c.look(); len(ms) != 620 {
			t.Errorf("%d members of 620", len(ms))
		}
	})
}

func TestANewTemplateShowsInTheTerms(t *testing.T) {
	inBubble(t, zonalGroup(), func(c *cloud) {
		c.ready("web-1")
		c.gce.AddTemplate(emulate.ComputeTemplate{Name: "green"})
		if _, err := c.pool.api.InstanceGroupManagers.SetInstanceTemplate(c.conf.Project, c.conf.Zone, "web",
			&compute.InstanceGroupManagersSetInstanceTemplateRequest{InstanceTemplate: "global/instanceTemplates/green"}).Do(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		ms, terms := c.look()
		if ms[0].Version != "web" || terms.Version != "green" {
			t.Errorf("the member is of %s, new ones of %s", ms[0].Version, terms.Version)
		}
		if after := c.ready("web-2"); after[1].Version != "green" {
			t.Errorf("the new member is %+v", after[1])
		}
	})
}

func TestWhatTheGroupSaysOfAnInstanceBecomesItsState(t *testing.T) {
	now := time.Unix(1e9, 0)
	repair := &compute.InstanceGroupManager{}
	leave := &compute.InstanceGroupManager{InstanceLifecyclePolicy: &compute.InstanceGroupManagerInstanceLifecyclePolicy{DefaultActionOnFailure: "DO_NOTHING"}}
	for _, tt := range []struct {
		action, status string
		group          *compute.InstanceGroupManager
		want           rules.State
	}{
		{"NONE", "RUNNING", repair, rules.Booting},
		{"VERIFYING", "RUNNING", repair, rules.Booting},
		{"REFRESHING", "RUNNING", repair, rules.Booting},
		{"CREATING", "PROVISIONING", repair, rules.Booting},
		{"CREATING_WITHOUT_RETRIES", "", repair, rules.Booting},
		{"RECREATING", "STOPPING", repair, rules.Booting},
		{"RESTARTING", "TERMINATED", leave, rules.Booting},
		{"STARTING", "STOPPED", leave, rules.Booting},
		{"NONE", "STOPPING", repair, rules.Booting},
		{"NONE", "TERMINATED", repair, rules.Booting},
		{"NONE", "TERMINATED", leave, rules.Dead},
		{"NONE", "SUSPENDED", leave, rules.Dead},
		{"DELETING", "RUNNING", leave, rules.Leaving},
		{"ABANDONING", "RUNNING", leave, rules.Leaving},
		{"STOPPING", "RUNNING", leave, rules.Leaving},
		{"SOMETHING_NEW", "RUNNING", leave, rules.Booting},
	} {
		p, err := New("web", config(), Env{Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		s := &snapshot{at: now, group: tt.group, members: []*compute.ManagedInstance{
			{Id: 1, Instance: "zones/europe-west3-a/instances/web-1", CurrentAction: tt.action, InstanceStatus: tt.status},
		}}
		p.settle(s)
		if ms := p.members(s); len(ms) != 1 || ms[0].State != tt.want || ms[0].Name != "web-1" {
			t.Errorf("%s, %s: %+v, want %s", tt.action, tt.status, ms, tt.want)
		}
	}
}

func TestInstancesOnStandbyAreNoMembers(t *testing.T) {
	p, err := New("web", config(), Env{})
	if err != nil {
		t.Fatal(err)
	}
	s := &snapshot{at: time.Now(), group: &compute.InstanceGroupManager{TargetStoppedSize: 1}, members: []*compute.ManagedInstance{
		{Id: 1, Name: "web-1", CurrentAction: "NONE", InstanceStatus: "RUNNING"},
		{Id: 2, Name: "web-2", CurrentAction: "NONE", InstanceStatus: "STOPPED"},
	}}
	p.settle(s)
	if ms := p.members(s); len(ms) != 1 || ms[0].Name != "web-1" {
		t.Errorf("members are %+v", ms)
	}
}

func TestTheAddressIsTheOneThatIsAskedFor(t *testing.T) {
	in := &compute.Instance{NetworkInterfaces: []*compute.NetworkInterface{{
		NetworkIP: "10.0.0.7", AccessConfigs: []*compute.AccessConfig{{NatIP: "203.0.113.7"}},
	}}}
	for which, want := range map[string]string{addressInternal: "10.0.0.7:8080", addressExternal: "203.0.113.7:8080"} {
		c := config()
		c.Address = which
		p, err := New("web", c, Env{})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.address(in); got != want {
			t.Errorf("%s: %s, want %s", which, got, want)
		}
		if got := p.address(&compute.Instance{}); got != "" {
			t.Errorf("%s of an instance without: %s", which, got)
		}
	}
}

func TestMachinesWithoutAnAddressAreAskedAboutRarely(t *testing.T) {
	inBubble(t, zonalGroup(), func(c *cloud) {
		names := make([]string, 20)
		for i := range names {
			names[i] = fmt.Sprintf("web-%d", i+1)
		}
		if err := c.grow(names...); err != nil {
			t.Fatal(err)
		}
		asked := func(of time.Duration) int {
			before := c.asked("GET", "/instances/web-")
			for range of / time.Second {
				time.Sleep(time.Second)
				c.look()
			}
			return c.asked("GET", "/instances/web-") - before
		}
		if n := asked(5 * time.Minute); n < 20*5 { // those that boot are asked about soon
			t.Errorf("%d questions about 20 new machines", n)
		}
		if n := asked(10 * time.Minute); n > 20*10 {
			t.Errorf("%d questions about 20 machines in 10 minutes, want one a minute each", n)
		}
		for _, n := range names {
			c.gce.StopByHand(n)
		}
		if n := asked(30 * time.Second); n < 20 {
			t.Errorf("%d questions about 20 machines that were stopped", n)
		}
	}, func(c *Config) { c.Address = addressExternal })
}
