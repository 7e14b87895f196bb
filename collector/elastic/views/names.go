package views

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	datasetName = regexp.MustCompile(`^[a-z0-9_]+(\.[a-z0-9_]+)*$`)
	fieldName   = regexp.MustCompile(`^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$`)
)

// ours are the fields and objects that all documents have.
func ours() []string {
	return []string{
		"@timestamp", "agent", "data_stream", "ecs", "event", "labels", "metricset", "service", fingerprint,
		"host.name", "container.id", "container.name", "container.image",
	}
}

// fingerprint is the dimension that tells apart what other dimensions do not: a hash
// of the view's name and the series' labels. Metricbeat's prometheus module has it.
const fingerprint = "prometheus.labels_fingerprint"

// names are the names of a view's fields.
type names map[string]bool

// name checks the name of a field, and that it is there once.
func (c *check) name(path, field string, taken names) {
	within := func(object string) bool { return field == object || strings.HasPrefix(field, object+".") }
	switch {
	case !fieldName.MatchString(field):
		c.wrong(path, strconv.Quote(field)+" is no name of a field", "write it like system.cpu.total.pct: letters, digits, _ and dots")
	case slices.ContainsFunc(ours(), within):
		c.wrong(path, field+" is a field that all documents have", "leave it out, or name another")
	case taken[field]:
		c.wrong(path, field+" is given twice", "keep one of them")
	}
	taken[field] = true
}

// nested finds fields that are objects in other fields' names.
func (n names) nested() [][2]string {
	var out [][2]string
	all := slices.Sorted(maps.Keys(n))
	for _, field := range all {
		for _, other := range all {
			if strings.HasPrefix(other, field+".") {
				out = append(out, [2]string{field, other})
				break
			}
		}
	}
	return out
}
