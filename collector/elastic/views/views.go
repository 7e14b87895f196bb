// Package views computes the datasets that Metricbeat and the Elastic integrations
// write, under their fields and in their units, from what is in the store.
package views

import "github.com/prometheus/common/model"

// Config says which datasets are computed.
type Config struct {
	Shipped bool           `yaml:"shipped" default:"true" doc:"also those that come with Flyball: system.cpu and others of Metricbeat's"`
	Files   []string       `yaml:"files" doc:"files of further datasets, *.views.yaml; none by default"`
	Every   model.Duration `yaml:"every" default:"10s" doc:"how often they are computed"`
}
