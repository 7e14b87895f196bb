package digitalocean

import (
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"flyball/rules"
)

var (
	slug       = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]*$`)
	tagName    = regexp.MustCompile(`^[A-Za-z0-9_:-]{1,255}$`)
	uuid       = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	sshKey     = regexp.MustCompile(`^([0-9]+|[0-9a-f]{2}(:[0-9a-f]{2}){15})$`)
	memberName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
)

// gpuPrefix begins the slugs of the sizes with GPUs. DigitalOcean lists their Droplets
// apart from the others.
const gpuPrefix = "gpu-"

// mostUserData is how much of it DigitalOcean takes, in bytes.
const mostUserData = 64 << 10

// faults gathers mistakes.
type faults struct {
	path string
	all  []rules.Fault
}

func (f *faults) add(where, text, hint string) {
	f.all = append(f.all, rules.Fault{Path: f.path + where, Text: text, Hint: hint})
}

// Validate names the mistakes of c, which stands at path in its document. What only
// the cloud knows, as whether an image is there, is asked by a preflight.
func (c Config) Validate(path string) []rules.Fault {
	c = c.withDefaults("pool")
	f := &faults{path: path}
	c.validateTarget(f)
	if c.TokenFile == "" {
		f.add(".token_file", "is not written", "write the file that has the API token alone")
	}
	if u, err := url.Parse(c.Endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" {
		f.add(".endpoint", "is no URL of an API", "leave it out, or write e.g. http://127.0.0.1:8181")
	}
	if c.Port < 1 || c.Port > 65535 {
		f.add(".port", fmt.Sprintf("%d is no port", c.Port), "write the port at which the service listens on each member, e.g. 8080")
	}
	if c.Address != addressPrivate && c.Address != addressPublic {
		f.add(".address", fmt.Sprintf("%q is not known", c.Address), "write private or public")
	}
	return f.all
}

func (c Config) validateTarget(f *faults) {
	n := 0
	for _, is := range []bool{c.Droplets != nil, c.AutoscalePool != "", c.Kubernetes != nil} {
		if is {
			n++
		}
	}
	switch {
	case n == 0:
		f.add("", "does not say what its members are", "write droplets: {regions: [fra1], sizes: [s-1vcpu-1gb], image: ...}, autoscale_pool or kubernetes")
	case n > 1:
		f.add("", "has members of more than one kind", "write one of droplets, autoscale_pool and kubernetes")
	case c.Droplets != nil:
		c.Droplets.validate(f)
	case c.Kubernetes != nil:
		c.Kubernetes.validate(f)
	case !uuid.MatchString(c.AutoscalePool):
		f.add(".autoscale_pool", fmt.Sprintf("%q is no id of an Autoscale Pool", c.AutoscalePool), "copy its UUID from doctl compute droplet-autoscale list")
	}
}

func (k Kubernetes) validate(f *faults) {
	if !uuid.MatchString(k.Cluster) {
		f.add(".kubernetes.cluster", fmt.Sprintf("%q is no id of a cluster", k.Cluster), "copy its UUID from doctl kubernetes cluster list")
	}
	if !uuid.MatchString(k.NodePool) {
		f.add(".kubernetes.node_pool", fmt.Sprintf("%q is no id of a node pool", k.NodePool), "copy its UUID from doctl kubernetes cluster node-pool list")
	}
}

func (d Droplets) validate(f *faults) {
	d.validateSlugs(f)
	d.validateTags(f)
	if d.Image == "" || len(d.Image) > 255 {
		f.add(".droplets.image", "names no image", "write a slug as ubuntu-24-04-x64, the number of an image, or a snapshot's name")
	}
	for i, k := range d.SSHKeys {
		if !sshKey.MatchString(k) {
			f.add(fmt.Sprintf(".droplets.ssh_keys[%d]", i), fmt.Sprintf("%q is neither a fingerprint nor a number", k), "copy it from doctl compute ssh-key list")
		}
	}
	if d.VPC != "" && !uuid.MatchString(d.VPC) {
		f.add(".droplets.vpc", fmt.Sprintf("%q is no id of a VPC", d.VPC), "copy its UUID from doctl vpcs list")
	}
	if d.VPC != "" && len(d.Regions) > 1 {
		f.add(".droplets.vpc", "lies in one region, and the members do not", "write one region, or leave vpc out: members then join the own network of their region")
	}
	d.validateUserData(f)
	for _, t := range []struct {
		name         string
		is, from, to time.Duration
	}{{".droplets.grace", d.Grace, time.Second, time.Hour}, {".droplets.boot_timeout", d.BootTimeout, time.Minute, time.Hour}} {
		if t.is < t.from || t.is > t.to {
			f.add(t.name, fmt.Sprintf("%s is not between %s and %s", t.is, t.from, t.to), "leave it out, or write e.g. "+t.from.String())
		}
	}
}

func (d Droplets) validateSlugs(f *faults) {
	for _, l := range []struct {
		name, of, such string
		are            []string
	}{{"regions", "region", "fra1", d.Regions}, {"sizes", "size", "s-1vcpu-1gb", d.Sizes}} {
		if len(l.are) == 0 {
			f.add(".droplets."+l.name, "is empty", "write e.g. ["+l.such+"]")
		}
		for i, s := range l.are {
			if !slug.MatchString(s) {
				f.add(fmt.Sprintf(".droplets.%s[%d]", l.name, i), fmt.Sprintf("%q is no slug of a %s", s, l.of), "write e.g. "+l.such)
			}
		}
	}
	for i, s := range d.Sizes {
		if strings.HasPrefix(s, gpuPrefix) {
			f.add(fmt.Sprintf(".droplets.sizes[%d]", i), fmt.Sprintf("%s is a GPU Droplet, which the list of Droplets leaves out: a member that is not listed would be bought again", s), "write another size, or scale them as the nodes of a kubernetes pool")
		}
	}
}

func (d Droplets) validateTags(f *faults) {
	for _, t := range []struct{ name, is string }{{"tag", d.Tag}, {"traffic_tag", d.TrafficTag}} {
		if t.is != "" && !tagName.MatchString(t.is) {
			f.add(".droplets."+t.name, fmt.Sprintf("%q is no tag", t.is), "use letters, digits, _, : and -")
		}
		if t.is == markTag || t.is == leavingTag || strings.HasPrefix(t.is, versionTag) {
			f.add(".droplets."+t.name, fmt.Sprintf("%s is a tag of Flyball's own", t.is), "call it differently")
		}
	}
	if d.TrafficTag != "" && strings.EqualFold(d.TrafficTag, d.Tag) {
		f.add(".droplets.traffic_tag", "is the tag of the members, too", "give the balancer a tag of its own: a member has to lose it before it ends")
	}
}

func (d Droplets) validateUserData(f *faults) {
	if d.UserDataFile == "" {
		return
	}
	info, err := os.Stat(d.UserDataFile)
	switch {
	case err != nil:
		f.add(".droplets.user_data_file", fmt.Sprintf("%s cannot be read", d.UserDataFile), "write a file that is there")
	case info.Size() > mostUserData:
		f.add(".droplets.user_data_file", fmt.Sprintf("%s has %d bytes, and DigitalOcean takes %d", d.UserDataFile, info.Size(), mostUserData), "let it fetch the rest when it runs, or put it into the image")
	}
}
