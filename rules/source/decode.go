package source

import (
	"fmt"
	"reflect"

	"github.com/goccy/go-yaml/ast"
)

// Decode reads one YAML document into a T, strictly, and finds all its mistakes
// at once: a value that cannot be read is left at its default and reading goes on.
// An empty document is a T of defaults. Anchors, aliases and merge keys are
// followed, within bounds; tags, several documents and duplicate keys are mistakes.
// The problems are sorted by place; without any, the value is whole.
func Decode[T any](file string, b []byte) (T, []Problem) {
	var out T
	doc, ps := parse(file, b)
	if len(ps) > 0 {
		return out, ps
	}
	return out, doc.decode(reflect.ValueOf(&out).Elem())
}

// decode reads the document into a value.
func (d *document) decode(v reflect.Value) []Problem {
	r := &reader{doc: d}
	r.defaults(v)
	if isNull(d.body) {
		r.required(v.Type(), "$", d.body, nil)
	} else {
		r.value(d.body, v, "$")
	}
	return Sorted(r.problems)
}

// reader reads nodes into values, gathering problems.
type reader struct {
	doc      *document
	problems []Problem
	visits   int
	depth    int
	like     string // the default of the field that is being read, as an example
}

// wrong notes a mistake at a node.
func (r *reader) wrong(n ast.Node, path, text, hint string) {
	r.wrongAbout(path, n, path, text, hint)
}

// wrongAbout notes a mistake at a node that spoils another field than the one
// that its text names.
func (r *reader) wrongAbout(spoilt string, n ast.Node, path, text, hint string) {
	line, col := at(n)
	p := r.doc.problem(line, col, label(path, text), hint)
	p.Path = spoilt
	r.problems = append(r.problems, p)
}

// enter counts what is read, so that neither aliases of aliases nor a circle of
// them goes on for ever. It reports whether the value may be read.
func (r *reader) enter(n ast.Node, path string) bool {
	r.visits++
	r.depth++
	switch {
	case r.depth > mostDepth:
		r.wrong(n, path, errTooDeep.Error(), "an alias may not lead to itself")
	case r.visits == mostVisits:
		r.wrong(n, path, errTooLarge.Error(), "use fewer aliases")
	}
	return r.depth <= mostDepth && r.visits < mostVisits
}

// value reads a node into v, which holds its defaults and is addressable. A null
// leaves the defaults.
func (r *reader) value(n ast.Node, v reflect.Value, path string) {
	defer func() { r.depth-- }()
	if !r.enter(n, path) {
		return
	}
	if alias, ok := n.(*ast.AliasNode); ok && r.doc.follow(n) == nil {
		r.wrong(n, path, "no anchor &"+aliasName(alias)+" stands before this", "write the value itself")
		return
	}
	n = r.doc.follow(n)
	if isNull(n) {
		return
	}
	if tag, ok := n.(*ast.TagNode); ok {
		r.wrong(n, path, "the tag "+tag.GetToken().Value+" is not read here", "leave it out")
		return
	}
	if r.special(n, v, path) {
		return
	}
	r.plain(n, v, path)
}

func aliasName(a *ast.AliasNode) string {
	if a.Value == nil {
		return ""
	}
	return a.Value.GetToken().Value
}

// plain reads by the kind of the Go value.
func (r *reader) plain(n ast.Node, v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		if !v.IsNil() {
			p.Elem().Set(v.Elem())
		} else {
			r.defaults(p.Elem())
		}
		v.Set(p)
		r.plainOrSpecial(n, p.Elem(), path)
	case reflect.Struct:
		r.structure(n, v, path)
	case reflect.Map:
		r.mapping(n, v, path)
	case reflect.Slice:
		r.list(n, v, path)
	case reflect.String:
		r.text(n, v, path)
	case reflect.Bool:
		r.boolean(n, v, path)
	case reflect.Int, reflect.Int64, reflect.Float64:
		r.number(n, v, path)
	default:
		panic(fmt.Sprintf("source: %s has a type that is not read: %s", path, v.Type()))
	}
}

func (r *reader) plainOrSpecial(n ast.Node, v reflect.Value, path string) {
	if !r.special(n, v, path) {
		r.plain(n, v, path)
	}
}

// mapping reads a mapping by name.
func (r *reader) mapping(n ast.Node, v reflect.Value, path string) {
	es, ok := r.entries(n, path)
	if !ok {
		r.wrong(n, path, "wants names with values below it, and this is "+what(n), "")
		return
	}
	out := reflect.MakeMap(v.Type())
	for _, e := range es {
		x := reflect.New(v.Type().Elem()).Elem()
		r.defaults(x)
		below := Path(path, e.name)
		if isNull(r.doc.follow(e.value)) {
			r.required(x.Type(), below, e.key, nil)
		}
		r.value(e.value, x, below)
		out.SetMapIndex(reflect.ValueOf(e.name).Convert(v.Type().Key()), x)
	}
	v.Set(out)
}

// list reads a list.
func (r *reader) list(n ast.Node, v reflect.Value, path string) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		hint := "write each entry on a line of its own, after a dash"
		if text, _, ok := scalar(n); ok {
			hint = "write [" + brief(text) + "]"
		}
		r.wrong(n, path, "wants a list, and this is "+what(n), hint)
		return
	}
	out := reflect.MakeSlice(v.Type(), 0, len(seq.Values))
	for i, e := range seq.Values {
		x := reflect.New(v.Type().Elem()).Elem()
		r.defaults(x)
		if isNull(r.doc.follow(e)) {
			r.wrong(seq, index(path, i), "is empty", "write the entry, or remove it")
		}
		r.value(e, x, index(path, i))
		out = reflect.Append(out, x)
	}
	v.Set(out)
}
