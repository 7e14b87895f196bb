package gce

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"flyball/rules"
)

// Config is one pool: a managed instance group of Google's Compute Engine.
type Config struct {
	// Project is where the group is.
	Project string `yaml:"project" required:"true" doc:"ID of the Google Cloud project"`
	// Zone or Region is the group's location: one of the two.
	Zone   string `yaml:"zone" doc:"zone of a zonal group, e.g. europe-west3-a; leave it out where region is written"`
	Region string `yaml:"region" doc:"region of a regional group, e.g. europe-west3; leave it out where zone is written"`
	// Group is the managed instance group, which exists.
	Group string `yaml:"group" required:"true" doc:"name of the managed instance group; it exists, with its template"`
	// Mode declares who resizes the group.
	Mode string `yaml:"mode" required:"true" enum:"direct only_scale_out floor" doc:"who resizes the group: direct: Flyball alone, Google's autoscaler is OFF or not there; only_scale_out: Google's autoscaler adds members, Flyball ends them; floor: Flyball sets the least size of Google's autoscaler and touches no member"`

	// CredentialsFile is a service account's key.
	CredentialsFile string `yaml:"credentials_file" doc:"JSON key of a service account; read anew when it changes. By default the application default credentials of the machine"`
	// Endpoint is where the API is asked.
	Endpoint string `yaml:"endpoint" default:"https://compute.googleapis.com" doc:"where the Compute API is asked, e.g. an emulator. No credentials are sent over http, but to this machine"`

	// Port is where the members' service listens.
	Port int `yaml:"port" required:"true" doc:"port at which the members' service listens"`
	// Address says which of a member's addresses is used.
	Address string `yaml:"address" default:"internal" enum:"internal external" doc:"which of a member's addresses is used"`
	// Drains says that a backend service drains members.
	Drains bool `yaml:"drains" doc:"a backend service before the group drains a member's connections before the member ends"`
	// ProvisionTimeout is how long a member may be in the making.
	ProvisionTimeout time.Duration `yaml:"provision_timeout" default:"5m" doc:"how long a member may be in the making before it counts as failed and is handed back"`
}

// Who resizes the group.
const (
	modeDirect       = "direct"
	modeOnlyScaleOut = "only_scale_out"
	modeFloor        = "floor"
)

// Which address of a member is used.
const (
	addressInternal = "internal"
	addressExternal = "external"
)

const defaultEndpoint = "https://compute.googleapis.com"

var (
	projectID = regexp.MustCompile(`^([a-z0-9.-]{1,64}:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$`) // with the domain of old ones
	resource  = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

func (c Config) withDefaults() Config {
	if c.Endpoint == "" {
		c.Endpoint = defaultEndpoint
	}
	if c.Address == "" {
		c.Address = addressInternal
	}
	if c.ProvisionTimeout == 0 {
		c.ProvisionTimeout = 5 * time.Minute
	}
	return c
}

// Resolve puts relative file names below dir, where the configuration is.
func (c *Config) Resolve(dir string) {
	if c.CredentialsFile != "" && !filepath.IsAbs(c.CredentialsFile) {
		c.CredentialsFile = filepath.Join(dir, c.CredentialsFile)
	}
}

// faults gathers mistakes.
type faults struct {
	path string
	all  []rules.Fault
}

func (f *faults) add(where, text, hint string) {
	f.all = append(f.all, rules.Fault{Path: f.path + where, Text: text, Hint: hint})
}

// Validate names the mistakes of c, which stands at path in its document.
func (c Config) Validate(path string) []rules.Fault {
	c = c.withDefaults()
	f := &faults{path: path}
	c.validatePlace(f)
	if !slices.Contains([]string{modeDirect, modeOnlyScaleOut, modeFloor}, c.Mode) {
		f.add(".mode", fmt.Sprintf("%q does not say who resizes the group", c.Mode),
			"write direct if Flyball does, and Google's autoscaler is OFF or not there; only_scale_out if that adds members and Flyball ends them; floor if Flyball sets its least size only")
	}
	c.validateEndpoint(f)
	if c.Port < 1 || c.Port > 65535 {
		f.add(".port", fmt.Sprintf("%d is no port", c.Port), "write the port at which the members' service listens, e.g. 8080")
	}
	if !slices.Contains([]string{addressInternal, addressExternal}, c.Address) {
		f.add(".address", fmt.Sprintf("%q is not known", c.Address), "write internal or external")
	}
	if c.ProvisionTimeout < 30*time.Second || c.ProvisionTimeout > 15*time.Minute {
		f.add(".provision_timeout", fmt.Sprintf("%s is not between 30s and 15m", c.ProvisionTimeout), "write e.g. 5m")
	}
	return f.all
}

func (c Config) validatePlace(f *faults) {
	if !projectID.MatchString(c.Project) {
		f.add(".project", fmt.Sprintf("%q is no ID of a project", c.Project), "write the project's ID, not its name or number, e.g. my-shop-12345")
	}
	switch {
	case c.Zone == "" && c.Region == "":
		f.add("", "does not say where the group is", "write zone: europe-west3-a for a zonal group, or region: europe-west3 for a regional one")
	case c.Zone != "" && c.Region != "":
		f.add(".region", "contradicts zone", "leave one of them out: a group is zonal or regional")
	case c.Zone != "" && (!resource.MatchString(c.Zone) || strings.Count(c.Zone, "-") != 2):
		f.add(".zone", fmt.Sprintf("%q is no zone", c.Zone), "write e.g. europe-west3-a")
	case c.Region != "" && (!resource.MatchString(c.Region) || strings.Count(c.Region, "-") != 1):
		f.add(".region", fmt.Sprintf("%q is no region", c.Region), "write e.g. europe-west3")
	}
	if !resource.MatchString(c.Group) {
		f.add(".group", fmt.Sprintf("%q is no name of a managed instance group", c.Group), "write its name as gcloud compute instance-groups managed list shows it")
	}
}

func (c Config) validateEndpoint(f *faults) {
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		f.add(".endpoint", "is no address of an API", "write e.g. http://127.0.0.1:8089, or leave it out")
		return
	}
	if c.CredentialsFile != "" && !secret(u) {
		f.add(".credentials_file", "would be told over http", "write an endpoint with https, or leave credentials_file out")
	}
}

// secret reports whether what is told an endpoint is heard by nobody else.
func secret(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
