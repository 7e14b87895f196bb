// Package samples ships the store's samples to Elasticsearch. The store holds them
// durably, so it is the queue: kept are a cursor and which stretches must be read
// again.
package samples

import "github.com/prometheus/common/model"

// Config says which samples are sent, and how.
type Config struct {
	Every   model.Duration `yaml:"every" default:"10s" doc:"how often samples are sent"`
	Match   []string       `yaml:"match" doc:"selectors of the series to send, e.g. '{job=\"node\"}'; all by default"`
	Drop    []string       `yaml:"drop" doc:"selectors of series that are not sent; none by default"`
	Coarser []Coarser      `yaml:"coarser" doc:"series of which one sample for each stretch of time is sent; the first entry that matches counts"`
	CatchUp int            `yaml:"catch_up" default:"50000" doc:"samples a second that are sent at most while a backlog is made up for"`
}

// A Coarser sends one sample for each stretch of time.
type Coarser struct {
	Match []string       `yaml:"match" required:"true" doc:"selectors of series, e.g. '{__name__=~\"node_.*\"}'"`
	Every model.Duration `yaml:"every" required:"true" doc:"length of a stretch, e.g. 60s"`
	Fold  string         `yaml:"fold" default:"auto" enum:"auto last avg min max" doc:"what stands for a stretch; auto: the last of counters, the average of others"`
}
