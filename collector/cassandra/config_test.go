package cassandra

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestMistakesOfAConfigurationAreNamed(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := func() Config {
		return Config{Name: "ring", Hosts: []string{"10.0.0.4", "cassandra-0.example", "2001:db8::1"}, Port: 9042, Tables: 100}
	}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string // the mistaken field; "" is none
	}{
		"as it should be":            {func(*Config) {}, ""},
		"with a user":                {func(c *Config) { c.Username, c.PasswordFile = "u", file }, ""},
		"no host":                    {func(c *Config) { c.Hosts = nil }, ".hosts"},
		"a host with a port":         {func(c *Config) { c.Hosts[1] = "10.0.0.4:9042" }, ".hosts[1]"},
		"an empty host":              {func(c *Config) { c.Hosts[0] = "" }, ".hosts[0]"},
		"a host with a slash":        {func(c *Config) { c.Hosts[0] = "http://a" }, ".hosts[0]"},
		"a host twice":               {func(c *Config) { c.Hosts[2] = "10.0.0.4" }, ".hosts[2]"},
		"a port beyond":              {func(c *Config) { c.Port = 70000 }, ".port"},
		"tables below none":          {func(c *Config) { c.Tables = -1 }, ".tables"},
		"a timeout too short":        {func(c *Config) { c.Timeout = time.Millisecond }, ".timeout"},
		"a user without a password":  {func(c *Config) { c.Username = "u" }, ".username"},
		"a password for nobody":      {func(c *Config) { c.PasswordFile = file }, ".password_file"},
		"a password that is missing": {func(c *Config) { c.Username, c.PasswordFile = "u", filepath.Join(dir, "none") }, ".password_file"},
		"a certificate without key":  {func(c *Config) { c.TLS = &TLS{CertFile: file} }, ".tls.cert_file"},
		"no certificates":            {func(c *Config) { c.TLS = &TLS{CAFile: file} }, ".tls"},
		"TLS by the system's":        {func(c *Config) { c.TLS = &TLS{} }, ""},
	} {
		config := good()
		c.change(&config)
		ms := config.Validate()
		switch {
		case c.want == "" && len(ms) > 0:
			t.Errorf("%s: %v", name, ms)
		case c.want != "" && (len(ms) != 1 || ms[0].Field != c.want || ms[0].Text == "" || ms[0].Hint == ""):
			t.Errorf("%s: %+v, want one mistake at %s", name, ms, c.want)
		}
	}
}

func TestFilesAreBelowTheConfiguration(t *testing.T) {
	shared := &TLS{CAFile: "ca.pem", CertFile: "/abs/cert.pem"}
	c := Config{PasswordFile: "password", TLS: shared}
	c.Resolve("/etc/flyball")
	if c.PasswordFile != "/etc/flyball/password" || c.TLS.CAFile != "/etc/flyball/ca.pem" || c.TLS.CertFile != "/abs/cert.pem" || c.TLS.KeyFile != "" {
		t.Errorf("%+v %+v", c, c.TLS)
	}
	if shared.CAFile != "ca.pem" {
		t.Error("what another configuration shares was changed")
	}
}

func TestTheTableNamesEveryMetricOnce(t *testing.T) {
	table := Table()
	seen := map[string]string{}
	for _, p := range Parts() {
		for _, m := range p.Metrics {
			if other := seen[m.Name]; other != "" {
				t.Errorf("%s is of %s and %s", m.Name, other, p.Name)
			}
			seen[m.Name] = p.Name
			if !strings.Contains(table, "| `"+m.Name+"` |") {
				t.Errorf("%s is not in the table", m.Name)
			}
			if strings.HasSuffix(m.Name, "_total") != (m.Kind == prometheus.CounterValue) {
				t.Errorf("%s: a counter ends in _total, and nothing else", m.Name)
			}
		}
	}
}
