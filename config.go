package main

import (
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/exporter-toolkit/web"
	promconfig "github.com/prometheus/prometheus/config"
	_ "github.com/prometheus/prometheus/discovery/dns"  // the prometheus block may name it
	_ "github.com/prometheus/prometheus/discovery/file" // likewise
	_ "github.com/prometheus/prometheus/discovery/http" // likewise
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"flyball/collector"
	engine "flyball/collector/container"
	"flyball/collector/elastic"
	"flyball/collector/haproxy"
	"flyball/rules"
	"flyball/rules/source"
	"flyball/scaler/pool"
)

// Config is flyball.yaml: one field for each part of the program, every default
// filled in, every path of a file absolute or below the configuration's folder.
type Config struct {
	File string // where it was read; "" if there is none

	// Prometheus is what Prometheus makes of its block, with the site's label.
	Prometheus *promconfig.Config

	Site    string                 `yaml:"site" doc:"external label site of every sample, and field of every decision; none by default"`
	Listen  string                 `yaml:"listen" default:"127.0.0.1:9480" doc:"host:port of the one listener"`
	Web     Web                    `yaml:"web" doc:"who may ask, and over which protocol"`
	Data    string                 `yaml:"data" default:"data" doc:"folder of the samples, the journal and the token"`
	Block   source.Verbatim        `yaml:"prometheus" doc:"Prometheus' own configuration, verbatim; by default the scrape interval is 15s"`
	Limits  Limits                 `yaml:"limits" doc:"how many series are kept"`
	Collect Collect                `yaml:"collect" doc:"what cannot be scraped as it is"`
	Rules   Rules                  `yaml:"rules" doc:"where rules are"`
	Pools   map[string]pool.Config `yaml:"pools" doc:"the pools that rules may resize, by name"`

	Elasticsearch *elastic.Config `yaml:"elasticsearch" doc:"the Elasticsearch that is kept supplied, and that rules may be judged from; none by default"`
}

// Later names the blocks of later versions.
func (Config) Later() []string {
	return []string{"alertmanager", "sources", "grafana", "kibana", "databases", "checks", "dashboards"}
}

// Web is who may ask, and over which protocol.
type Web struct {
	ConfigFile string   `yaml:"config_file" doc:"Prometheus' web configuration: TLS and users; none by default"`
	Operators  []string `yaml:"operators" doc:"users of the web configuration who may act; without users an act needs the data folder's token"`
}

// Limits bound how many series are kept. Zero is no limit.
type Limits struct {
	Series int `yaml:"series" default:"1000000" doc:"series in memory; beyond it new ones are refused and counted; 0 is no limit"`
	Scrape int `yaml:"per_scrape" default:"50000" doc:"series of one target, likewise; 0 is no limit"`
}

// Collect is what cannot be scraped as it is. Host is nil where it is turned off.
type Collect struct {
	Host *Host `yaml:"host" default:"{}" doc:"metrics of this machine; on by default, none turns them off"`
	collector.Kinds
}

// Host is the collection of this machine's metrics.
type Host struct {
	off  bool
	Proc string `yaml:"proc" default:"/proc" doc:"where the kernel's /proc is"`
	Sys  string `yaml:"sys" default:"/sys" doc:"where the kernel's /sys is"`
}

// UnmarshalText reads the word none.
func (h *Host) UnmarshalText(b []byte) error {
	if string(b) != "none" {
		return &source.Mistake{Text: strconv.Quote(string(b)) + " is not known here", Hint: "write {} to collect, none not to"}
	}
	h.off = true
	return nil
}

// Rules says where rules are.
type Rules struct {
	Dir     string `yaml:"dir" default:"rules" doc:"folder of *.scale.yaml and *.rules.yaml"`
	Shipped bool   `yaml:"shipped" default:"true" doc:"also use the alerts that come with Flyball"`
}

// Later names the fields of later versions.
func (Rules) Later() []string { return []string{"git"} }

// noPrometheus is the block prometheus of a file that has none: Flyball itself
// and this host are collected anyhow.
const noPrometheus = "global: {scrape_interval: 15s, scrape_timeout: 10s, evaluation_interval: 15s}\n"

// DefaultConfig is that of no file at all: it watches this host and itself, and
// keeps data and rules below the working folder.
func DefaultConfig() Config {
	c, ps := readConfig("", nil)
	if len(ps) > 0 {
		panic("the default configuration is wrong: " + source.Problems(ps).Error())
	}
	return c
}

// LoadConfig reads flyball.yaml, and tells all its mistakes at once. Relative
// paths in it are below its own folder. With problems the configuration must not
// be used.
func LoadConfig(file string) (Config, []source.Problem) {
	b, err := os.ReadFile(file)
	if err != nil {
		return Config{}, []source.Problem{{
			File: file, Text: "read configuration: " + err.Error(), Hint: "without --config, Flyball watches this host and itself",
		}}
	}
	return readConfig(file, b)
}

