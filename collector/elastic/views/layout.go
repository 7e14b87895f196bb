package views

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"flyball/collector/elastic/ecs"
)

// A layout is a view made ready to be computed and written.
type layout struct {
	view    View
	stream  ecs.Stream
	when    string
	queries []query
	members []member
	shared  []byte // members that all its documents have, each after a comma
	agent   ecs.Agent
}

// A query is what computes one field.
type query struct {
	name, expr, label string
}

// A member is one field of a document: a computed one, or one that a label or the
// view itself gives.
type member struct {
	name  string
	path  []string // the name's parts
	typ   string
	from  int    // number of its query; -1: none
	label string // that gives it; "" and no query: value does
	value string
}

// newLayout makes a view ready. window is what $rate stands for.
func newLayout(v View, namespace string, agent ecs.Agent, every time.Duration, window string) *layout {
	l := &layout{view: v, stream: v.stream(namespace), when: asked(v.When, window), agent: agent}
	for i, name := range slices.Sorted(maps.Keys(v.Fields)) {
		f := v.Fields[name]
		l.queries = append(l.queries, query{name: name, expr: asked(f.Query, window), label: f.Label})
		l.members = append(l.members, member{name: name, typ: f.Type, from: i})
	}
	for label, d := range v.By {
		l.members = append(l.members, member{name: d.Field, typ: d.Type, from: -1, label: label})
	}
	for name, c := range v.Set {
		l.members = append(l.members, member{name: name, typ: c.Type, from: -1, value: c.Value})
	}
	for i := range l.members {
		l.members[i].path = strings.Split(l.members[i].name, ".")
	}
	slices.SortFunc(l.members, func(a, b member) int { return slices.Compare(a.path, b.path) })
	l.shared = agent.AppendFields(nil, l.stream, v.Module, v.Metricset)
	l.shared = append(l.shared, `,"service.type":`...)
	l.shared = ecs.AppendString(l.shared, v.Module)
	l.shared = append(l.shared, `,"metricset.period":`...)
	l.shared = strconv.AppendInt(l.shared, every.Milliseconds(), 10)
	return l
}

// document writes the record's document of one step, without the fields that are to
// be left out. It is false if no computed field is left.
func (l *layout) document(b []byte, r *record, at time.Time, step int, without names) ([]byte, bool) {
	b = append(b, `{"@timestamp":"`...)
	b = at.UTC().AppendFormat(b, timeFormat)
	b = append(b, '"')
	b = append(b, l.shared...)
	if len(without) == 0 {
		b = append(b, r.about...)
	} else {
		b = l.about(b, r.labels, without)
	}
	n := nest{b: b}
	some := false
	for i := range l.members {
		m := &l.members[i]
		if !without[m.name] && n.member(m, r, step) {
			some = some || m.from >= 0
		}
	}
	return n.end(), some
}

// timeFormat is that of times in documents, in UTC.
const timeFormat = "2006-01-02T15:04:05.000Z"

// A nest writes members in the order of their paths as objects in objects.
type nest struct {
	b     []byte
	open  []string // names of the objects that are open
	fresh bool     // nothing is in the innermost yet
}

// member writes a field, unless it has no value.
func (n *nest) member(m *member, r *record, step int) bool {
	switch {
	case m.from >= 0:
		return n.computed(m, r, step)
	case m.label == "":
		n.at(m.path)
		n.text(m.typ, m.value)
		return true
	}
	value := r.labels.Get(m.label)
	if _, err := strconv.ParseInt(value, 10, 64); value == "" || m.typ == long && err != nil {
		return false
	}
	n.at(m.path)
	n.text(m.typ, value)
	return true
}

func (n *nest) text(typ, value string) {
	if typ == long {
		n.b = append(n.b, value...)
		return
	}
	n.b = ecs.AppendString(n.b, value)
}

func (n *nest) computed(m *member, r *record, step int) bool {
	v := r.value(m.from, step)
	if !holds(m.typ, v) {
		return false
	}
	n.at(m.path)
	switch m.typ {
	case long:
		n.b = strconv.AppendInt(n.b, int64(math.Round(v)), 10)
	case boolean:
		n.b = strconv.AppendBool(n.b, v != 0)
	case date:
		n.b = append(n.b, '"')
		n.b = time.UnixMilli(int64(math.Round(v*1000))).UTC().AppendFormat(n.b, timeFormat)
		n.b = append(n.b, '"')
	case keyword:
		n.b = ecs.AppendString(n.b, r.texts[int(v)])
	default:
		n.b = strconv.AppendFloat(n.b, v, 'g', -1, 64)
	}
	return true
}

// The bounds of what a long and a date can hold; a date's year has four digits.
const (
	mostLong = 1 << 63
	mostDate = 253402300799
)

// holds reports whether there is a value that a type can hold.
func holds(typ string, v float64) bool {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return false
	case typ == long:
		return math.Abs(v) < mostLong
	case typ == date:
		return v > 0 && v <= mostDate
	}
	return true
}

// at goes to a path and writes its last name, with the colon.
func (n *nest) at(path []string) {
	objects := path[:len(path)-1]
	same := 0
	for same < len(n.open) && same < len(objects) && n.open[same] == objects[same] {
		same++
	}
	n.close(same)
	for _, name := range objects[same:] {
		n.key(name)
		n.b = append(n.b, '{')
		n.open, n.fresh = append(n.open, name), true
	}
	n.key(path[len(path)-1])
}

// close closes objects until so many are open.
func (n *nest) close(left int) {
	for len(n.open) > left {
		n.b = append(n.b, '}')
		n.open, n.fresh = n.open[:len(n.open)-1], false
	}
}

func (n *nest) key(name string) {
	if !n.fresh {
		n.b = append(n.b, ',')
	}
	n.fresh = false
	n.b = append(n.b, '"')
	n.b = append(n.b, name...)
	n.b = append(n.b, `":`...)
}

func (n *nest) end() []byte {
	n.close(0)
	return append(n.b, '}')
}
