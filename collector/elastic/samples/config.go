package samples

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"flyball/rules"
)

// What is configured by default.
const (
	defaultEvery   = 10 * time.Second
	defaultCatchUp = 50_000
)

// folds are the words for what stands for a stretch of time.
func folds() []string { return []string{auto, last, avg, least, most} }

const (
	auto  = "auto"
	last  = "last"
	avg   = "avg"
	least = "min"
	most  = "max"
)

// Validate names the mistakes of c. Paths begin at the block: .every.
func (c Config) Validate() []rules.Fault {
	var fs []rules.Fault
	every := time.Duration(c.Every)
	if every != 0 && every < time.Second {
		fs = append(fs, rules.Fault{Path: ".every", Text: c.Every.String() + " is less than 1s", Hint: "write e.g. 10s"})
	}
	if c.CatchUp < 0 {
		fs = append(fs, rules.Fault{Path: ".catch_up", Text: strconv.Itoa(c.CatchUp) + " is no number of samples", Hint: "write e.g. 50000"})
	}
	fs = append(fs, selectorFaults(".match", c.Match)...)
	fs = append(fs, selectorFaults(".drop", c.Drop)...)
	for i, x := range c.Coarser {
		at := ".coarser[" + strconv.Itoa(i) + "]"
		fs = append(fs, x.faults(at, every)...)
	}
	return fs
}

func (x Coarser) faults(at string, every time.Duration) []rules.Fault {
	fs := selectorFaults(at+".match", x.Match)
	if len(x.Match) == 0 {
		fs = append(fs, rules.Fault{Path: at + ".match", Text: "is missing", Hint: `write e.g. ['{__name__=~"node_.*"}']`})
	}
	switch d := time.Duration(x.Every); {
	case d < time.Second || d%time.Second != 0:
		fs = append(fs, rules.Fault{Path: at + ".every", Text: x.Every.String() + " is no number of whole seconds", Hint: "write e.g. 60s"})
	case d <= every:
		fs = append(fs, rules.Fault{Path: at + ".every", Text: x.Every.String() + " is not longer than the rounds are apart, " + model.Duration(every).String(), Hint: "write e.g. 60s"})
	case d > 24*time.Hour:
		fs = append(fs, rules.Fault{Path: at + ".every", Text: x.Every.String() + " is longer than a day", Hint: "write e.g. 1h"})
	}
	if x.Fold != "" && !slices.Contains(folds(), x.Fold) {
		fs = append(fs, rules.Fault{Path: at + ".fold", Text: strconv.Quote(x.Fold) + " is no way to fold", Hint: "write one of auto, last, avg, min, max"})
	}
	return fs
}

func selectorFaults(at string, selectors []string) []rules.Fault {
	var fs []rules.Fault
	for i, s := range selectors {
		if _, err := parse(s); err != nil {
			fs = append(fs, rules.Fault{Path: at + "[" + strconv.Itoa(i) + "]", Text: err.Error(), Hint: `write a selector of series, e.g. '{job="node"}'`})
		}
	}
	return fs
}

func parse(selector string) ([]*labels.Matcher, error) {
	ms, err := parser.NewParser(parser.Options{}).ParseMetricSelector(selector)
	if err != nil {
		return nil, fmt.Errorf("parse selector: %w", err)
	}
	return ms, nil
}

// A selection says which series are sent, and how.
type selection struct {
	match, drop selectors
	coarser     []coarser
}

// A coarser is one, ready for use.
type coarser struct {
	match selectors
	every int64 // ms
	fold  string
}

// selectors match a series if one of them does.
type selectors [][]*labels.Matcher

func (ss selectors) matches(ls labels.Labels) bool {
	for _, ms := range ss {
		if !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches(ls.Get(m.Name)) }) {
			return true
		}
	}
	return false
}

func newSelection(c Config) (selection, error) {
	var s selection
	var err error
	if s.match, err = parseAll(c.Match); err != nil {
		return s, err
	}
	if s.drop, err = parseAll(c.Drop); err != nil {
		return s, err
	}
	for _, x := range c.Coarser {
		match, err := parseAll(x.Match)
		if err != nil {
			return s, err
		}
		s.coarser = append(s.coarser, coarser{match, time.Duration(x.Every).Milliseconds(), x.Fold})
	}
	return s, nil
}

func parseAll(texts []string) (selectors, error) {
	var ss selectors
	for _, t := range texts {
		ms, err := parse(t)
		if err != nil {
			return nil, err
		}
		ss = append(ss, ms)
	}
	return ss, nil
}

// Ways that a series is sent: by the number of a coarser, or
const (
	asItIs   = -1
	notAtAll = -2
)

// way says how a series is sent.
func (s *selection) way(ls labels.Labels) int {
	if len(s.match) > 0 && !s.match.matches(ls) || s.drop.matches(ls) {
		return notAtAll
	}
	for i, x := range s.coarser {
		if x.match.matches(ls) {
			return i
		}
	}
	return asItIs
}
