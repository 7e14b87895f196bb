package container

import (
	"cmp"
	"fmt"
	"regexp"
	"time"

	"flyball/collector/exporter"
)

// Config is one engine.
type Config struct {
	Name    string        `yaml:"name" required:"true" doc:"name of the engine"`
	Socket  string        `yaml:"socket" default:"unix:///run/docker.sock" doc:"where the engine listens: unix:///path, or tcp://host:port"`
	Timeout time.Duration `yaml:"timeout" default:"5s" doc:"how long the engine may take to tell everything"`
	Labels  []string      `yaml:"labels" doc:"which labels of containers become labels of their metrics, as container_label_<name>; default none"`
	Include string        `yaml:"include" doc:"pattern of the names of the containers to watch, matched whole; default all"`
	Exclude string        `yaml:"exclude" doc:"pattern of the names of containers to leave out, matched whole; default none"`
}

// defaultSocket is where Docker listens.
const defaultSocket = "unix:///run/docker.sock"

func (c Config) withDefaults() Config {
	c.Socket = cmp.Or(c.Socket, defaultSocket)
	if c.Timeout <= 0 {
		c.Timeout = exporter.DefaultTimeout
	}
	return c
}

// Resolve does nothing: there is no relative file name.
func (c *Config) Resolve(string) {}

// Validate names the mistakes of c.
func (c Config) Validate() []exporter.Mistake {
	var ms []exporter.Mistake
	add := func(field, text, hint string) {
		ms = append(ms, exporter.Mistake{Field: field, Text: text, Hint: hint})
	}
	if c.Name == "" {
		add(".name", "is empty", "give the engine a name, e.g. local")
	}
	if _, _, err := splitSocket(cmp.Or(c.Socket, defaultSocket)); err != nil {
		add(".socket", err.Error(), "write unix:///run/docker.sock, unix:///run/podman/podman.sock or tcp://host:2375")
	}
	if c.Timeout != 0 && (c.Timeout < 100*time.Millisecond || c.Timeout > time.Minute) {
		add(".timeout", fmt.Sprintf("%s is not between 100ms and 1m", c.Timeout), "write e.g. 5s")
	}
	seen := map[string]string{}
	for i, l := range c.Labels {
		field := fmt.Sprintf(".labels[%d]", i)
		if l == "" {
			add(field, "is empty", "name a label of containers, e.g. com.docker.compose.service")
		} else if before, ok := seen[labelName(l)]; ok {
			add(field, fmt.Sprintf("%q becomes %s, and so does %q", l, labelName(l), before), "leave one of them out")
		}
		seen[labelName(l)] = l
	}
	for field, p := range map[string]string{".include": c.Include, ".exclude": c.Exclude} {
		if _, err := pattern(p); err != nil {
			add(field, err.Error(), "write a regular expression, e.g. web-.*")
		}
	}
	return ms
}

// pattern compiles a pattern that is matched whole; nil if there is none.
func pattern(p string) (*regexp.Regexp, error) {
	if p == "" {
		return nil, nil
	}
	if _, err := regexp.Compile(p); err != nil {
		return nil, err
	}
	return regexp.Compile("^(?:" + p + ")$")
}

var notInLabels = regexp.MustCompile(`[^a-zA-Z0-9_]`)

// sanitise makes a part of a label's name of any text, as Prometheus does.
func sanitise(s string) string { return notInLabels.ReplaceAllString(s, "_") }

// labelName is what a container's label is called on its metrics, as cAdvisor has it.
func labelName(label string) string { return "container_label_" + sanitise(label) }
