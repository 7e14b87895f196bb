package collector

import (
	"fmt"
	"maps"
	"slices"

	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	_ "github.com/prometheus/prometheus/discovery/dns"  // dns_sd_configs
	_ "github.com/prometheus/prometheus/discovery/file" // file_sd_configs
	_ "github.com/prometheus/prometheus/discovery/http" // http_sd_configs
	"github.com/prometheus/prometheus/discovery/targetgroup"
)

// Names of our own scrape jobs. A job of the user's cannot have a name that
// begins like one of them.
const (
	poolJob = "pool/"
	ownJobs = "flyball/"
	selfJob = ownJobs + "self"
	hostJob = ownJobs + "host"
)

// build adds our own jobs to the user's, and lists who discovers for which job.
func (c *Collector) build(cfg Config, watched map[string]*watched) (*promconfig.Config, map[string]discovery.Configs, error) {
	jobs, err := cfg.Prometheus.GetScrapeConfigs()
	if err != nil {
		return nil, nil, fmt.Errorf("read scrape configurations: %w", err)
	}
	full := *cfg.Prometheus
	full.ScrapeConfigFiles = nil // read just now
	full.ScrapeConfigs = unlimited(jobs)
	own := slices.Concat(c.builtIn(), cfg.Watch.jobs(), c.engineJobs(cfg.Watch, watched))
	for _, pool := range slices.Sorted(maps.Keys(cfg.Pools)) {
		if !cfg.Pools[pool].Off {
			own = append(own, c.poolJob(pool, cfg.Pools[pool]))
		}
	}
	found := map[string]discovery.Configs{}
	for _, job := range own {
		if err := job.Validate(full.GlobalConfig); err != nil {
			return nil, nil, fmt.Errorf("scrape %s: %w", job.JobName, err)
		}
		full.ScrapeConfigs = append(full.ScrapeConfigs, job)
	}
	for _, job := range full.ScrapeConfigs {
		if _, ok := found[job.JobName]; ok {
			return nil, nil, fmt.Errorf("scrape job %q: the name is taken: rename the job in scrape_configs", job.JobName)
		}
		found[job.JobName] = job.ServiceDiscoveryConfigs
	}
	return &full, found, nil
}

// builtIn are the jobs that exist with no configuration at all.
func (c *Collector) builtIn() []*promconfig.ScrapeConfig {
	self := newJob(selfJob)
	self.ServiceDiscoveryConfigs = discovery.Configs{discovery.StaticConfig{fixed(selfAddress, "flyball", c.options.Name)}}
	if c.options.Host == nil {
		return []*promconfig.ScrapeConfig{self}
	}
	host := newJob(hostJob)
	host.ServiceDiscoveryConfigs = discovery.Configs{discovery.StaticConfig{fixed(hostAddress, "node", c.options.Name)}}
	return []*promconfig.ScrapeConfig{self, host}
}

// fixed is one target whose address never changes.
func fixed(addr, job, instance string) *targetgroup.Group {
	return &targetgroup.Group{
		Targets: []model.LabelSet{{model.AddressLabel: model.LabelValue(addr)}},
		Labels:  model.LabelSet{model.JobLabel: model.LabelValue(job), model.InstanceLabel: model.LabelValue(instance)},
	}
}

func (c *Collector) poolJob(pool string, s Scrape) *promconfig.ScrapeConfig {
	job := newJob(poolJob + pool)
	if s.Path != "" {
		job.MetricsPath = s.Path
	}
	job.ScrapeInterval = model.Duration(s.Interval)
	job.ServiceDiscoveryConfigs = discovery.Configs{finderConfig{pool: pool, port: s.Port, roster: c.options.Roster, running: &c.finders}}
	return job
}

func newJob(name string) *promconfig.ScrapeConfig {
	job := promconfig.DefaultScrapeConfig
	job.JobName = name
	return &job
}

// unlimited takes `sample_limit` off the jobs. Upstream drops the whole scrape
// over it, and with it the series a decision is made of; the store refuses the
// new series alone, see [sampleLimits].
func unlimited(jobs []*promconfig.ScrapeConfig) []*promconfig.ScrapeConfig {
	out := slices.Clone(jobs)
	for i, job := range out {
		if job.SampleLimit > 0 {
			copied := *job
			copied.SampleLimit = 0
			out[i] = &copied
		}
	}
	return out
}

// sampleLimits are the limits of series per target by job.
func sampleLimits(cfg *promconfig.Config) map[string]int {
	out := map[string]int{}
	jobs, err := cfg.GetScrapeConfigs()
	if err != nil {
		return out // build has read them, and told of errors
	}
	for _, job := range jobs {
		if job.SampleLimit > 0 {
			out[job.JobName] = int(job.SampleLimit)
		}
	}
	return out
}

// group is one pool's targets.
func group(pool string, targets []model.LabelSet) *targetgroup.Group {
	return &targetgroup.Group{
		Source:  poolJob + pool,
		Targets: targets,
		Labels:  model.LabelSet{"pool": model.LabelValue(pool), model.JobLabel: model.LabelValue(pool)},
	}
}
