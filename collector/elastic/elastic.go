// Package elastic keeps an Elasticsearch supplied with samples, datasets and
// events, and tells how far it is.
package elastic

import (
	"flyball/collector/elastic/cluster"
	"flyball/collector/elastic/samples"
	"flyball/collector/elastic/setup"
	"flyball/collector/elastic/views"
)

// Config is the block elasticsearch of flyball.yaml.
type Config struct {
	cluster.Config
	setup.Streams
	Ship  samples.Config `yaml:"ship" doc:"which samples are sent"`
	Views views.Config   `yaml:"views" doc:"datasets of Metricbeat's that are computed from samples"`
}
