package process

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"flyball/rules"
)

// Config is one pool of local processes.
type Config struct {
	// Command is the program and its arguments. In each, {port}, {addr}
	// (127.0.0.1:port), {name} and {dir} are replaced by the member's own.
	Command []string `yaml:"command" required:"true" doc:"program and arguments; {port}, {addr}, {name} and {dir} stand for the member's own"`
	// Ports is the range that each member gets one port of; it also says how many
	// members there can be.
	Ports Ports `yaml:"ports" required:"true" doc:"range of ports, one a member, e.g. 20000-20099: also the most members there can be"`
	// Dir is the members' working directory; by default the pool's folder under
	// the data directory.
	Dir string `yaml:"dir" doc:"working folder of the members; by default pools/<name> in the data folder"`
	// Env is what members find in their environment beside PATH, HOME, USER,
	// LANG, TZ and TMPDIR; the same placeholders are replaced. A variable without
	// a value is passed on from Flyball's own environment: so secrets stay out of
	// the file.
	Env map[string]string `yaml:"env" doc:"variables for the members beside PATH, HOME, USER, LANG, TZ and TMPDIR; one without a value is passed on from Flyball's own environment"`
	// Grace is how long a member may take to end once it is asked to; default 10s.
	Grace time.Duration `yaml:"grace" default:"10s" doc:"how long a member may take to end before it is killed"`
}

// Ports is a range of ports, written first-last.
type Ports string

var (
	memberName  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
	placeholder = regexp.MustCompile(`\{[^{}]*\}`)
	variable    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// Range returns the first and the last port.
func (p Ports) Range() (first, last int, err error) {
	from, to, ok := strings.Cut(string(p), "-")
	if !ok {
		return 0, 0, fmt.Errorf("%q is no range of ports", string(p))
	}
	first, err1 := strconv.Atoi(strings.TrimSpace(from))
	last, err2 := strconv.Atoi(strings.TrimSpace(to))
	if errors.Join(err1, err2) != nil {
		return 0, 0, fmt.Errorf("%q is no range of ports", string(p))
	}
	if first < 1 || last > 65535 {
		return 0, 0, fmt.Errorf("ports are between 1 and 65535, and not %q", string(p))
	}
	if first > last {
		return 0, 0, fmt.Errorf("the range %q ends before it begins", string(p))
	}
	return first, last, nil
}

// Resolve puts a relative folder below dir, where the configuration is.
func (c *Config) Resolve(dir string) {
	if c.Dir != "" && !filepath.IsAbs(c.Dir) {
		c.Dir = filepath.Join(dir, c.Dir)
	}
}

// Validate names the mistakes of c, which stands at path in its document.
func (c Config) Validate(path string) []rules.Fault {
	var fs []rules.Fault
	add := func(where, text, hint string) {
		fs = append(fs, rules.Fault{Path: path + where, Text: text, Hint: hint})
	}
	if len(c.Command) == 0 || c.Command[0] == "" {
		add(".command", "names no program", `write command: [app, serve, --listen, "127.0.0.1:{port}"]`)
	}
	for i, arg := range c.Command {
		if bad := badPlaceholder(arg); bad != "" {
			add(fmt.Sprintf(".command[%d]", i), fmt.Sprintf("%s is no placeholder", bad), "there are {port}, {addr}, {name} and {dir}")
		}
	}
	if c.Ports == "" {
		add(".ports", "names no ports", "write ports: 20000-20099")
	} else if _, _, err := c.Ports.Range(); err != nil {
		add(".ports", err.Error(), "write first-last, e.g. 20000-20099")
	}
	if c.Dir != "" {
		if s, err := os.Stat(c.Dir); err != nil || !s.IsDir() {
			add(".dir", fmt.Sprintf("%s is no folder", c.Dir), "make it, or leave dir out")
		}
	}
	for _, k := range slices.Sorted(maps.Keys(c.Env)) {
		if !variable.MatchString(k) {
			add(".env", fmt.Sprintf("%q is no name of a variable", k), "use letters, digits and underscores")
		}
		if c.Env[k] == "" && os.Getenv(k) == "" {
			add(".env."+k, "has no value, and Flyball's own environment has none either", "set it for Flyball, or write the value")
		}
	}
	if c.Grace != 0 && (c.Grace < 10*time.Millisecond || c.Grace > time.Hour) {
		add(".grace", fmt.Sprintf("%s is not between 10ms and 1h", c.Grace), "write e.g. 10s")
	}
	return fs
}

// badPlaceholder returns the first of s that looks like a placeholder and is
// none. Braces around anything but lower-case letters are left alone.
func badPlaceholder(s string) string {
	for _, m := range placeholder.FindAllString(s, -1) {
		if strings.Trim(m[1:len(m)-1], "abcdefghijklmnopqrstuvwxyz") != "" || len(m) == 2 {
			continue
		}
		if !slices.Contains([]string{"{port}", "{addr}", "{name}", "{dir}"}, m) {
			return m
		}
	}
	return ""
}

func (c Config) withDefaults(dir string) Config {
	if c.Grace == 0 {
		c.Grace = 10 * time.Second
	}
	if c.Dir == "" {
		c.Dir = dir
	}
	if abs, err := filepath.Abs(c.Dir); err == nil {
		c.Dir = abs
	}
	return c
}

// command returns the program's path, its arguments and its environment for one member.
func (c Config) command(r record) (path string, argv, env []string, err error) {
	fill := strings.NewReplacer("{port}", strconv.Itoa(r.Port), "{addr}", r.addr(), "{name}", r.Name, "{dir}", c.Dir)
	for _, arg := range c.Command {
		argv = append(argv, fill.Replace(arg))
	}
	path, err = lookProgram(argv[0], c.Dir)
	if err != nil {
		return "", nil, nil, fmt.Errorf("find program: %w", err)
	}
	for _, k := range []string{"PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR"} {
		if v, ok := os.LookupEnv(k); ok {
			env = append(env, k+"="+v)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(c.Env)) {
		v := fill.Replace(c.Env[k])
		if v == "" {
			v = os.Getenv(k)
		}
		env = append(env, k+"="+v)
	}
	return path, argv, env, nil
}

// lookProgram finds a program as a shell in dir would.
func lookProgram(name, dir string) (string, error) {
	if strings.Contains(name, "/") && !filepath.IsAbs(name) {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}
