package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// mostSearch bounds a search, in bytes.
const mostSearch = 64 << 10

// searchBody is a search: a mapping, or a text that is JSON. It is kept as JSON,
// with names sorted and no white space, so that it is the same however it was
// written.
type searchBody string

// JSONSchema describes what is read.
func (searchBody) JSONSchema() map[string]any {
	return map[string]any{"type": []any{"object", "string"}}
}

// fromNode is a type that reads any YAML itself.
type fromNode interface {
	readNode(r *reader, n ast.Node, path string)
}

func (b *searchBody) readNode(r *reader, n ast.Node, path string) {
	before := len(r.problems)
	var v any
	if text, _, ok := scalar(n); ok {
		v = r.jsonText(n, text, path)
	} else {
		v = r.json(n, path)
	}
	if len(r.problems) > before {
		return
	}
	if _, ok := v.(map[string]any); !ok {
		r.wrong(n, path, "wants a search, and this is "+what(n), "write it as a mapping, or as JSON after |")
		return
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		r.wrong(n, path, "is no search: "+err.Error(), "")
		return
	}
	if out.Len() > mostSearch {
		r.wrong(n, path, "is larger than 64 KiB", "a search for a signal has a query and a few aggregations")
		return
	}
	*b = searchBody(strings.TrimSpace(out.String()))
}

// jsonText reads a text that is JSON.
func (r *reader) jsonText(n ast.Node, text, path string) any {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the search")
		}
	}
	if err == nil {
		return v
	}
	offset := len(text)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = int(syntax.Offset) - 1
	} else if !errors.Is(err, io.ErrUnexpectedEOF) {
		offset = int(d.InputOffset())
	}
	line, col := r.doc.inside(path, text, offset)
	p := r.doc.problem(line, col, label(path, "is no JSON: "+err.Error()), "write the search as a mapping, or as JSON after |")
	p.Path = path
	r.problems = append(r.problems, p)
	return nil
}

// json is a value as JSON has it.
func (r *reader) json(n ast.Node, path string) any {
	defer func() { r.depth-- }()
	if !r.enter(n, path) {
		return nil
	}
	if alias, ok := n.(*ast.AliasNode); ok && r.doc.follow(n) == nil {
		r.wrong(n, path, "no anchor &"+aliasName(alias)+" stands before this", "write the value itself")
		return nil
	}
	n = r.doc.follow(n)
	if isNull(n) {
		return nil
	}
	if list, ok := n.(*ast.SequenceNode); ok {
		out := make([]any, 0, len(list.Values))
		for i, x := range list.Values {
			out = append(out, r.json(x, index(path, i)))
		}
		return out
	}
	if es, ok := r.entries(n, path); ok {
		out := make(map[string]any, len(es))
		for _, e := range es {
			out[e.name] = r.json(e.value, Path(path, e.name))
		}
		return out
	}
	return r.jsonScalar(n, path)
}

// jsonScalar is a text, a number or a boolean.
func (r *reader) jsonScalar(n ast.Node, path string) any {
	text, quoted, ok := scalar(n)
	_, isText := n.(*ast.StringNode)
	switch {
	case !ok:
		r.wrong(n, path, what(n)+" has no form in JSON", "leave it out")
	case quoted:
		return text
	case isOldBool(text):
		r.wrong(n, path, text+" is a boolean to many readers of YAML", `write true or false, or "`+text+`" in quotes`)
	case strings.EqualFold(text, "true"), strings.EqualFold(text, "false"):
		return strings.EqualFold(text, "true")
	case isText:
		return text
	case json.Valid([]byte(text)):
		return json.Number(text)
	default:
		r.wrong(n, path, brief(text)+" is no number of JSON", "write digits alone, or put it into quotes")
	}
	return nil
}

// aggregations are the names of the search's aggregations; known is false if there
// is no search.
func (b searchBody) aggregations() (names []string, known bool) {
	var body struct {
		Aggs         map[string]json.RawMessage `json:"aggs"`
		Aggregations map[string]json.RawMessage `json:"aggregations"`
	}
	if b == "" || json.Unmarshal([]byte(b), &body) != nil {
		return nil, false
	}
	names = slices.AppendSeq(names, maps.Keys(body.Aggs))
	names = slices.AppendSeq(names, maps.Keys(body.Aggregations))
	slices.Sort(names)
	return names, true
}
