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
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"flyball/rules"
	"flyball/rules/source"
)

// Config says which datasets are computed.
type Config struct {
	Shipped  bool           `yaml:"shipped" default:"true" doc:"also those that come with Flyball: system.cpu and others of Metricbeat's"`
	Files    []string       `yaml:"files" doc:"files of further datasets, *.views.yaml; none by default"`
	Datasets []string       `yaml:"datasets" doc:"which datasets are computed, e.g. [system.cpu, 'docker.*']; all by default"`
	Except   []string       `yaml:"except" doc:"which of them are not, e.g. [system.load], which somebody else fills; none by default"`
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
	c.patterns(func(at, pattern string) {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			fs = append(fs, rules.Fault{
				Path: at, Text: strconv.Quote(pattern) + " is no pattern of names",
				Hint: "write a dataset's name, in which * stands for anything, e.g. 'docker.*'",
			})
		}
	})
	return fs
}

// patterns yields the patterns of names, each with its path.
func (c Config) patterns(yield func(at, pattern string)) {
	for i, p := range c.Datasets {
		yield(".datasets["+strconv.Itoa(i)+"]", p)
	}
	for i, p := range c.Except {
		yield(".except["+strconv.Itoa(i)+"]", p)
	}
}

// Unknown names the patterns of c that fit no dataset of vs, which are all that were
// loaded. Those that are no patterns are [Config.Validate]'s.
func (c Config) Unknown(vs []View) (fs []rules.Fault) {
	datasets, modules := map[string]bool{}, map[string]bool{}
	for _, v := range vs {
		module, _, _ := strings.Cut(v.Dataset, ".")
		datasets[v.Dataset], modules[module+".*"] = true, true
	}
	c.patterns(func(at, pattern string) {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			return
		}
		for d := range datasets {
			if fits([]string{pattern}, d) {
				return
			}
		}
		known := datasets
		if strings.Contains(pattern, "*") {
			known = modules
		}
		hint := source.Meant(pattern, slices.Collect(maps.Keys(known)))
		fs = append(fs, rules.Fault{Path: at, Text: strconv.Quote(pattern) + " fits no dataset", Hint: hint})
	})
	return fs
}

// Select returns those of vs that are to be computed.
func (c Config) Select(vs []View) (out []View) {
	for _, v := range vs {
		if (len(c.Datasets) == 0 || fits(c.Datasets, v.Dataset)) && !fits(c.Except, v.Dataset) {
			out = append(out, v)
		}
	}
	return out
}

// fits reports whether a dataset's name fits one of the patterns.
func fits(patterns []string, dataset string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, dataset)
		return ok && err == nil
	})
}
