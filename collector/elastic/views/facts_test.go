package views

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"testing"
	"time"
)

// facts are what is known of a dataset: names, types and units of its fields, and
// values of one recorded document.
type facts struct {
	Dataset string          `json:"dataset"`
	Sources []string        `json:"sources"`
	Fields  map[string]fact `json:"fields"`
}

type fact struct {
	Type   string `json:"type"`
	Writes string `json:"writes"` // what documents hold, where that is not what the mapping says
	Metric string `json:"metric"`
	Unit   string `json:"unit"`
	Of     string `json:"of"` // what a percentage is of: 1, 100 or the cores
	Sample any    `json:"sample"`
}

func factsOf(t testing.TB, dataset string) facts {
	t.Helper()
	var f facts
	if err := json.Unmarshal([]byte(read(t, "testdata/facts/"+dataset+".json")), &f); err != nil {
		t.Fatal(err)
	}
	if f.Dataset != dataset || len(f.Sources) == 0 || len(f.Fields) == 0 {
		t.Fatalf("facts of %s lack a part", dataset)
	}
	return f
}

// ours is the type in our mapping that holds what a type of the integrations' does.
func (f fact) ours() string {
	if f.Writes != "" {
		return f.Writes
	}
	switch f.Type {
	case "scaled_float", "float", "double":
		return double
	case "integer", "long":
		return long
	}
	return f.Type
}

func TestFieldsHaveTheNamesTypesAndUnitsOfTheIntegrations(t *testing.T) {
	for name, v := range all(t) {
		known := factsOf(t, v.Dataset).Fields
		for field, typ := range v.types() {
			f, ok := known[field]
			if !ok {
				t.Errorf("%s: the integration does not know %s", name, field)
				continue
			}
			if typ != f.ours() {
				t.Errorf("%s: %s is a %s, and a %s with the integration", name, field, typ, f.Type)
			}
			computed, ok := v.Fields[field]
			if !ok {
				continue
			}
			if computed.Unit != f.Unit {
				t.Errorf("%s: the unit of %s is %q, and %q with the integration", name, field, computed.Unit, f.Unit)
			}
			if f.Metric != "" && computed.Metric != f.Metric {
				t.Errorf("%s: %s is a %s, and a %s with the integration", name, field, computed.Metric, f.Metric)
			}
		}
	}
}

// The metrics of the machine, server or container of which the integration's document
// was recorded give that document again.
func TestRecordedDocumentsAreComputedAgain(t *testing.T) {
	views := all(t)
	for _, name := range slices.Sorted(maps.Keys(views)) {
		v := views[name]
		if name == "haproxy.stat.backend" || name == "haproxy.stat.server" {
			continue // the document is a frontend's
		}
		t.Run(name, func(t *testing.T) {
			docs := documents(t, v, read(t, "testdata/recorded/"+name+".load"), at(5*time.Minute))
			if len(docs) != 1 {
				t.Fatalf("%d documents, want 1: %v", len(docs), docs)
			}
			checked := 0
			for field, f := range factsOf(t, v.Dataset).Fields {
				got, written := docs[0][field]
				_, computed := v.types()[field]
				if f.Sample == nil || !computed {
					continue
				}
				checked++
				if !written || !same(got, f.Sample) {
					t.Errorf("%s is %v (%T), and %v in the recorded document", field, got, got, f.Sample)
				}
			}
			if checked < 1 || checked < len(v.Fields)/3 {
				t.Errorf("the recorded document has %d of %d fields", checked, len(v.Fields))
			}
		})
	}
}

// same compares values. Metricbeat rounds fractions to four digits, and adds up what
// it has rounded.
func same(got, want any) bool {
	a, number := got.(float64)
	b, too := want.(float64)
	if number && too && b != math.Trunc(b) {
		return math.Abs(a-b) < 1.5e-4
	}
	return got == want
}
