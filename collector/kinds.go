package collector

import (
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strconv"

	"flyball/collector/cassandra"
	"flyball/collector/exporter"
	"flyball/collector/haproxy"
	"flyball/collector/nginx"
	"flyball/collector/postgres"
	"flyball/rules"
)

// Kinds is what is watched because it cannot be scraped as it is: the lists of
// the block collect. Each target has a name of its own within its kind.
type Kinds struct {
	Containers []Engine           `yaml:"containers" doc:"container engines, Docker or podman: their containers, and those that ask to be scraped"`
	Postgres   []postgres.Config  `yaml:"postgres" doc:"PostgreSQL servers"`
	Cassandra  []cassandra.Config `yaml:"cassandra" doc:"Cassandra rings"`
	HAProxy    []haproxy.Config   `yaml:"haproxy" doc:"HAProxies"`
	Nginx      []nginx.Config     `yaml:"nginx" doc:"nginx servers with stub_status"`
}

// settings are a target's configuration.
type settings interface {
	Resolve(dir string) // relative names of files are below dir
	Validate() []exporter.Mistake
}

// An entry is one target as the configuration names it.
type entry struct {
	kind, name string
	path       string // in the configuration
	config     any    // its value, to be compared over a reload
	settings   settings
	make       func(log *slog.Logger) (target, error)
}

// entries lists all targets, kind by kind.
func (k *Kinds) entries() []entry {
	return slices.Concat(
		entriesOf("containers", engineKind, k.Containers, func(c Engine) string { return c.Name }, newEngine),
		entriesOf("postgres", "postgres", k.Postgres, func(c postgres.Config) string { return c.Name }, postgres.New),
		entriesOf("cassandra", "cassandra", k.Cassandra, func(c cassandra.Config) string { return c.Name }, cassandra.New),
		entriesOf("haproxy", "haproxy", k.HAProxy, func(c haproxy.Config) string { return c.Name }, haproxy.New),
		entriesOf("nginx", "nginx", k.Nginx, func(c nginx.Config) string { return c.Name }, nginx.New),
	)
}

// entriesOf makes entries of the targets of one kind.
func entriesOf[C any, P interface {
	*C
	settings
}, T target](block, kind string, cs []C, name func(C) string, build func(C, *slog.Logger) (T, error)) []entry {
	var out []entry
	for i := range cs {
		out = append(out, entry{
			kind: kind, name: name(cs[i]), path: "$.collect." + block + "[" + strconv.Itoa(i) + "]",
			config: cs[i], settings: P(&cs[i]),
			make: func(log *slog.Logger) (target, error) { return build(cs[i], log) },
		})
	}
	return out
}

// Resolve puts relative names of files below dir, where the configuration is.
func (k *Kinds) Resolve(dir string) {
	for _, e := range k.entries() {
		e.settings.Resolve(dir)
	}
}

// targetName is what a target may be called: it is part of an address.
var targetName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)

// Validate names the mistakes of all targets.
func (k *Kinds) Validate() []rules.Fault {
	var fs []rules.Fault
	first := map[string]string{}
	for _, e := range k.entries() {
		if !targetName.MatchString(e.name) {
			fs = append(fs, rules.Fault{
				Path: e.path + ".name", Text: strconv.Quote(e.name) + " is no name for a target",
				Hint: "use letters, digits, dots and dashes, at most 63",
			})
		}
		key := e.kind + "/" + e.name
		if first[key] != "" {
			fs = append(fs, rules.Fault{
				Path: e.path + ".name", Text: fmt.Sprintf("is the name of %s, too", first[key]), Hint: "give each target a name of its own",
			})
		} else {
			first[key] = e.path[len("$."):]
		}
		for _, m := range e.settings.Validate() {
			fs = append(fs, rules.Fault{Path: e.path + m.Field, Text: m.Text, Hint: m.Hint})
		}
	}
	return fs
}
