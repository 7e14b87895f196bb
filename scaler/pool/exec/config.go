package exec

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"flyball/rules"
)

// Config is one pool that a program speaks for.
type Config struct {
	// Command is the program and its arguments; it is run once for each call.
	Command []string `yaml:"command" required:"true" doc:"program and arguments; run once for each call, with one JSON document on standard input and one on standard output"`
	// Env is the program's environment beside PATH, HOME, USER, LANG, TZ and TMPDIR.
	// A variable without a value is passed on from Flyball's own environment: so
	// secrets stay out of the file.
	Env map[string]string `yaml:"env" doc:"variables for the program beside PATH, HOME, USER, LANG, TZ and TMPDIR; one without a value is passed on from Flyball's own environment"`
	// Timeout is how long a call may take; a look is given 5 s at most anyhow.
	Timeout time.Duration `yaml:"timeout" default:"20s" doc:"how long the program may take for a call before it is killed; a list is waited for 5 s at most"`
	// Every is how old a list of members may be while nothing is under way.
	Every time.Duration `yaml:"every" default:"15s" doc:"how often the members are listed while nothing is under way"`
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (c Config) withDefaults() Config {
	if c.Timeout == 0 {
		c.Timeout = 20 * time.Second
	}
	if c.Every == 0 {
		c.Every = 15 * time.Second
	}
	return c
}

// Resolve puts a program that is named by a relative path below dir, where the
// configuration is; one that is a mere name is looked for in PATH.
func (c *Config) Resolve(dir string) {
	if len(c.Command) > 0 && strings.Contains(c.Command[0], "/") && !filepath.IsAbs(c.Command[0]) {
		c.Command = slices.Clone(c.Command)
		if c.Command[0] = filepath.Join(dir, c.Command[0]); !strings.Contains(c.Command[0], "/") {
			c.Command[0] = "./" + c.Command[0] // in the working folder, and not in PATH
		}
	}
}

// Validate names the mistakes of c, which stands at path in its document.
func (c Config) Validate(path string) []rules.Fault {
	c = c.withDefaults()
	var fs []rules.Fault
	add := func(where, text, hint string) {
		fs = append(fs, rules.Fault{Path: path + where, Text: text, Hint: hint})
	}
	if len(c.Command) == 0 || c.Command[0] == "" {
		add(".command", "names no program", "write command: [./pool.py]")
	} else if _, err := exec.LookPath(c.Command[0]); err != nil {
		add(".command", fmt.Sprintf("%s cannot be run", c.Command[0]), "write a program that is there and executable (chmod +x)")
	}
	for _, k := range slices.Sorted(maps.Keys(c.Env)) {
		switch {
		case !variable.MatchString(k):
			add(".env", fmt.Sprintf("%q is no name of a variable", k), "use letters, digits and underscores")
		case c.Env[k] == "" && os.Getenv(k) == "":
			add(".env."+k, "has no value, and Flyball's own environment has none either", "set it for Flyball, or write the value")
		}
	}
	if c.Timeout < 100*time.Millisecond || c.Timeout > 30*time.Second {
		add(".timeout", fmt.Sprintf("%s is not between 100ms and 30s", c.Timeout), "write e.g. 20s: a program asks, and does not wait for machines")
	}
	if c.Every < time.Second || c.Every > time.Minute {
		add(".every", fmt.Sprintf("%s is not between 1s and 1m", c.Every), "write e.g. 15s")
	}
	return fs
}
