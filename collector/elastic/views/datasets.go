package views

import (
	"maps"
	"slices"

	"flyball/collector/elastic/setup"
)

// Datasets are the shapes of the views' data streams, sorted by name.
func Datasets(vs []View) []setup.Dataset {
	byName := map[string]*setup.Dataset{}
	for _, v := range vs {
		d := byName[v.Dataset]
		if d == nil {
			d = &setup.Dataset{
				Type: "metrics", Name: v.Dataset, TimeSeries: true, Fields: map[string]setup.Field{},
				Dimensions: []string{"host.name", "service.address", "container.id", fingerprint},
			}
			byName[v.Dataset] = d
		}
		v.shape(d)
	}
	var out []setup.Dataset
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		d := byName[name]
		slices.Sort(d.Dimensions)
		d.Dimensions = slices.Compact(d.Dimensions)
		out = append(out, *d)
	}
	return out
}

// shape adds the view's fields to its dataset's.
func (v View) shape(d *setup.Dataset) {
	for _, by := range v.By {
		d.Fields[by.Field] = setup.Field{Type: by.Type}
		d.Dimensions = append(d.Dimensions, by.Field)
	}
	for name, c := range v.Set {
		d.Fields[name] = setup.Field{Type: c.Type}
		d.Dimensions = append(d.Dimensions, name)
	}
	for name, f := range v.Fields {
		d.Fields[name] = setup.Field{Type: f.Type, Metric: f.metric(), Unit: f.Unit}
	}
}

// metric is what a time series knows the field as; only numbers are metrics.
func (f Field) metric() string {
	if f.Metric == "none" || f.Type != long && f.Type != double {
		return ""
	}
	return f.Metric
}
