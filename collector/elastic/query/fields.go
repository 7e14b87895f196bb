package query

import (
	"encoding/json"
	"slices"
	"strings"

	"flyball/rules"
)

// capability is what one type of a field can, as _field_caps tells.
type capability struct {
	Aggregatable bool     `json:"aggregatable"`
	Metric       string   `json:"time_series_metric"` // gauge, counter, ...
	Indices      []string `json:"indices"`            // where it has this type; empty: everywhere
}

// checkFields says what of a question's fields is not as it needs it; nil if all is.
func checkFields(answer []byte, q rules.Elastic) error {
	var caps struct {
		Indices []string                         `json:"indices"`
		Fields  map[string]map[string]capability `json:"fields"`
	}
	if err := json.Unmarshal(answer, &caps); err != nil {
		return failf(unreadable, "read what is known of the fields: %w", err)
	}
	if len(caps.Indices) == 0 {
		return failf(unfit, "no index is called %s: see index, and whether its shipper runs", q.Index)
	}
	for _, name := range []string{q.Field, q.By, "@timestamp"} {
		if len(caps.Fields[name]) == 0 {
			return failf(unfit, "no index of %s has the field %s: see its spelling, and whether what ships it runs", q.Index, name)
		}
	}
	if err := checkNumber(caps.Fields[q.Field], q); err != nil {
		return err
	}
	for typ, c := range caps.Fields[q.By] {
		if !c.Aggregatable {
			return failf(unfit, "the field %s is of type %s%s, which cannot tell members apart: write a keyword, perhaps %s.keyword, into by", q.By, typ, where(c), q.By)
		}
	}
	return nil
}

// numbers are the types that can be folded.
func numbers() []string {
	return []string{"long", "integer", "short", "byte", "double", "float", "half_float", "scaled_float", "unsigned_long", "aggregate_metric_double"}
}

// checkNumber checks that a field is a number, and one that says something.
func checkNumber(types map[string]capability, q rules.Elastic) error {
	for typ, c := range types {
		switch {
		case !slices.Contains(numbers(), typ):
			return failf(unfit, "the field %s is of type %s%s, and a number is wanted: map it as double, or read another", q.Field, typ, where(c))
		case c.Metric == "counter":
			return failf(unfit, "the field %s is a counter, whose %s says nothing of the load: read a gauge, or take its rate in a body of your own", q.Field, q.Fold)
		}
	}
	return nil
}

// where names the indices in which a field has one type among others.
func where(c capability) string {
	switch n := len(c.Indices); {
	case n == 0:
		return ""
	case n > 3:
		return " in " + strings.Join(c.Indices[:3], ", ") + " and others"
	}
	return " in " + strings.Join(c.Indices, ", ")
}
