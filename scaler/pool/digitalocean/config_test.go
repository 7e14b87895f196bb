package digitalocean

import (
	"strings"
	"testing"
	"time"
)

func validConfig() Config {
	return Config{TokenFile: "/etc/token", Port: 8080, Droplets: &Droplets{
		Regions: []string{"fra1", "nyc"}, Sizes: []string{"s-1vcpu-1gb"}, Image: "web 7",
	}}
}

func TestAMistakeInAConfigurationIsNamedWithItsPlace(t *testing.T) {
	if fs := validConfig().Validate("$"); len(fs) > 0 {
		t.Fatalf("a right configuration: %v", fs)
	}
	const id = "11111111-2222-3333-4444-555555555555"
	for want, change := range map[string]func(c *Config){
		"$":                         func(c *Config) { c.Droplets = nil },
		"$: more than one":          func(c *Config) { c.AutoscalePool = id },
		"$.autoscale_pool":          func(c *Config) { c.Droplets, c.AutoscalePool = nil, "web" },
		"$.kubernetes.cluster":      func(c *Config) { c.Droplets, c.Kubernetes = nil, &Kubernetes{NodePool: id} },
		"$.kubernetes.node_pool":    func(c *Config) { c.Droplets, c.Kubernetes = nil, &Kubernetes{Cluster: id} },
		"$.token_file":              func(c *Config) { c.TokenFile = "" },
		"$.endpoint":                func(c *Config) { c.Endpoint = "https://user:pass@api" },
		"$.port":                    func(c *Config) { c.Port = 0 },
		"$.address":                 func(c *Config) { c.Address = "both" },
		"$.droplets.regions":        func(c *Config) { c.Droplets.Regions = nil },
		"$.droplets.regions[1]":     func(c *Config) { c.Droplets.Regions[1] = "New York" },
		"$.droplets.sizes":          func(c *Config) { c.Droplets.Sizes = nil },
		"$.droplets.sizes[0]: GPU":  func(c *Config) { c.Droplets.Sizes[0] = "gpu-h100x1-80gb" },
		"$.droplets.image":          func(c *Config) { c.Droplets.Image = "" },
		"$.droplets.tag":            func(c *Config) { c.Droplets.Tag = "flyball" },
		"$.droplets.tag: no tag":    func(c *Config) { c.Droplets.Tag = "a b" },
		"$.droplets.traffic_tag":    func(c *Config) { c.Droplets.Tag, c.Droplets.TrafficTag = "web", "Web" },
		"$.droplets.ssh_keys[0]":    func(c *Config) { c.Droplets.SSHKeys = []string{"me@home"} },
		"$.droplets.vpc":            func(c *Config) { c.Droplets.Regions, c.Droplets.VPC = []string{"fra1"}, "default" },
		"$.droplets.vpc: in one":    func(c *Config) { c.Droplets.VPC = id },
		"$.droplets.user_data_file": func(c *Config) { c.Droplets.UserDataFile = "/none/such" },
		"$.droplets.grace":          func(c *Config) { c.Droplets.Grace = time.Millisecond },
		"$.droplets.boot_timeout":   func(c *Config) { c.Droplets.BootTimeout = 2 * time.Hour },
	} {
		c := validConfig()
		change(&c)
		fs := c.Validate("$")
		path, text, _ := strings.Cut(want, ": ")
		if len(fs) != 1 || fs[0].Path != path || !strings.Contains(fs[0].Text, text) || fs[0].Hint == "" {
			t.Errorf("%s: %+v", want, fs)
		}
	}
}

func TestFilesLieBesideTheConfiguration(t *testing.T) {
	c := validConfig()
	c.TokenFile, c.Droplets.UserDataFile = "secrets/do", "/srv/user-data"
	c.Resolve("/etc/flyball")
	if c.TokenFile != "/etc/flyball/secrets/do" || c.Droplets.UserDataFile != "/srv/user-data" {
		t.Errorf("files are %s and %s", c.TokenFile, c.Droplets.UserDataFile)
	}
}
