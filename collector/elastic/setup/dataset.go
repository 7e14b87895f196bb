package setup

import (
	"maps"
	"slices"
	"strings"
)

// A Dataset is the shape of a data stream's documents.
type Dataset struct {
	Type       string           // metrics or logs
	Name       string           // e.g. system.cpu; one that ends in .* covers all that begin so
	TimeSeries bool             // whether the documents are of time series
	Dimensions []string         // fields that tell time series apart, beside agent.id; of a long or a keyword
	Fields     map[string]Field // by name, with dots, beside the common ones
	Flat       []string         // objects whose members' names may have dots
	Dynamic    []Dynamic        // what other fields become, the first that fits; then text becomes keywords
	Limit      int              // fields that an index may have; those beyond are kept, but not indexed; 0: 1000
}

// A Field is how one is kept.
type Field struct {
	Type   string // keyword long double boolean date ip flattened text object
	Metric string // gauge or counter, of a number in a time series; "" for none
	Unit   string // as Elasticsearch names units, e.g. percent, byte, ms; "" for none
	Plain  bool   // not indexed: filtering by it scans, which is good enough for what is the same everywhere
}

// A Dynamic is what fields become that are first seen in a document.
type Dynamic struct {
	Name      string
	Paths     []string // patterns of whole names, e.g. prometheus.labels.*
	Field     Field
	Dimension bool
}

// mostKeyword is how many characters of a keyword are indexed; longer ones are only kept.
const mostKeyword = 1024

// The types of data streams.
const (
	metrics = "metrics"
	logs    = "logs"
)

const keyword = "keyword"

// agentID is the dimension that all time series have: two of us may see the same.
const agentID = "agent.id"

// common are the fields that all documents have.
func common() map[string]Field {
	same, own := Field{Type: keyword, Plain: true}, Field{Type: keyword}
	return map[string]Field{
		"@timestamp":  {Type: "date"},
		"ecs.version": same, "data_stream.type": same, "data_stream.dataset": same, "data_stream.namespace": same,
		"event.dataset": same, "event.module": same, "event.kind": same,
		"agent.name": same, "agent.type": same, "agent.version": same, agentID: own,
		"host.name": own, "service.address": own, "service.name": own, "service.type": own,
		"container.id": own, "container.name": own, "container.image.name": own,
		"labels": {Type: "object"},
	}
}

// ofMetrics are the fields that all documents of metrics have besides.
func ofMetrics() map[string]Field {
	return map[string]Field{
		"metricset.name":   {Type: keyword, Plain: true},
		"metricset.period": {Type: "long", Plain: true},
	}
}

// fields are all of a dataset's.
func (d Dataset) fields() map[string]Field {
	all := common()
	if d.Type == metrics {
		maps.Copy(all, ofMetrics())
	}
	for _, name := range d.dimensions() {
		all[name] = Field{Type: keyword}
	}
	maps.Copy(all, d.Fields)
	for _, name := range d.Flat {
		all[name] = Field{Type: "object"}
	}
	return all
}

// dimensions are all of a dataset's that are known by name; none if it is no time series.
func (d Dataset) dimensions() []string {
	if !d.TimeSeries {
		return nil
	}
	ds := append([]string{agentID}, d.Dimensions...)
	slices.Sort(ds)
	return slices.Compact(ds)
}

// routing are the dimensions by which a document finds its shard; they must be keywords.
func (d Dataset) routing() []string {
	all := d.fields()
	paths := slices.DeleteFunc(d.dimensions(), func(name string) bool { return all[name].Type != keyword })
	for _, y := range d.Dynamic {
		if y.Dimension {
			paths = append(paths, y.Paths...)
		}
	}
	return paths
}

// Pattern is which data streams are made by it.
func (d Dataset) Pattern(namespace string) string {
	return d.Type + "-" + d.Name + "-" + namespace
}

// template is the name of its index template.
func (d Dataset) template(namespace string) string {
	return ours + "-" + d.Type + "-" + strings.TrimSuffix(d.Name, ".*") + "-" + namespace
}

// shape is the name of its component template.
func (d Dataset) shape(namespace string) string { return d.template(namespace) + "@shape" }

// custom is the name of the component template that is the user's.
func (d Dataset) custom() string { return d.Type + "-" + strings.TrimSuffix(d.Name, ".*") + "@custom" }
