package container

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"flyball/deploy/testservers"
	"flyball/rules"
	"flyball/scaler/pool/pooltest"
)

func TestAMemberIsMadeAsConfiguredAndSafelyByDefault(t *testing.T) {
	t.Setenv("PASSED_ON", "a secret")
	share := t.TempDir()
	p := testPool(t, func(c *Config) {
		c.Command = []string{":{port}", "{name}"}
		c.Port, c.Memory, c.CPUs = 8081, 64e6, 0.5
		c.Env = map[string]string{"PASSED_ON": "", "WHO": "{name} of {port}"}
		c.Volumes, c.Tmpfs, c.ReadOnly, c.User = []string{share + ":/share:ro"}, []string{"/tmp"}, true, "1000:1000"
		c.Labels = map[string]string{"team": "orders"}
		c.Network = testservers.SharedPodman(t).Network()
	})
	m := pooltest.Grow(t, p, "web-1")[0]
	awaitService(t, m)
	if !strings.HasSuffix(m.Addr, ":8081") {
		t.Errorf("is at %s", m.Addr)
	}
	for variable, want := range map[string]string{
		"PASSED_ON": "a secret", "WHO": "web-1 of 8081", "FLYBALL_POOL": "web", "FLYBALL_MEMBER": "web-1",
	} {
		if got, err := get(m, "/env?"+variable); got != want || err != nil {
			t.Errorf("%s is %q, %v, want %q", variable, got, err, want)
		}
	}
	c := inspect(t, p, m.ID)
	h := c.HostConfig
	if h.Memory != 64e6 || h.NanoCPUs != 5e8 || h.PidsLimit == nil || *h.PidsLimit != 2048 {
		t.Errorf("limits: memory %d, CPUs %d, pids %v", h.Memory, h.NanoCPUs, h.PidsLimit)
	}
	if !slices.Contains(h.SecurityOpt, "no-new-privileges") || len(h.CapAdd) > 0 || !slices.Contains(h.CapDrop, "CHOWN") && !slices.Contains(h.CapDrop, "ALL") {
		t.Errorf("security options %v, capabilities dropped %v, added %v", h.SecurityOpt, h.CapDrop, h.CapAdd)
	}
	if h.RestartPolicy.Name != "no" || !h.ReadonlyRootfs || c.Config.User != "1000:1000" || h.Privileged || h.AutoRemove {
		t.Errorf("restarts %s, read only %v, user %s, privileged %v, removed %v", h.RestartPolicy.Name, h.ReadonlyRootfs, c.Config.User, h.Privileged, h.AutoRemove)
	}
	if _, there := h.Tmpfs["/tmp"]; !there || len(h.Binds) != 1 || !strings.HasPrefix(h.Binds[0], share+":/share:ro") {
		t.Errorf("in memory %v, shared %v", h.Tmpfs, h.Binds)
	}
	if c.Config.Labels["team"] != "orders" || c.Config.Labels[labelMember] != "web-1" {
		t.Errorf("labels %v", c.Config.Labels)
	}
}

func TestTheOutputOfMembersIsBounded(t *testing.T) {
	p := testPool(t, nil)
	m := pooltest.Grow(t, p, "web-1")[0]
	raw, err := os.ReadFile(filepath.Join("/proc", testservers.SharedPodman(t).Run(t, "inspect", "--format", "{{.State.ConmonPid}}", string(m.ID)), "cmdline"))
	if err != nil || !strings.Contains(string(raw), "--log-size-max\x0010000000\x00") {
		t.Errorf("who writes the output was told %q, %v", strings.ReplaceAll(string(raw), "\x00", " "), err)
	}
}

func TestPublishedMembersAreAtPortsOfTheirOwn(t *testing.T) {
	p := testPool(t, func(c *Config) { c.Publish = true })
	ms := pooltest.Grow(t, p, "web-1", "web-2")
	for _, m := range ms {
		if !strings.HasPrefix(m.Addr, "127.0.0.1:") || strings.HasSuffix(m.Addr, ":8080") {
			t.Errorf("%s is at %s", m.Name, m.Addr)
		}
		awaitService(t, m)
	}
	if ms[0].Addr == ms[1].Addr {
		t.Errorf("both are at %s", ms[0].Addr)
	}
}

func TestAMemberKeepsThePortThatItWasMadeWith(t *testing.T) {
	p := testPool(t, nil)
	m := pooltest.Grow(t, p, "web-1")[0]
	c := p.cfg
	c.Port = 9090
	if ms := pooltest.Look(t, newPool(t, c, p.dir)); len(ms) != 1 || ms[0].Addr != m.Addr {
		t.Errorf("was at %s, and is %+v", m.Addr, ms)
	}
}

func TestHowAMemberEndedIsInItsNote(t *testing.T) {
	for _, tt := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Env["EXIT"] = "7" }, "ended with status 7"},
		{func(c *Config) { c.Command = []string{"no address"} }, "ended with status 3"},
		{func(c *Config) { c.Env["EAT"] = "1"; c.Memory = 32e6 }, "ended by signal 9 (killed)"}, // podman does not always know why
	} {
		p := testPool(t, tt.change)
		born := time.Now()
		if err := p.Grow(t.Context(), step("web-1")); err != nil {
			t.Fatal(err)
		}
		var m rules.Member
		pooltest.Until(t, "death", func() bool { m = pooltest.Look(t, p)[0]; return m.State == rules.Dead })
		if !strings.HasPrefix(m.Note, tt.want) {
			t.Errorf("note %q, want %q", m.Note, tt.want)
		}
		if m.Since.Before(born.Add(-time.Minute)) || m.Since.After(time.Now().Add(time.Minute)) {
			t.Errorf("dead since %s", m.Since)
		}
		remove(t, p, m)
	}
}

func TestWhatCannotBeStartedIsAnErrorAndNoMember(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no such image, never fetched": {func(c *Config) { c.Image = "localhost/none:1" }, "the engine has no image localhost/none:1, and pull is never"},
		"no such image, and no registry": {
			func(c *Config) { c.Image, c.Pull = "localhost:1/none:1", pullMissing }, "fetch image localhost:1/none:1",
		},
		"no such network":      {func(c *Config) { c.Network = "nowhere" }, "nowhere"},
		"no such user":         {func(c *Config) { c.User = "nobody-at-all" }, "start web-1: start container: "},
		"no file of passwords": {func(c *Config) { c.Pull, c.AuthFile = pullAlways, "/nowhere/config.json" }, "read passwords of registries"},
	} {
		t.Run(name, func(t *testing.T) {
			p := testPool(t, tt.change)
			err := p.Grow(t.Context(), step("web-1"))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want it to say %q", err, tt.want)
			}
			if ms := pooltest.Look(t, p); len(ms) != 0 || len(containersOf(t, p)) != 0 {
				t.Errorf("members %v, containers %v", ms, containersOf(t, p))
			}
		})
	}
}

func TestThereIsAnEndToMembers(t *testing.T) {
	p := testPool(t, func(c *Config) { c.Most = 2 })
	err := p.Grow(t.Context(), step("web-1", "web-2", "web-3"))
	if err == nil || !strings.Contains(err.Error(), "start web-3: there is no room for another member: most is 2, and there are 2") {
		t.Errorf("got %v", err)
	}
	ms, terms, err := p.Look(t.Context())
	if err != nil || len(ms) != 2 || terms.Most != 2 || !terms.Names || !terms.Victims {
		t.Errorf("got %d members, terms %+v, %v", len(ms), terms, err)
	}
}
