package digitalocean

import (
	"path/filepath"
	"time"
)

// Config is one pool at DigitalOcean: exactly one of droplets, autoscale_pool and
// kubernetes says what its members are.
type Config struct {
	Droplets      *Droplets   `yaml:"droplets" doc:"members are plain Droplets, made and ended by Flyball itself"`
	AutoscalePool string      `yaml:"autoscale_pool" doc:"members are those of the Droplet Autoscale Pool of this id, whose size Flyball sets"`
	Kubernetes    *Kubernetes `yaml:"kubernetes" doc:"members are the nodes of a node pool, whose size Flyball sets"`

	// TokenFile has the API token, alone; read anew when it changes.
	TokenFile string `yaml:"token_file" required:"true" doc:"file with the API token alone; read anew when it changes"`
	// Endpoint is where the API is.
	Endpoint string `yaml:"endpoint" default:"https://api.digitalocean.com" doc:"where the API is, e.g. that of flyball emulate digitalocean"`
	// Port is where the service listens on each member.
	Port int `yaml:"port" required:"true" doc:"port at which the service listens on each member"`
	// Address says which of a member's addresses is asked and gets requests.
	Address string `yaml:"address" default:"private" enum:"private public" doc:"which of a member's IPv4 addresses is asked and gets requests"`
}

// Droplets are what members are made of, and by what they are known.
type Droplets struct {
	// Regions in the order in which they are tried: fra1, or nyc for any of nyc1 to nyc3.
	Regions []string `yaml:"regions" required:"true" doc:"regions in the order in which they are tried, e.g. [fra1, ams3]; nyc stands for any of New York's"`
	// Sizes in the order in which they are tried, within each region.
	Sizes []string `yaml:"sizes" required:"true" doc:"sizes in the order in which they are tried, e.g. [s-1vcpu-1gb, s-1vcpu-2gb]; all are tried in one region before the next; GPU Droplets cannot be members"`
	// Image is a slug, the number of an image, or the name of a snapshot: the newest of
	// that name that is in all of the regions.
	Image string `yaml:"image" required:"true" doc:"slug or number of an image, or a snapshot's name: the newest of that name that is in all of the regions"`
	// Tag marks the pool's members, beside the tag flyball: those of this Flyball alone,
	// for a pool of the same name and tag elsewhere takes them for its own.
	Tag string `yaml:"tag" doc:"tag of the pool's members; by default flyball- and the pool's name. Where two Flyballs share an account, no tag may be of both"`
	// TrafficTag is that of a load balancer: members bear it while they take requests.
	TrafficTag string `yaml:"traffic_tag" doc:"tag by which a load balancer knows whom to send requests to: a member gets it when it is ready and loses it before it ends"`
	// SSHKeys are fingerprints or numbers.
	SSHKeys []string `yaml:"ssh_keys" doc:"fingerprints or numbers of the SSH keys that may log in"`
	// VPC is the UUID of the members' private network.
	VPC string `yaml:"vpc" doc:"UUID of the private network that members join; by default the region's own"`
	// UserDataFile is what cloud-init gets, at most 64 KiB; read anew when it changes.
	UserDataFile string `yaml:"user_data_file" doc:"file for cloud-init, at most 64 KiB; read anew when it changes"`
	// Monitoring installs the provider's agent.
	Monitoring bool `yaml:"monitoring" doc:"install the provider's metrics agent"`
	// Grace is how long a member may take to shut down before it is powered off.
	Grace time.Duration `yaml:"grace" default:"30s" doc:"how long a member may take to shut down before it is powered off"`
	// BootTimeout is how long a Droplet may be new before it counts as failed.
	BootTimeout time.Duration `yaml:"boot_timeout" default:"10m" doc:"how long making a Droplet may take before it counts as failed and is replaced"`
}

// Kubernetes is a node pool of a DOKS cluster.
type Kubernetes struct {
	Cluster  string `yaml:"cluster" required:"true" doc:"UUID of the cluster"`
	NodePool string `yaml:"node_pool" required:"true" doc:"UUID of the node pool; its own autoscaling must be off"`
}

// realEndpoint is that of DigitalOcean itself.
const realEndpoint = "https://api.digitalocean.com"

// Which address of a member counts.
const (
	addressPrivate = "private"
	addressPublic  = "public"
)

func (c Config) withDefaults(pool string) Config {
	if c.Endpoint == "" {
		c.Endpoint = realEndpoint
	}
	if c.Address == "" {
		c.Address = addressPrivate
	}
	if c.Droplets != nil {
		d := c.Droplets.withDefaults(pool)
		c.Droplets = &d
	}
	return c
}

func (d Droplets) withDefaults(pool string) Droplets {
	if d.Tag == "" {
		d.Tag = markTag + "-" + pool
	}
	if d.Grace == 0 {
		d.Grace = 30 * time.Second
	}
	if d.BootTimeout == 0 {
		d.BootTimeout = 10 * time.Minute
	}
	return d
}

// Resolve puts relative file names below dir, where the configuration is.
func (c *Config) Resolve(dir string) {
	below := func(path *string) {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	below(&c.TokenFile)
	if c.Droplets != nil {
		below(&c.Droplets.UserDataFile)
	}
}
