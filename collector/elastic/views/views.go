// Package views computes the datasets that Metricbeat and the Elastic integrations
// write, under their fields and in their units, from what is in the store.
//
// A table says how: a [View] names a dataset, which label gives which field, and for
// each field its type, its unit and a PromQL expression. The table that comes with
// Flyball is embedded; files of users' add to it. A [Runner] evaluates it at times on
// a grid and delivers one document per set of labels and time.
package views

import (
	"fmt"
	"path"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/common/model"

	"flyball/rules"
)

// Config says which datasets are computed.
type Config struct {
	Shipped  bool           `yaml:"shipped" default:"true" doc:"also those that come with Flyball: system.cpu and others of Metricbeat's"`
	Files    []string       `yaml:"files" doc:"files of further datasets, *.views.yaml; none by default"`
	Datasets []string       `yaml:"datasets" doc:"which datasets are computed, e.g. [system.cpu, 'docker.*']; all by default"`
	Every    model.Duration `yaml:"every" default:"10s" doc:"how often they are computed"`
}

// Resolve puts relative names of files below dir, where the configuration is.
func (c *Config) Resolve(dir string) {
	for i, f := range c.Files {
		if f != "" && !filepath.IsAbs(f) {
			c.Files[i] = filepath.Join(dir, f)
		}
	}
}

// least is how often views may be computed at most.
const least = model.Duration(time.Second)

// Validate names the mistakes of c. What is in the files is [Load]'s to judge.
func (c Config) Validate() []rules.Fault {
	var fs []rules.Fault
	if c.Every < least {
		fs = append(fs, rules.Fault{Path: ".every", Text: fmt.Sprintf("%s is too often", c.Every), Hint: "write 1s or longer; 10s is usual"})
	}
	for i, p := range c.Datasets {
		if _, err := path.Match(p, ""); err != nil || p == "" {
			fs = append(fs, rules.Fault{
				Path: ".datasets[" + strconv.Itoa(i) + "]", Text: strconv.Quote(p) + " is no pattern of names",
				Hint: "write a dataset's name, in which * stands for anything, e.g. 'docker.*'",
			})
		}
	}
	return fs
}

// wants reports whether a dataset is among those that are to be computed.
func (c Config) wants(dataset string) bool {
	for _, p := range c.Datasets {
		if ok, err := path.Match(p, dataset); ok && err == nil {
			return true
		}
	}
	return len(c.Datasets) == 0
}
