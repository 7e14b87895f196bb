package views

import (
	"strconv"
	"strings"

	"flyball/collector/elastic/ecs"
	"flyball/rules/source"
)

// A table is one file of views.
type table struct {
	Views map[string]View `yaml:"views" required:"true" doc:"views by name; one of a user's takes the place of a shipped one of its name"`
}

// A View is how documents of a dataset are computed. The series that its expressions
// answer are joined by their labels: one document per set of labels and time. A
// dataset may have several views.
//
// In every expression $rate stands for a window that rate() can be taken over: four
// times the longest scrape interval, and at least one minute.
type View struct {
	Name      string               `yaml:"-"`
	Dataset   string               `yaml:"dataset" doc:"dataset, e.g. system.cpu; the view's name by default"`
	Module    string               `yaml:"module" doc:"event.module; the first part of the dataset's name by default"`
	Metricset string               `yaml:"metricset" doc:"metricset.name; the rest of the dataset's name by default"`
	When      string               `yaml:"when" required:"true" doc:"PromQL expression; at times at which it answers nothing there are no documents, and the others are not asked"`
	By        map[string]Dimension `yaml:"by" doc:"fields that a label of the answers gives, by label"`
	Set       map[string]Constant  `yaml:"set" doc:"fields that are the same in all documents"`
	Fields    map[string]Field     `yaml:"fields" required:"true" doc:"fields by name, with dots"`
}

// A Dimension is a field that a label gives. Documents that differ in it are of
// different time series.
type Dimension struct {
	Field string `yaml:"field" required:"true" doc:"name of the field, with dots"`
	Type  string `yaml:"type" default:"keyword" enum:"keyword long" doc:"type of the field"`
}

// UnmarshalText reads a field's name alone.
func (d *Dimension) UnmarshalText(b []byte) error {
	*d = Dimension{Field: string(b), Type: keyword}
	return nil
}

// A Constant is a field's one value, and a dimension.
type Constant struct {
	Value string `yaml:"value" required:"true" doc:"value of the field"`
	Type  string `yaml:"type" default:"keyword" enum:"keyword long" doc:"type of the field"`
}

// UnmarshalText reads a value: a whole number is a long, anything else a keyword.
func (c *Constant) UnmarshalText(b []byte) error {
	*c = Constant{Value: string(b), Type: keyword}
	if _, err := strconv.ParseInt(c.Value, 10, 64); err == nil {
		c.Type = long
	}
	if c.Value == "" {
		return &source.Mistake{Text: "is empty", Hint: "write the field's value, or leave the field out"}
	}
	return nil
}

// A Field is computed by an expression. A value that is no finite number, or that
// the type cannot hold, is left out.
type Field struct {
	Query  string `yaml:"query" required:"true" doc:"PromQL expression; its series have the labels of the view's other expressions"`
	Type   string `yaml:"type" default:"double" enum:"long double boolean date keyword" doc:"type of the field: long is rounded, boolean is true unless 0, date is of Unix seconds, keyword is the text of a label"`
	Unit   string `yaml:"unit" enum:"byte percent d h m s ms micros nanos" doc:"unit of the values, as Elasticsearch names units; percent is a share of 1; none by default"`
	Metric string `yaml:"metric" default:"gauge" enum:"gauge counter none" doc:"what the numbers of a time series are"`
	Label  string `yaml:"label" doc:"of a keyword: the label that gives it, which is then none of the document's labels"`
}

// The types of fields, in Elasticsearch's words.
const (
	keyword = "keyword"
	long    = "long"
	double  = "double"
	boolean = "boolean"
	date    = "date"
)

// named fills in what a view takes from its name.
func (v View) named(name string) View {
	v.Name = name
	if v.Dataset == "" {
		v.Dataset = name
	}
	first, rest, _ := strings.Cut(v.Dataset, ".")
	if v.Module == "" {
		v.Module = first
	}
	if v.Metricset == "" {
		v.Metricset = rest
	}
	return v
}

// Stream is the name of the data stream that the view's documents go to.
func (v View) Stream(namespace string) string { return v.stream(namespace).Name() }

func (v View) stream(namespace string) ecs.Stream {
	return ecs.Stream{Type: "metrics", Dataset: v.Dataset, Namespace: namespace}
}

// rateWord is what stands for the window in expressions.
const rateWord = "$rate"

// asked is an expression with its window.
func asked(expr, window string) string { return strings.ReplaceAll(expr, rateWord, window) }
