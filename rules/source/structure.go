package source

import (
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// field is a struct's field as its tags tell.
type field struct {
	name     string
	index    []int
	typ      reflect.Type
	fallback string // as YAML; "" is the zero value
	required bool
	enum     []string
	doc      string
}

// about is the field with its description.
func (f field) about() string {
	if f.doc == "" {
		return ""
	}
	return f.name + ": " + f.doc
}

// fieldsOf lists what can be written in a struct, embedded structs included.
func fieldsOf(t reflect.Type) []field {
	var fs []field
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "" || name == "-" || !f.IsExported() {
			continue
		}
		fs = append(fs, field{
			name: name, index: f.Index, typ: f.Type, fallback: f.Tag.Get("default"),
			required: f.Tag.Get("required") == "true", enum: strings.Fields(f.Tag.Get("enum")), doc: f.Tag.Get("doc"),
		})
	}
	return fs
}

// names are the fields' names.
func names(fs []field) []string {
	out := make([]string, len(fs))
	for i, f := range fs {
		out[i] = f.name
	}
	return out
}

// later is a struct that knows the fields of later versions.
type later interface{ Later() []string }

// laterFields are the fields of later versions of a struct.
func laterFields(t reflect.Type) []string {
	if l, ok := reflect.New(t).Interface().(later); ok {
		return l.Later()
	}
	return nil
}

// structure reads a mapping into a struct's fields.
func (r *reader) structure(n ast.Node, v reflect.Value, path string) {
	es, ok := r.entries(n, path)
	fs := fieldsOf(v.Type())
	if !ok {
		hint := ""
		if len(fs) > 0 {
			hint = "known here: " + strings.Join(names(fs), ", ")
		}
		r.wrong(n, path, "wants names with values below it, and this is "+what(n), hint)
		return
	}
	written := map[string]bool{}
	for _, e := range es {
		i := slices.IndexFunc(fs, func(f field) bool { return f.name == e.name })
		if i < 0 {
			r.unknown(e, v.Type(), fs, path)
			continue
		}
		below := Path(path, e.name)
		written[e.name] = !isNull(r.doc.follow(e.value))
		before := len(r.problems)
		r.like = fs[i].fallback
		r.value(e.value, v.FieldByIndex(fs[i].index), below)
		if len(r.problems) == before && written[e.name] {
			r.oneOf(e.value, v.FieldByIndex(fs[i].index), fs[i].enum, below)
		}
	}
	r.required(v.Type(), path, n, written)
}

// required tells of fields that must be written and are not. n is where the
// struct begins.
func (r *reader) required(t reflect.Type, path string, n ast.Node, written map[string]bool) {
	if t.Kind() != reflect.Struct {
		return
	}
	key, _, whole := r.doc.find(path)
	if key == nil || !whole {
		key = n
	}
	for _, f := range fieldsOf(t) {
		if f.required && !written[f.name] {
			r.wrongAbout(Path(path, f.name), key, path, f.name+" is missing", f.about())
		}
	}
}

// unknown tells of a field that is not known, and what might have been meant.
func (r *reader) unknown(e entry, t reflect.Type, fs []field, path string) {
	if slices.Contains(laterFields(t), e.name) {
		r.wrongAbout("", e.key, path, `unknown field "`+brief(e.name)+`"`, "this version does not have "+e.name+" yet: leave it out")
		return
	}
	r.wrongAbout(Path(path, e.name), e.key, path, `unknown field "`+brief(e.name)+`"`, Meant(e.name, names(fs)))
}

// oneOf checks a word against those allowed.
func (r *reader) oneOf(n ast.Node, v reflect.Value, enum []string, path string) {
	if len(enum) > 0 && v.Kind() == reflect.String && !slices.Contains(enum, v.String()) {
		hint := "write one of them"
		if near := nearest(v.String(), enum); near != "" {
			hint = `did you mean "` + near + `"?`
		}
		r.wrong(n, path, `"`+brief(v.String())+`" is none of: `+strings.Join(enum, ", "), hint)
	}
}

// defaults gives a value its defaults, field by field; those of an outer struct
// go over those of the structs in it.
func (r *reader) defaults(v reflect.Value) {
	if v.Kind() != reflect.Struct {
		return
	}
	for _, f := range fieldsOf(v.Type()) {
		x := v.FieldByIndex(f.index)
		r.defaults(x)
		if f.fallback == "" {
			continue
		}
		doc, ps := parse("default of "+f.name, []byte(f.fallback))
		if len(ps) == 0 {
			inner := &reader{doc: doc}
			inner.value(doc.body, x, "$")
			ps = inner.problems
		}
		r.problems = append(r.problems, ps...)
	}
}

// entry is one name of a mapping with its value.
type entry struct {
	name  string
	key   ast.Node
	value ast.Node
}

// entries are a mapping's own entries and those merged into it that it does not
// have itself. ok is false if the node is no mapping.
func (r *reader) entries(n ast.Node, path string) (es []entry, ok bool) {
	ps, ok := pairs(n)
	if !ok {
		return nil, false
	}
	first := map[string]ast.Node{}
	var merged []ast.Node
	for _, p := range ps {
		if _, merge := p.Key.(*ast.MergeKeyNode); merge {
			merged = append(merged, p.Value)
			continue
		}
		name, ok := r.name(p.Key, path)
		if !ok {
			continue
		}
		if f, twice := first[name]; twice {
			line, _ := at(f)
			r.wrongAbout(Path(path, name), p.Key, path, `"`+brief(name)+`" is written twice, first in line `+itoa(line), "keep one of them")
			continue
		}
		first[name] = p.Key
		es = append(es, entry{name, p.Key, p.Value})
	}
	for _, m := range merged {
		es = r.merge(es, m, path)
	}
	return es, true
}

// merge adds what a merge key brings: a mapping, or a list of them.
func (r *reader) merge(es []entry, n ast.Node, path string) []entry {
	defer func() { r.depth-- }()
	if !r.enter(n, path) {
		return es
	}
	target := r.doc.follow(n)
	if list, ok := target.(*ast.SequenceNode); ok {
		for _, x := range list.Values {
			es = r.merge(es, x, path)
		}
		return es
	}
	more, ok := r.entries(target, path)
	if !ok {
		r.wrong(n, path, "<< wants a mapping, and this is "+what(target), "write <<: *name, where &name stands before a mapping")
		return es
	}
	for _, e := range more {
		if !slices.ContainsFunc(es, func(x entry) bool { return x.name == e.name }) {
			es = append(es, e)
		}
	}
	return es
}

// name is a key as text: one that YAML takes for anything else must be quoted.
func (r *reader) name(key ast.Node, path string) (string, bool) {
	text, quoted, ok := scalar(key)
	_, isText := key.(*ast.StringNode)
	switch {
	case !ok || isNull(key):
		r.wrongAbout("", key, path, "a name must be text, and this is "+what(key), "put it into quotes")
	case !quoted && isOldBool(text):
		r.wrongAbout("", key, path, text+" is a boolean to many readers of YAML", `write "`+text+`" in quotes`)
	case !quoted && !isText:
		r.wrongAbout("", key, path, "a name must be text, and "+brief(text)+" is none", `write "`+brief(text)+`" in quotes`)
	default:
		return text, true
	}
	return "", false
}
