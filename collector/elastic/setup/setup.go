// Package setup writes the templates that data streams are made by, before the
// first document, and never over what somebody else has changed.
package setup

import "github.com/prometheus/common/model"

// Streams says how the data streams are made.
type Streams struct {
	Namespace string         `yaml:"namespace" default:"default" doc:"last part of the data streams' names"`
	Retention model.Duration `yaml:"retention" default:"30d" doc:"how long documents are kept there, by the data streams' own lifecycle"`
	ILMPolicy string         `yaml:"ilm_policy" doc:"index lifecycle policy, which must exist, in place of retention; none by default"`
}
