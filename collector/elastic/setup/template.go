package setup

import (
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

const (
	ours     = "flyball" // who made a template, and what its name begins with
	priority = 300       // above the integrations' 200
	limit    = 1000      // fields of an index, if a dataset names no other
)

// An object is one of JSON.
type object = map[string]any

// shapeOf is the content of a dataset's component template.
func (d Dataset) shapeOf() object {
	settings := object{
		"index.codec":                      "best_compression",
		"index.mapping.total_fields.limit": d.limit(),
		"index.mapping.total_fields.ignore_dynamic_beyond_limit": true,
	}
	if d.TimeSeries {
		settings["index.mode"] = "time_series"
		settings["index.routing_path"] = d.routing()
		settings["index.look_back_time"] = "7d"
	}
	return object{"settings": settings, "mappings": d.mappings()}
}

func (d Dataset) limit() int {
	if d.Limit == 0 {
		return limit
	}
	return d.Limit
}

func (d Dataset) mappings() object {
	dynamic := []any{}
	for _, y := range d.Dynamic {
		dynamic = append(dynamic, object{y.Name: object{"path_match": y.Paths, "mapping": y.Field.mapping(y.Dimension)}})
	}
	dynamic = append(dynamic, object{"text": object{"match_mapping_type": "string", "mapping": Field{Type: keyword}.mapping(false)}})
	return object{"date_detection": false, "dynamic_templates": dynamic, "properties": d.properties()}
}

// properties nests the fields as their names say.
func (d Dataset) properties() object {
	root := object{}
	all := d.fields()
	for name, f := range all {
		m := f.mapping(slices.Contains(d.dimensions(), name))
		if slices.Contains(d.Flat, name) {
			m["subobjects"] = false
		}
		place(root, strings.Split(name, "."), m)
	}
	return root
}

// place puts a mapping at its path below properties.
func place(properties object, path []string, m object) {
	for _, name := range path[:len(path)-1] {
		parent, ok := properties[name].(object)
		if !ok {
			parent = object{}
			properties[name] = parent
		}
		if _, ok := parent["properties"]; !ok {
			parent["properties"] = object{}
		}
		properties = parent["properties"].(object)
	}
	last := path[len(path)-1]
	if there, ok := properties[last].(object); ok { // an object that has members already
		for k, v := range m {
			there[k] = v
		}
		return
	}
	properties[last] = m
}

func (f Field) mapping(dimension bool) object {
	m := object{"type": f.Type}
	switch {
	case dimension:
		m["time_series_dimension"] = true
	case f.Type == keyword || f.Type == "flattened":
		m["ignore_above"] = mostKeyword
	}
	if f.Plain && !dimension {
		m["index"] = false
	}
	if f.Metric != "" {
		m["time_series_metric"] = f.Metric
	}
	if f.Unit != "" {
		m["meta"] = object{"unit": f.Unit}
	}
	return m
}

// lifecycleOf is the content of the component template that all datasets share.
func (s Streams) lifecycleOf() object {
	if s.ILMPolicy != "" {
		return object{"settings": object{"index.lifecycle.name": s.ILMPolicy}}
	}
	return object{"lifecycle": object{"data_retention": span(s.Retention)}}
}

// lifecycle is the name of that component template.
func (s Streams) lifecycle() string { return ours + "-" + s.Namespace + "@lifecycle" }

// span writes a duration as Elasticsearch does: whole, in one unit.
func span(d model.Duration) string {
	for _, u := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if t := time.Duration(d); t%u.of == 0 {
			return itoa(int64(t/u.of)) + u.name
		}
	}
	return itoa(time.Duration(d).Milliseconds()) + "ms"
}

// indexOf is a dataset's index template but for its _meta. Its mappings say by which
// shape an index was made.
func (s Streams) indexOf(d Dataset, version int) object {
	return object{
		"index_patterns":                     []any{d.Pattern(s.Namespace)},
		"priority":                           priority,
		"data_stream":                        object{},
		"composed_of":                        []any{d.shape(s.Namespace), s.lifecycle(), d.custom()},
		"ignore_missing_component_templates": []any{d.custom()},
		"template":                           object{"mappings": object{"_meta": meta(version, s.mark(d))}},
	}
}

// mark is the hash of what an index of the dataset is made by: the retention of a data
// stream's lifecycle has no part in it.
func (s Streams) mark(d Dataset) string {
	return hash(object{"shape": d.shapeOf(), "ilm": s.ILMPolicy})
}

// meta says who made something.
func meta(version int, hash string) object {
	return object{"managed_by": ours, "version": version, "hash": hash}
}
