package collector

import (
	"context"
	"log/slog"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/model/relabel"

	"flyball/collector/container"
)

// engineKind is the kind of container engines; what an engine's containers ask to
// be scraped at is a job of its own.
const (
	engineKind = "container"
	engineJob  = ownJobs + "containers/"
)

// Engine is a container engine that is watched. Its containers that carry the
// label flyball.port are scraped as well.
type Engine struct {
	container.Config
	Relabel Relabel `yaml:"relabel_configs" doc:"Prometheus' relabel_configs for the containers that are scraped; the meta labels are those of docker_sd_configs"`
}

func newEngine(e Engine, log *slog.Logger) (*container.Watch, error) {
	return container.New(e.Config, log)
}

// Relabel is Prometheus' relabel_configs, as Prometheus reads them.
type Relabel []*relabel.Config

// UnmarshalYAML lets Prometheus read them.
func (r *Relabel) UnmarshalYAML(b []byte) error {
	list := strings.ReplaceAll(strings.TrimSpace(string(b)), "\n", "\n    ")
	c, err := promconfig.Load("scrape_configs:\n- job_name: containers\n  relabel_configs:\n    "+list+"\n", slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	*r = c.ScrapeConfigs[0].RelabelConfigs
	return nil
}

// JSONSchema is that of a list; what is in it is Prometheus' own.
func (Relabel) JSONSchema() map[string]any {
	return map[string]any{"type": "array", "items": map[string]any{"type": "object"}}
}

// engineJobs scrape what the containers of each engine ask to be scraped at.
func (c *Collector) engineJobs(k Kinds, watched map[string]*watched) []*promconfig.ScrapeConfig {
	var out []*promconfig.ScrapeConfig
	for _, e := range k.Containers {
		w := watched[engineKind+"/"+e.Name]
		if w == nil {
			continue
		}
		job := newJob(engineJob + e.Name)
		job.RelabelConfigs = e.Relabel
		job.MetricRelabelConfigs = []*relabel.Config{unlikeMembers()}
		job.ServiceDiscoveryConfigs = discovery.Configs{engineFinder{life: w.life, engine: w, running: &c.finders}}
		out = append(out, job)
	}
	return out
}

// unlikeMembers takes off what a container that is no member says of pools.
func unlikeMembers() *relabel.Config {
	c := relabel.DefaultRelabelConfig
	c.Action, c.Regex = relabel.LabelDrop, relabel.MustNewRegexp("pool|member")
	return &c
}

// engineFinder discovers the containers of one engine that ask to be scraped. It
// is compared field by field by the discovery manager: life tells one engine from
// another before their insides are compared, which change all the time.
type engineFinder struct {
	life    uint64
	engine  *watched
	running *sync.WaitGroup
}

// Name names the kind of discovery.
func (engineFinder) Name() string { return engineKind }

// NewDiscoverer makes the finder.
func (f engineFinder) NewDiscoverer(discovery.DiscovererOptions) (discovery.Discoverer, error) {
	f.running.Add(1) // the manager starts every finder that it makes
	return f, nil
}

// NewDiscovererMetrics makes no metrics: the discovery manager's tell enough.
func (engineFinder) NewDiscovererMetrics(prometheus.Registerer, discovery.RefreshMetricsInstantiator) discovery.DiscovererMetrics {
	return nil
}

// Run sends the engine's targets now and at every change, until the context ends.
func (f engineFinder) Run(ctx context.Context, up chan<- []*targetgroup.Group) {
	defer f.running.Done()
	w, ok := f.engine.target.(*container.Watch)
	if !ok {
		return
	}
	follow(ctx, up, w.Changed, func() *targetgroup.Group {
		g := &targetgroup.Group{Source: engineJob + f.engine.name}
		for _, t := range w.Targets() {
			g.Targets = append(g.Targets, engineTarget(t))
		}
		return g
	})
}

// engineTarget is a container as a target: its job is the one it names, else its
// own name.
func engineTarget(t container.Target) model.LabelSet {
	name := strings.TrimPrefix(t.Labels["__meta_docker_container_name"], "/")
	ls := model.LabelSet{model.AddressLabel: model.LabelValue(t.Addr), model.JobLabel: model.LabelValue(name), "container": model.LabelValue(name)}
	for k, v := range t.Labels {
		ls[model.LabelName(k)] = model.LabelValue(v)
	}
	return ls
}
