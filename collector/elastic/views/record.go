package views

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"flyball/collector/elastic/ecs"
)

// A record is what a stretch holds for one set of labels: a number for each field
// and step.
type record struct {
	labels  labels.Labels
	about   []byte      // members that tell whom it is about, each after a comma
	columns [][]float64 // by field and step; NaN: none
	texts   []string    // what the numbers of keywords stand for
}

// value is a field's number at a step; NaN if there is none.
func (r *record) value(field, step int) float64 {
	if c := r.columns[field]; c != nil {
		return c[step]
	}
	return math.NaN()
}

// records joins the answers of a view's queries by their labels.
type records struct {
	layout  *layout
	steps   stretch
	byKey   map[string]*record
	all     []*record
	builder *labels.Builder
	key     []byte
}

func newRecords(l *layout, s stretch) *records {
	return &records{layout: l, steps: s, byKey: map[string]*record{}, builder: labels.NewBuilder(labels.EmptyLabels())}
}

// add puts in the answer of one query. Where two series give one field of a document,
// the first by labels counts.
func (rs *records) add(field int, m promql.Matrix) {
	slices.SortFunc(m, func(a, b promql.Series) int { return labels.Compare(a.Metric, b.Metric) })
	label := rs.layout.queries[field].label
	for _, series := range m {
		r := rs.of(series.Metric, label)
		text := 0.0
		if label != "" {
			value := series.Metric.Get(label)
			if value == "" {
				continue
			}
			text = float64(len(r.texts))
			r.texts = append(r.texts, strings.Clone(value))
		}
		c := r.column(field, rs.steps.count)
		for _, p := range series.Floats {
			i := rs.steps.index(p.T)
			if i < 0 || !math.IsNaN(c[i]) || math.IsNaN(p.F) || math.IsInf(p.F, 0) {
				continue
			}
			c[i] = p.F
			if label != "" {
				c[i] = text
			}
		}
	}
}

func (r *record) column(field, steps int) []float64 {
	if r.columns[field] == nil {
		c := make([]float64, steps)
		for i := range c {
			c[i] = math.NaN()
		}
		r.columns[field] = c
	}
	return r.columns[field]
}

// of is the record of a series, whose name and the label that is a field's value do
// not count.
func (rs *records) of(ls labels.Labels, label string) *record {
	rs.builder.Reset(ls)
	rs.builder.Del(model.MetricNameLabel)
	if label != "" {
		rs.builder.Del(label)
	}
	ls = rs.builder.Labels()
	rs.key = ls.Bytes(rs.key[:0])
	r := rs.byKey[string(rs.key)]
	if r == nil {
		r = &record{labels: ls, columns: make([][]float64, len(rs.layout.queries))}
		r.about = rs.layout.about(nil, ls, nil)
		rs.byKey[string(rs.key)] = r
		rs.all = append(rs.all, r)
	}
	return r
}

// longestLabel is how long a label may be, in bytes, to be told.
const longestLabel = 1024

// about writes whom a set of labels is about, and those of its labels that nothing
// else tells, as labels.NAME: a dot in a name becomes _.
func (l *layout) about(b []byte, ls labels.Labels, without names) []byte {
	s := ecs.SourceOf(ls, l.agent)
	b = s.Append(b)
	b = appendMember(b, fingerprint, l.fingerprint(ls))
	told := names{"instance": true, "job": true, "site": l.agent.Site != ""}
	for _, name := range []string{"id", "name", "image"} {
		told[name] = s.ContainerID != ""
	}
	for label := range l.view.By {
		told[label] = true
	}
	ls.Range(func(x labels.Label) {
		name := strings.ReplaceAll(x.Name, ".", "_")
		if told[name] || told[x.Name] || without["labels."+name] || len(x.Value) > longestLabel {
			return
		}
		told[name] = true
		b = appendMember(b, "labels."+name, x.Value)
	})
	return b
}

func appendMember(b []byte, name, value string) []byte {
	b = append(b, ',')
	b = ecs.AppendString(b, name)
	b = append(b, ':')
	return ecs.AppendString(b, value)
}

// fingerprint tells records of a dataset apart, those of other views included.
func (l *layout) fingerprint(ls labels.Labels) string {
	b := labels.NewBuilder(ls)
	b.Set("__view__", l.view.Name)
	return strconv.FormatUint(labels.StableHash(b.Labels()), 16)
}