func readConfig(file string, b []byte) (Config, []source.Problem) {
	c, ps := source.Decode[Config](file, b)
	c.File = file
	if c.Collect.Host != nil && c.Collect.Host.off {
		c.Collect.Host = nil
	}
	c.resolve(filepath.Dir(file))
	c.connect()
	ps = append(ps, c.loadPrometheus(b)...)
	if c.Elasticsearch != nil {
		ps = append(ps, c.Elasticsearch.Load()...)
	}
	faults := slices.DeleteFunc(c.Validate(), func(f rules.Fault) bool { return source.Spoilt(ps, f.Path) })
	ps = append(ps, source.Place(file, b, faults)...)
	return c, source.Sorted(ps)
}

// resolve puts relative paths below the configuration's folder.
func (c *Config) resolve(dir string) {
	files := []*string{&c.Data, &c.Rules.Dir, &c.Web.ConfigFile}
	for _, p := range c.Pools {
		p.Resolve(dir)
	}
	c.Collect.Resolve(dir)
	if c.Elasticsearch != nil {
		c.Elasticsearch.Resolve(dir)
	}
	for _, p := range files {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
}

// connect gives pools what is configured elsewhere: the socket of the HAProxy that
// they name, and the watch over the engine that their containers are on, which
// their built-in signals are read from.
func (c *Config) connect() {
	for _, name := range slices.Sorted(maps.Keys(c.Pools)) {
		p := c.Pools[name]
		if p.Traffic != nil {
			p.Socket = c.edge(p.Traffic.HAProxy).Socket
			c.Pools[name] = p
		}
		if p.Container != nil && !slices.ContainsFunc(c.Collect.Containers, watchesAll(p.Container.Socket)) {
			c.Collect.Containers = append(c.Collect.Containers, collector.Engine{Config: engine.Config{
				Name: c.freeEngineName("pool-" + name), Socket: p.Container.Socket,
			}})
		}
	}
}

// watchesAll finds a watch over all containers of the engine at a socket.
func watchesAll(socket string) func(collector.Engine) bool {
	return func(e collector.Engine) bool {
		return e.Include == "" && e.Exclude == "" && samePlace(e.Socket) == samePlace(socket)
	}
}

// samePlace is a socket's address with its links followed: /var/run is /run.
func samePlace(socket string) string {
	path, ok := strings.CutPrefix(socket, "unix://")
	if !ok {
		return socket
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return "unix://" + filepath.Clean(path)
}

// freeEngineName is a name that no engine of the configuration has.
func (c *Config) freeEngineName(name string) string {
	free := name
	taken := func(e collector.Engine) bool { return e.Name == free }
	for i := 2; slices.ContainsFunc(c.Collect.Containers, taken); i++ {
		free = name + "-" + strconv.Itoa(i)
	}
	return free
}

// edge is the HAProxy of a name; one without a name if there is none.
func (c *Config) edge(name string) haproxy.Config {
	i := slices.IndexFunc(c.Collect.HAProxy, func(h haproxy.Config) bool { return h.Name == name })
	if i < 0 || name == "" {
		return haproxy.Config{}
	}
	return c.Collect.HAProxy[i]
}

// loadPrometheus lets Prometheus read its block, and adds the site's label.
func (c *Config) loadPrometheus(b []byte) []source.Problem {
	text := c.Block.Text
	if c.Block.Line == 0 {
		text = noPrometheus
	}
	loaded, err := promconfig.Load(text, slog.New(slog.DiscardHandler))
	if err != nil {
		return source.Foreign(c.File, b, c.Block, err)
	}
	loaded.SetDirectory(filepath.Dir(c.File))
	if _, err := loaded.GetScrapeConfigs(); err != nil {
		return source.Foreign(c.File, b, c.Block, err)
	}
	if c.Site != "" && !loaded.GlobalConfig.ExternalLabels.Has("site") {
		l := labels.NewBuilder(loaded.GlobalConfig.ExternalLabels)
		loaded.GlobalConfig.ExternalLabels = l.Set("site", c.Site).Labels()
	}
	c.Prometheus = loaded
	return nil
}

// Validate names the mistakes of values that can each be read but are wrong, or
// contradict each other.
func (c Config) Validate() []rules.Fault {
	var fs []rules.Fault
	wrong := func(path, text, hint string) { fs = append(fs, rules.Fault{Path: path, Text: text, Hint: hint}) }
	if text := wrongAddress(c.Listen); text != "" {
		wrong("$.listen", text, "write host:port, e.g. 127.0.0.1:9480")
	}
	if c.Data == "" {
		wrong("$.data", "is empty", "name a folder, e.g. data")
	}
	if c.Rules.Dir == "" {
		wrong("$.rules.dir", "is empty", "name a folder, e.g. rules")
	}
	if c.Limits.Series < 0 {
		wrong("$.limits.series", "is negative", "write 0 for no limit")
	}
	if c.Limits.Scrape < 0 {
		wrong("$.limits.per_scrape", "is negative", "write 0 for no limit")
	}
	fs = append(fs, c.Web.validate("$.web")...)
	fs = append(fs, c.Collect.Validate()...)
	if c.Elasticsearch != nil {
		fs = append(fs, at("$.elasticsearch", c.Elasticsearch.Validate())...)
	}
	if c.Prometheus != nil {
		fs = append(fs, collector.Check(c.Prometheus)...)
	}
	if p := c.Prometheus; p != nil && c.Site != "" && p.GlobalConfig.ExternalLabels.Get("site") != c.Site {
		wrong("$.prometheus.global.external_labels.site", "says another site than "+strconv.Quote(c.Site), "leave it out: site gives the label")
	}
	return append(fs, c.validatePools()...)
}

// at puts the mistakes of a block below its own place.
func at(path string, fs []rules.Fault) []rules.Fault {
	for i := range fs {
		fs[i].Path = path + fs[i].Path
	}
	return fs
}

// validate names the mistakes of who may ask.
func (w Web) validate(path string) []rules.Fault {
	if w.ConfigFile == "" {
		if len(w.Operators) > 0 {
			return []rules.Fault{{
				Path: path + ".operators", Text: "names users, and there are none without web.config_file",
				Hint: "write config_file with basic_auth_users, or leave operators out",
			}}
		}
		return nil
	}
	if err := web.Validate(w.ConfigFile); err != nil {
		return []rules.Fault{{
			Path: path + ".config_file", Text: err.Error(),
			Hint: "it is a file of Prometheus' web configuration, with tls_server_config or basic_auth_users",
		}}
	}
	return nil
}

// poolName is what a pool may be called: its members are called so too, with a number.
var poolName = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$`)

func (c Config) validatePools() []rules.Fault {
	var fs []rules.Fault
	for _, name := range slices.Sorted(maps.Keys(c.Pools)) {
		path, p := source.Path("$.pools", name), c.Pools[name]
		if !poolName.MatchString(name) {
			fs = append(fs, rules.Fault{
				Path: path, Text: strconv.Quote(name) + " is no name for a pool",
				Hint: "a name has small letters, digits and -, begins with a letter, and is shorter than 41",
			})
		}
		if p.Traffic != nil && p.Traffic.Balance == c.Listen {
			fs = append(fs, rules.Fault{
				Path: path + ".traffic.balance", Text: "is the address that Flyball itself listens on",
				Hint: "give the balancer an address of its own",
			})
		}
		fs = append(fs, c.validateEdge(p, path+".traffic.haproxy")...)
		fs = append(fs, p.Validate(path)...)
		fs = append(fs, validateAccept(p.Accept, path+".accept")...)
	}
	return append(fs, pool.Conflicts("$.pools", c.Pools)...)
}

// validateEdge checks that the HAProxy of a pool is there to be spoken to.
func (c Config) validateEdge(p pool.Config, path string) []rules.Fault {
	if p.Traffic == nil || p.Traffic.HAProxy == "" {
		return nil
	}
	name := p.Traffic.HAProxy
	switch edge := c.edge(name); {
	case edge.Name == "":
		return []rules.Fault{{
			Path: path, Text: "no HAProxy is called " + strconv.Quote(name),
			Hint: "write collect: {haproxy: [{name: " + name + ", socket: /run/haproxy/admin.sock}]}",
		}}
	case edge.Socket == "":
		return []rules.Fault{{
			Path: path, Text: "the HAProxy " + strconv.Quote(name) + " has no socket",
			Hint: "its statistics page is for reading only: write its socket, of level admin, under collect",
		}}
	}
	return nil
}

// validateAccept checks the selectors of series that may drive a pool.
func validateAccept(selectors []string, path string) []rules.Fault {
	var fs []rules.Fault
	p := parser.NewParser(parser.Options{})
	for i, s := range selectors {
		if _, err := p.ParseMetricSelector(s); err != nil {
			fs = append(fs, rules.Fault{
				Path: path + "[" + strconv.Itoa(i) + "]", Text: "is no selector of series: " + err.Error(),
				Hint: `write it like '{source="edge"}'`,
			})
		}
	}
	return fs
}

// wrongAddress says what is wrong with a listener's address; "" if nothing is.
func wrongAddress(s string) string {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return strconv.Quote(s) + " is no address"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return strconv.Quote(port) + " is no port"
	}
	return ""
}

// Known is what rules are checked against.
func (c Config) Known() source.Known {
	pools := map[string]source.Pool{}
	for name, p := range c.Pools {
		pools[name] = source.Pool{Kind: p.Kind(), Limited: p.Container != nil && p.Container.CPUs > 0}
	}
	k := source.Known{Pools: pools, Elastic: c.Elasticsearch != nil}
	if c.Prometheus != nil {
		k.Interval = time.Duration(c.Prometheus.GlobalConfig.ScrapeInterval)
	}
	return k
}

// configSchema is flyball.yaml as JSON Schema.
func configSchema() []byte { return source.Schema[Config]("flyball.yaml", nil) }
