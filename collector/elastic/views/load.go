package views

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"

	"flyball/rules"
	"flyball/rules/source"
)

//go:embed shipped/*.views.yaml
var shipped embed.FS

// Load reads the views of c's files, sorted by name, of which [Config.Select] takes
// those that are to be computed. With problems there are no views.
func Load(c Config) ([]View, []source.Problem) {
	l := loader{promql: parser.NewParser(parser.Options{}), views: map[string]View{}, from: map[string]string{}}
	if c.Shipped {
		l.shipped()
	}
	own := map[string]string{}
	for _, name := range c.Files {
		b, err := os.ReadFile(name)
		if err != nil {
			l.problems = append(l.problems, source.Problem{File: name, Text: "cannot be read: " + cause(err), Hint: "name files of views in views.files"})
			continue
		}
		l.file(name, b, own)
	}
	if len(l.problems) == 0 {
		l.agree()
	}
	if len(l.problems) > 0 {
		return nil, source.Sorted(l.problems)
	}
	var vs []View
	for _, name := range slices.Sorted(maps.Keys(l.views)) {
		vs = append(vs, l.views[name])
	}
	return vs, nil
}

// cause is an error of a file without the file's name.
func cause(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}

// Schema is the JSON Schema of a *.views.yaml.
func Schema() []byte { return source.Schema[table]("*.views.yaml", nil) }

// loader gathers views and the mistakes in them.
type loader struct {
	promql   parser.Parser
	views    map[string]View
	from     map[string]string // files of the views
	problems []source.Problem
}

func (l *loader) shipped() {
	names, err := fs.Glob(shipped, "shipped/*.views.yaml")
	for _, name := range names {
		b, readErr := shipped.ReadFile(name)
		err = errors.Join(err, readErr)
		l.file(name, b, map[string]string{})
	}
	if err != nil {
		l.problems = append(l.problems, source.Problem{File: "shipped", Text: "cannot be read: " + err.Error()})
	}
}

// file reads one file's views. own are the files of those that may not be there twice.
func (l *loader) file(name string, b []byte, own map[string]string) {
	t, ps := source.Decode[table](name, b)
	checks := check{promql: l.promql, spoilt: ps}
	for _, view := range slices.Sorted(maps.Keys(t.Views)) {
		at := source.Path("$.views", view)
		if own[view] != "" {
			checks.wrong(at, fmt.Sprintf("is in %s, too", own[view]), "give it a name of its own; dataset can be the same")
			continue
		}
		own[view] = name
		l.views[view], l.from[view] = t.Views[view].named(view), name
		checks.view(at, l.views[view])
	}
	l.problems = append(l.problems, ps...)
	l.problems = append(l.problems, source.Place(name, b, checks.faults)...)
}

// agree finds fields that two views of one dataset have in different ways.
func (l *loader) agree() {
	type first struct{ view, way string }
	seen := map[string]first{}
	for _, name := range slices.Sorted(maps.Keys(l.views)) {
		v := l.views[name]
		types := v.types()
		for _, field := range slices.Sorted(maps.Keys(types)) {
			way := "a dimension of type " + types[field]
			if _, computed := v.Fields[field]; computed {
				way = "computed, of type " + types[field]
			}
			key := v.Dataset + " " + field
			f, there := seen[key]
			if !there {
				seen[key] = first{name, way}
			} else if f.way != way {
				l.problems = append(l.problems, source.Problem{
					File: l.from[name], Path: source.Path("$.views", name),
					Text: fmt.Sprintf("views.%s: %s is %s, and %s in the view %s of the same dataset", name, field, way, f.way, f.view),
					Hint: "a dataset has each field in one way",
				})
			}
		}
	}
}

// types are the view's fields with their types, those of labels included.
func (v View) types() map[string]string {
	out := map[string]string{}
	for name, f := range v.Fields {
		out[name] = f.Type
	}
	for _, d := range v.By {
		out[d.Field] = d.Type
	}
	for name, c := range v.Set {
		out[name] = c.Type
	}
	return out
}

// check finds the mistakes of one file's views.
type check struct {
	promql parser.Parser
	spoilt []source.Problem // of reading the file
	faults []rules.Fault
}

// wrong notes a mistake, unless what is there could not be read.
func (c *check) wrong(path, text, hint string) {
	if source.Spoilt(c.spoilt, path) {
		return
	}
	c.faults = append(c.faults, rules.Fault{Path: path, Text: text, Hint: hint})
}

func (c *check) view(at string, v View) {
	if !datasetName.MatchString(v.Dataset) {
		c.wrong(at+".dataset", strconv.Quote(v.Dataset)+" is no name of a dataset", "write it like system.cpu: small letters, digits, _ and dots")
	}
	if len(v.Fields) == 0 {
		c.wrong(at+".fields", "is empty", "name a field and its query")
	}
	c.expression(at+".when", v.When)
	taken := names{}
	for _, label := range slices.Sorted(maps.Keys(v.By)) {
		c.name(source.Path(at+".by", label), v.By[label].Field, taken)
	}
	for _, field := range slices.Sorted(maps.Keys(v.Set)) {
		path := source.Path(at+".set", field)
		c.name(path, field, taken)
		if _, err := strconv.ParseInt(v.Set[field].Value, 10, 64); err != nil && v.Set[field].Type == long {
			c.wrong(path+".value", strconv.Quote(v.Set[field].Value)+" is no whole number", "write one, or type: keyword")
		}
	}
	for _, field := range slices.Sorted(maps.Keys(v.Fields)) {
		path := source.Path(at+".fields", field)
		c.name(path, field, taken)
		c.field(path, v, v.Fields[field])
	}
	for _, pair := range taken.nested() {
		c.wrong(at, fmt.Sprintf("%s is a field, and an object in %s", pair[0], pair[1]), "a field cannot be both: rename one of them")
	}
}

func (c *check) field(path string, v View, f Field) {
	c.expression(path+".query", f.Query)
	_, dimension := v.By[f.Label]
	switch {
	case f.Type == keyword && f.Label == "":
		c.wrong(path+".type", "a keyword needs the label that gives it", "write label: and the label's name")
	case f.Type != keyword && f.Label != "":
		c.wrong(path+".label", "only a keyword is given by a label", "write type: keyword, or leave label out")
	case f.Label != "" && dimension:
		c.wrong(path+".label", strconv.Quote(f.Label)+" is a dimension of the view, too", "leave one of the two out")
	case f.Unit == "percent" && f.Type != double:
		c.wrong(path+".type", "a percentage is a share of 1", "write type: double")
	}
}

// expression checks that an expression answers an instant vector.
func (c *check) expression(path, expr string) {
	if strings.TrimSpace(expr) == "" {
		c.wrong(path, "is empty", "write a PromQL expression")
		return
	}
	e, err := c.promql.ParseExpr(asked(expr, sameWidth))
	if err != nil {
		c.wrong(path, "is no PromQL: "+strings.ReplaceAll(err.Error(), sameWidth, rateWord), "")
		return
	}
	if e.Type() != parser.ValueTypeVector {
		c.wrong(path, "answers a "+parser.DocumentedType(e.Type())+", and one value a series is wanted", "e.g. rate(x_total["+rateWord+"])")
	}
}

// sameWidth is a window as wide as the word for it, so that columns stay true.
const sameWidth = "1000s"
