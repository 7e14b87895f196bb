package exporter

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// A Metric is what a number is of.
type Metric struct {
	Name   string
	Help   string
	Kind   prometheus.ValueType
	Labels []string
}

// Counter is a metric that only ever grows, until its source starts anew.
func Counter(name, help string, labels ...string) Metric {
	return Metric{name, help, prometheus.CounterValue, labels}
}

// Gauge is a metric that goes up and down.
func Gauge(name, help string, labels ...string) Metric {
	return Metric{name, help, prometheus.GaugeValue, labels}
}

// Untyped is a metric of which it depends on the target what it is.
func Untyped(name, help string, labels ...string) Metric {
	return Metric{name, help, prometheus.UntypedValue, labels}
}

// A Sink takes the numbers of one part in. It is used by one goroutine.
type Sink struct {
	exporter *Exporter
	out      chan<- prometheus.Metric
	declared []Metric
	given    map[string]map[string]bool // by metric, then by the values of its labels
	wrong    []error
}

// Give takes one number, with a value for each label of the metric. A metric that
// the part has not declared, a wrong count of labels or the same series twice is
// an error of the part's, told when it ends.
func (s *Sink) Give(m Metric, v float64, values ...string) {
	series := s.given[m.Name]
	if series == nil {
		if !slices.ContainsFunc(s.declared, func(x Metric) bool { return x.Name == m.Name }) {
			s.wrong = append(s.wrong, fmt.Errorf("%s is not declared", m.Name))
			return
		}
		series = map[string]bool{}
		s.given[m.Name] = series
	}
	key := strings.Join(values, "\xff")
	if series[key] {
		s.wrong = append(s.wrong, fmt.Errorf("%s%q was told twice", m.Name, values))
		return
	}
	series[key] = true
	s.give(m, v, values...)
}

func (s *Sink) give(m Metric, v float64, values ...string) {
	made, err := prometheus.NewConstMetric(s.exporter.desc(m), m.Kind, v, values...)
	if err != nil {
		s.wrong = append(s.wrong, fmt.Errorf("give %s: %w", m.Name, err))
		return
	}
	s.out <- made
}

// up tells whether the target answered.
func (s *Sink) up(a about, err error) {
	if err != nil {
		s.give(a.down, 1, Reason(err))
		s.give(a.up, 0)
		return
	}
	s.give(a.up, 1)
}

// outcome joins what went wrong with the numbers to the part's own error.
func (s *Sink) outcome(err error) error { return errors.Join(append([]error{err}, s.wrong...)...) }

func (e *Exporter) desc(m Metric) *prometheus.Desc {
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.descs[m.Name]
	if d == nil {
		d = prometheus.NewDesc(m.Name, m.Help, m.Labels, e.o.Labels)
		e.descs[m.Name] = d
	}
	return d
}

// about are the metrics by which an exporter tells of itself.
type about struct{ up, down, partUp, partDown, partDuration Metric }

func newAbout(kind string) about {
	return about{
		up:           Gauge(kind+"_up", "Whether the target answered."),
		down:         Gauge(kind+"_down", "1 while the target is down, with the reason in one word.", "reason"),
		partUp:       Gauge(kind+"_part_up", "Whether a part of the target could be read.", "part"),
		partDown:     Gauge(kind+"_part_down", "1 while a part of the target cannot be read, with the reason in one word.", "part", "reason"),
		partDuration: Gauge(kind+"_part_duration_seconds", "How long reading a part of the target took.", "part"),
	}
}

func (a about) all() []Metric { return []Metric{a.up, a.down, a.partUp, a.partDown, a.partDuration} }
