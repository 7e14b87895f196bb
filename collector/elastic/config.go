package elastic

import (
	"flyball/collector/elastic/cluster"
	"flyball/collector/elastic/samples"
	"flyball/collector/elastic/setup"
	"flyball/collector/elastic/views"
	"flyball/rules"
	"flyball/rules/source"
)

// Config is the block elasticsearch of flyball.yaml.
type Config struct {
	cluster.Config
	setup.Streams
	Ship  samples.Config `yaml:"ship" doc:"which samples are sent"`
	Views views.Config   `yaml:"views" doc:"datasets of Metricbeat's that are computed from samples"`

	table   []views.View  // what Views names, once loaded
	unknown []rules.Fault // of Views: what names none
}

// Resolve puts relative names of files below dir, where the configuration is.
func (c *Config) Resolve(dir string) {
	c.Config.Resolve(dir)
	c.Views.Resolve(dir)
}

// Load reads the files that c names. With problems c must not be used.
func (c *Config) Load() []source.Problem {
	all, ps := views.Load(c.Views)
	if len(ps) == 0 {
		c.table, c.unknown = c.Views.Select(all), c.Views.Unknown(all)
	}
	return ps
}

// Validate names the mistakes of c, by their paths below its own.
func (c Config) Validate() []rules.Fault {
	var fs []rules.Fault
	for _, part := range []struct {
		path   string
		faults []rules.Fault
	}{
		{"", c.Config.Validate()},
		{"", c.Streams.Validate()},
		{".ship", c.Ship.Validate()},
		{".views", c.Views.Validate()},
		{".views", c.unknown},
	} {
		for _, f := range part.faults {
			f.Path = part.path + f.Path
			fs = append(fs, f)
		}
	}
	return fs
}

// datasets are the shapes of all data streams that are written.
func (c Config) datasets() []setup.Dataset {
	return append([]setup.Dataset{setup.Samples(), setup.Events()}, views.Datasets(c.table)...)
}
