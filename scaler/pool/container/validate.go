package container

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"

	"flyball/rules"
)

var (
	memberName  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
	placeholder = regexp.MustCompile(`\{[a-z]+\}`)
	variable    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	ownerMark   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	object      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`) // name of a network or a volume
)

// Resolve puts relative file names below dir, where the configuration is.
func (c *Config) Resolve(dir string) {
	if c.AuthFile != "" && !filepath.IsAbs(c.AuthFile) {
		c.AuthFile = filepath.Join(dir, c.AuthFile)
	}
	for i, v := range c.Volumes {
		if strings.HasPrefix(v, "./") || strings.HasPrefix(v, "../") {
			host, rest, _ := strings.Cut(v, ":")
			c.Volumes[i] = filepath.Join(dir, host) + ":" + rest
		}
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
	c.validateImage(f)
	c.validateNetwork(f)
	c.validateProgram(f)
	c.validateLimits(f)
	c.validateFiles(f)
	for _, k := range slices.Sorted(maps.Keys(c.Labels)) {
		if k == "" || strings.HasPrefix(k, labelPrefix) {
			f.add(".labels", fmt.Sprintf("%q is a label of Flyball's own", k), "call it differently")
		}
	}
	if c.Owner != "" && !ownerMark.MatchString(c.Owner) {
		f.add(".owner", fmt.Sprintf("%q is no mark", c.Owner), "copy it from the label "+labelOwner+" of the containers that are to be taken over")
	}
	return f.all
}

func (c Config) validateImage(f *faults) {
	switch _, err := reference.ParseNormalizedNamed(c.Image); {
	case c.Image == "":
		f.add(".image", "names no image", "write image: registry.example.com/app:1.2")
	case err != nil:
		f.add(".image", fmt.Sprintf("%q is no name of an image", c.Image), "write it like registry.example.com/app:1.2")
	}
	if !slices.Contains([]string{pullMissing, pullAlways, pullNever}, c.Pull) {
		f.add(".pull", fmt.Sprintf("%q is not known", c.Pull), "write missing, always or never")
	}
}

func (c Config) validateNetwork(f *faults) {
	if path, ok := strings.CutPrefix(c.Socket, "unix://"); !ok || !filepath.IsAbs(path) {
		f.add(".socket", fmt.Sprintf("%q is no unix socket", c.Socket),
			"write unix:// and an absolute path; engines of other machines are not supported, for their members could not be reached")
	}
	if c.Port < 1 || c.Port > 65535 {
		f.add(".port", fmt.Sprintf("%d is no port", c.Port), "write the port at which the service listens inside, e.g. 8080")
	}
	switch {
	case c.Network == "host":
		f.add(".network", "host would have all members want the same port", "leave network out, and write publish: true where members' own addresses cannot be reached")
	case c.Network == "none" || strings.Contains(c.Network, ":"):
		f.add(".network", fmt.Sprintf("%s leaves members without an address of their own", c.Network), "name a network of the engine")
	case c.Network != "" && !object.MatchString(c.Network):
		f.add(".network", fmt.Sprintf("%q is no name of a network", c.Network), "name a network of the engine")
	}
}

func (c Config) validateProgram(f *faults) {
	for i, arg := range c.Command {
		if bad := badPlaceholder(arg); bad != "" {
			f.add(fmt.Sprintf(".command[%d]", i), bad+" is no placeholder", "there are {name} and {port}")
		}
	}
	for _, k := range slices.Sorted(maps.Keys(c.Env)) {
		if !variable.MatchString(k) {
			f.add(".env", fmt.Sprintf("%q is no name of a variable", k), "use letters, digits and underscores")
		}
		if bad := badPlaceholder(c.Env[k]); bad != "" {
			f.add(".env."+k, bad+" is no placeholder", "there are {name} and {port}")
		}
		if c.Env[k] == "" && os.Getenv(k) == "" {
			f.add(".env."+k, "has no value, and Flyball's own environment has none either", "set it for Flyball, or write the value")
		}
	}
	if c.Grace < 10*time.Millisecond || c.Grace > time.Hour {
		f.add(".grace", fmt.Sprintf("%s is not between 10ms and 1h", c.Grace), "write e.g. 10s")
	}
}

// badPlaceholder returns the first of s that looks like a placeholder and is none.
func badPlaceholder(s string) string {
	for _, m := range placeholder.FindAllString(s, -1) {
		if m != "{name}" && m != "{port}" {
			return m
		}
	}
	return ""
}

func (c Config) validateLimits(f *faults) {
	if c.CPUs < 0 || c.CPUs > 1024 || c.CPUs > 0 && c.CPUs < 0.01 {
		f.add(".cpus", fmt.Sprintf("%g is no number of processors", c.CPUs), "write e.g. 0.5")
	}
	if c.Memory != 0 && c.Memory < leastMemory {
		f.add(".memory", fmt.Sprintf("%s is less than engines accept", c.Memory), "write at least "+leastMemory.String())
	}
	if c.Pids < 1 {
		f.add(".pids", fmt.Sprintf("%d is fewer than 1", c.Pids), "write e.g. 512")
	}
	if c.Most < 1 || c.Most > 10000 {
		f.add(".most", fmt.Sprintf("%d is not between 1 and 10000", c.Most), "write e.g. 100")
	}
}

func (c Config) validateFiles(f *faults) {
	for i, v := range c.Volumes {
		if text := wrongVolume(v); text != "" {
			f.add(fmt.Sprintf(".volumes[%d]", i), text, "write host:container or host:container:ro, e.g. /srv/assets:/assets:ro")
			continue
		}
		host, _, _ := strings.Cut(v, ":")
		if _, err := os.Stat(host); filepath.IsAbs(host) && errors.Is(err, fs.ErrNotExist) && !inContainer() {
			f.add(fmt.Sprintf(".volumes[%d]", i), host+" is not there", "make it: the engine would put an empty folder there")
		}
	}
	for i, dir := range c.Tmpfs {
		if !strings.HasPrefix(dir, "/") {
			f.add(fmt.Sprintf(".tmpfs[%d]", i), fmt.Sprintf("%q is no absolute path", dir), "write e.g. /tmp")
		}
	}
}

// wrongVolume says what is wrong with a volume; "" if nothing is.
func wrongVolume(v string) string {
	parts := strings.Split(v, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return fmt.Sprintf("%q is no volume", v)
	}
	if !filepath.IsAbs(parts[0]) && !object.MatchString(parts[0]) {
		return fmt.Sprintf("%q is neither an absolute path nor the name of a volume", parts[0])
	}
	if !filepath.IsAbs(parts[1]) {
		return fmt.Sprintf("%q is no absolute path in the member", parts[1])
	}
	if len(parts) == 3 && strings.ContainsFunc(parts[2], func(r rune) bool { return (r < 'a' || r > 'z') && r != ',' && r != 'Z' }) {
		return fmt.Sprintf("%q is no mode of a volume", parts[2])
	}
	return ""
}
