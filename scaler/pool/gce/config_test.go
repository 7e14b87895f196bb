package gce

import (
	"path/filepath"
	"testing"
	"time"

	"flyball/scaler/journal"
)

func config() Config {
	return Config{Project: "shop-12345", Zone: "europe-west3-a", Group: "web", Mode: "direct", Port: 8080}
}

func TestMistakesAreNamedWhereTheyStand(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(*Config)
		want  string // path; "": none
	}{
		{"as it should be", func(*Config) {}, ""},
		{"regional", func(c *Config) { c.Zone, c.Region = "", "europe-west3" }, ""},
		{"an old project of a company", func(c *Config) { c.Project = "example.com:shop-12345" }, ""},
		{"an emulator", func(c *Config) { c.Endpoint = "http://emulator:8089" }, ""},
		{"no project", func(c *Config) { c.Project = "" }, "gce.project"},
		{"a project's name", func(c *Config) { c.Project = "My Shop" }, "gce.project"},
		{"nowhere", func(c *Config) { c.Zone = "" }, "gce"},
		{"in two places", func(c *Config) { c.Region = "europe-west3" }, "gce.region"},
		{"a region for a zone", func(c *Config) { c.Zone = "europe-west3" }, "gce.zone"},
		{"a zone for a region", func(c *Config) { c.Zone, c.Region = "", "europe-west3-a" }, "gce.region"},
		{"no group", func(c *Config) { c.Group = "" }, "gce.group"},
		{"a path for a group", func(c *Config) { c.Group = "zones/x/web" }, "gce.group"},
		{"ownership that is not declared", func(c *Config) { c.Mode = "" }, "gce.mode"},
		{"a mode that is none", func(c *Config) { c.Mode = "both" }, "gce.mode"},
		{"no port", func(c *Config) { c.Port = 0 }, "gce.port"},
		{"an address that is none", func(c *Config) { c.Address = "public" }, "gce.address"},
		{"a name as endpoint", func(c *Config) { c.Endpoint = "emulator:8089" }, "gce.endpoint"},
		{"a password in the endpoint", func(c *Config) { c.Endpoint = "https://me:secret@emulator" }, "gce.endpoint"},
		{"a key told over http", func(c *Config) { c.Endpoint, c.CredentialsFile = "http://emulator:8089", "key.json" }, "gce.credentials_file"},
		{"a key told to this machine", func(c *Config) { c.Endpoint, c.CredentialsFile = "http://127.0.0.1:8089", "key.json" }, ""},
		{"no patience", func(c *Config) { c.ProvisionTimeout = time.Second }, "gce.provision_timeout"},
	} {
		c := config()
		tt.spoil(&c)
		fs := c.Validate("gce")
		switch {
		case tt.want == "" && len(fs) > 0:
			t.Errorf("%s: %v", tt.name, fs)
		case tt.want != "" && (len(fs) != 1 || fs[0].Path != tt.want || fs[0].Hint == ""):
			t.Errorf("%s: %v, want one at %s", tt.name, fs, tt.want)
		}
		if _, err := New("web", c, Env{}); (err == nil) != (tt.want == "") {
			t.Errorf("%s: New says %v", tt.name, err)
		}
	}
}

func TestARelativeKeyIsBesideTheConfiguration(t *testing.T) {
	c := config()
	c.CredentialsFile = "key.json"
	c.Resolve("/etc/flyball")
	if c.CredentialsFile != filepath.Join("/etc/flyball", "key.json") {
		t.Errorf("the key is at %s", c.CredentialsFile)
	}
}

func TestARepeatedStepHasTheSameRequestID(t *testing.T) {
	p, err := New("web", config(), Env{})
	if err != nil {
		t.Fatal(err)
	}
	step := journal.Step{ID: "web-1", Verb: journal.Grow, Names: []string{"web-1", "web-2"}, To: 2}
	turned := step
	turned.Names = []string{"web-2", "web-1"}
	first := p.requestID(step, 0)
	if first != p.requestID(turned, 0) || len(first) != 36 {
		t.Errorf("the request IDs are %s and %s", first, p.requestID(turned, 0))
	}
	seen := map[string]bool{first: true}
	for _, s := range []journal.Step{{ID: "web-2", Verb: journal.Grow, Names: step.Names, To: 2}, {ID: "web-1", Verb: journal.Swap, Names: step.Names, To: 2}} {
		seen[p.requestID(s, 0)] = true
	}
	seen[p.requestID(step, 1)] = true
	if len(seen) != 4 {
		t.Errorf("four requests have the IDs %v", seen)
	}
}
