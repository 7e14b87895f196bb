package pool

import (
	"fmt"
	"strings"
	"time"

	"flyball/rules"
	"flyball/scaler/pool/container"
	"flyball/scaler/pool/digitalocean"
	"flyball/scaler/pool/exec"
	"flyball/scaler/pool/gce"
	"flyball/scaler/pool/process"
	"flyball/scaler/traffic"
)

// Config is one pool: whose members it has, how they are asked whether they are
// ready, and who sends them requests.
type Config struct {
	Process      *process.Config      `yaml:"process" doc:"members are processes on this machine"`
	Container    *container.Config    `yaml:"container" doc:"members are containers on a Docker-compatible engine of this machine"`
	DigitalOcean *digitalocean.Config `yaml:"digitalocean" doc:"members are Droplets, or nodes of Kubernetes, at DigitalOcean"`
	GCE          *gce.Config          `yaml:"gce" doc:"members are instances of a managed instance group of Google's Compute Engine"`
	Exec         *exec.Config         `yaml:"exec" doc:"members are whatever a program says that speaks JSON: for any other cloud"`

	Ready   Ready           `yaml:"ready" doc:"the members' own word on whether they take requests; by default a TCP connection"`
	Traffic *traffic.Config `yaml:"traffic" doc:"who sends requests to the members; by default nobody that Flyball could steer"`
	Drain   time.Duration   `yaml:"drain" default:"30s" doc:"how long a member that is out of rotation may finish its open requests"`
	Metrics string          `yaml:"metrics" default:"/metrics" doc:"path at which members are scraped"`
	Accept  []string        `yaml:"accept" doc:"selectors of series written in from outside that may drive this pool; none by default"`
	Price   Price           `yaml:"price" doc:"what a member costs; by default what its cloud says, if it does"`
	DryRun  bool            `yaml:"dry_run" doc:"decide, log what would be done, and do nothing"`

	// Socket is that of the HAProxy which Traffic names. It is not written with
	// the pool, but filled in from where that HAProxy is configured.
	Socket string
}

// Ready is how a member is asked whether it takes requests.
type Ready struct {
	HTTP     string        `yaml:"http" doc:"path; an answer of 200 to 399 is a yes"`
	TCP      bool          `yaml:"tcp" doc:"a connection is enough; so it is where http is not written"`
	Port     int           `yaml:"port" doc:"another port than that of the member's service"`
	Interval time.Duration `yaml:"interval" default:"1s" doc:"how often each member is asked"`
	Timeout  time.Duration `yaml:"timeout" default:"1s" doc:"how long an answer may take"`
	Failures int           `yaml:"failures" default:"3" doc:"failures in a row that make a ready member unhealthy; one answer makes it ready"`
}

// withDefaults fills in what the tags say, for a Config made in Go.
func (c Config) withDefaults() Config {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&c.Drain, 30*time.Second)
	set(&c.Ready.Interval, time.Second)
	set(&c.Ready.Timeout, time.Second)
	if c.Ready.Failures == 0 {
		c.Ready.Failures = 3
	}
	if c.Metrics == "" {
		c.Metrics = "/metrics"
	}
	return c
}

// Resolve puts relative paths below dir, where the configuration is. It comes
// before Validate, which looks at folders.
func (c Config) Resolve(dir string) {
	for _, p := range c.providers() {
		p.Resolve(dir)
	}
	if c.Traffic != nil {
		c.Traffic.Resolve(dir)
	}
}

// A provider is the block of one that has members, and the name of that block.
type provider struct {
	name string
	block
}

type block interface {
	Resolve(dir string)
	Validate(path string) []rules.Fault
}

// providers are those that are written, of which there must be one.
func (c Config) providers() []provider {
	var out []provider
	add := func(name string, written bool, b block) {
		if written {
			out = append(out, provider{name, b})
		}
	}
	add("process", c.Process != nil, c.Process)
	add("container", c.Container != nil, c.Container)
	add("digitalocean", c.DigitalOcean != nil, c.DigitalOcean)
	add("gce", c.GCE != nil, c.GCE)
	add("exec", c.Exec != nil, c.Exec)
	return out
}

// Kind is the name of the block that says what the members are; "": there is none.
func (c Config) Kind() string {
	if ps := c.providers(); len(ps) > 0 {
		return ps[0].name
	}
	return ""
}

// Validate names the mistakes of c, which stands at path in its document.
func (c Config) Validate(path string) []rules.Fault {
	c = c.withDefaults()
	var fs []rules.Fault
	wrong := func(where, text, hint string) {
		fs = append(fs, rules.Fault{Path: path + where, Text: text, Hint: hint})
	}
	switch ps := c.providers(); len(ps) {
	case 0:
		wrong("", "does not say what its members are", "write process: {command: [...], ports: 20000-20099}, container: {image: ..., port: 8080}, digitalocean, gce or exec")
	case 1:
		fs = append(fs, ps[0].Validate(path+"."+ps[0].name)...)
	default:
		wrong("."+ps[1].name, "contradicts "+ps[0].name, "leave one of them out: members are one or the other")
	}
	fs = append(fs, c.Ready.validate(path+".ready")...)
	fs = append(fs, c.Price.validate(path+".price")...)
	if c.Traffic != nil {
		fs = append(fs, c.Traffic.Validate(path+".traffic")...)
	}
	if c.Drain < 0 || c.Drain > time.Hour {
		wrong(".drain", fmt.Sprintf("%s is not between 0s and 1h", c.Drain), "write e.g. 30s")
	}
	if !strings.HasPrefix(c.Metrics, "/") {
		wrong(".metrics", fmt.Sprintf("%q is no path", c.Metrics), "write e.g. /metrics")
	}
	return fs
}

func (r Ready) validate(path string) []rules.Fault {
	var fs []rules.Fault
	wrong := func(where, text, hint string) {
		fs = append(fs, rules.Fault{Path: path + where, Text: text, Hint: hint})
	}
	if r.HTTP != "" && !strings.HasPrefix(r.HTTP, "/") {
		wrong(".http", fmt.Sprintf("%q is no path", r.HTTP), "write e.g. /readyz")
	}
	if r.HTTP != "" && r.TCP {
		wrong(".tcp", "contradicts http", "leave one of them out")
	}
	if r.Port < 0 || r.Port > 65535 {
		wrong(".port", fmt.Sprintf("%d is no port", r.Port), "write 1 to 65535, or leave it out")
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{".interval", r.Interval}, {".timeout", r.Timeout}} {
		if d.d < 10*time.Millisecond || d.d > 5*time.Minute {
			wrong(d.name, fmt.Sprintf("%s is not between 10ms and 5m", d.d), "write e.g. 1s")
		}
	}
	if r.Failures < 1 {
		wrong(".failures", fmt.Sprintf("%d is fewer than 1", r.Failures), "write e.g. 3")
	}
	return fs
}
