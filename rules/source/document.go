package source

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a document. The parser's time grows with the square of a mapping's
// size and its stack with the depth, so both end long before they hurt.
const (
	mostBytes  = 1 << 20
	mostTokens = 100_000
	mostDepth  = 64
	mostVisits = 200_000 // values read, those behind aliases counted each time
)

// document is one parsed YAML file.
type document struct {
	file    string
	lines   []string
	body    ast.Node // nil if there is nothing in it
	anchors map[string]ast.Node
}

// parse reads a document's syntax. With problems there is no body.
func parse(file string, b []byte) (*document, []Problem) {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	text := strings.ReplaceAll(string(b), "\r\n", "\n")
	d := &document{file: file, lines: strings.Split(text, "\n"), anchors: map[string]ast.Node{}}
	if len(b) > mostBytes {
		return d, []Problem{{File: file, Text: fmt.Sprintf("is larger than %d KiB", mostBytes>>10), Hint: "split it"}}
	}
	if ps := d.checkCharacters(); len(ps) > 0 {
		return d, ps
	}
	f, err := parseTokens(text)
	if err != nil {
		return d, d.syntax(err)
	}
	if ps := d.open(f); len(ps) > 0 {
		d.body = nil
		return d, ps
	}
	return d, nil
}

// open takes the one document of a file and notes its anchors.
func (d *document) open(f *ast.File) []Problem {
	for _, doc := range f.Docs {
		if doc.Body == nil {
			continue
		}
		if _, ok := doc.Body.(*ast.DirectiveNode); ok {
			return []Problem{d.problem(1, 1, "a % directive is not read here", "leave the line out")}
		}
		if d.body != nil {
			line, col := at(doc.Body)
			if doc.Start != nil && doc.Start.Position != nil {
				line, col = doc.Start.Position.Line, doc.Start.Position.Column
			}
			return []Problem{d.problem(line, col, "a second document begins here", "one file holds one document: remove the line ---, or make two files")}
		}
		d.body = doc.Body
	}
	if d.body != nil {
		ast.Walk(anchors(d.anchors), d.body)
	}
	return nil
}

// anchors collects anchors by name.
type anchors map[string]ast.Node

// Visit notes an anchor.
func (a anchors) Visit(n ast.Node) ast.Visitor {
	if x, ok := n.(*ast.AnchorNode); ok && x.Name != nil {
		a[x.Name.GetToken().Value] = x.Value
	}
	return a
}

// errTooLarge and errTooDeep are a document's bounds.
var (
	errTooLarge = errors.New("the document has too many values")
	errTooDeep  = errors.New("the document nests too deep")
)

// parseTokens runs the YAML parser; should it panic, that is an error like any other.
func parseTokens(text string) (f *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			f, err = nil, fmt.Errorf("parse document: %v", r)
		}
	}()
	tokens := lexer.Tokenize(text)
	if len(tokens) > mostTokens {
		return nil, errTooLarge
	}
	if nests(tokens) {
		return nil, errTooDeep
	}
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// nests reports whether brackets, or the entries that begin on one line, nest
// deeper than is read.
func nests(tokens token.Tokens) bool {
	flow, entries, line := 0, 0, 0
	for _, t := range tokens {
		if t.Position != nil && t.Position.Line != line {
			line, entries = t.Position.Line, 0
		}
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			entries++
		}
		if flow > mostDepth || entries > mostDepth && flow == 0 {
			return true
		}
	}
	return false
}

// checkCharacters finds what is no text at all.
func (d *document) checkCharacters() []Problem {
	var ps []Problem
	for i, line := range d.lines {
		col := 0
		for rest := line; rest != ""; {
			r, size := utf8.DecodeRuneInString(rest)
			col++
			switch {
			case r == utf8.RuneError && size == 1:
				ps = append(ps, d.problem(i+1, col, fmt.Sprintf("the byte 0x%02X is not UTF-8", rest[0]), "save the file as UTF-8"))
				rest = ""
			case r < ' ' && r != '\t' || r == 0x7f:
				ps = append(ps, d.problem(i+1, col, fmt.Sprintf("the control character U+%04X is not allowed", r), "remove it"))
				rest = ""
			default:
				rest = rest[size:]
			}
		}
	}
	return ps
}

// syntax turns the parser's error into problems. It stops at the first; tabs in
// indentation are told all at once.
func (d *document) syntax(err error) []Problem {
	var e yaml.Error
	if !errors.As(err, &e) || e.GetToken() == nil || e.GetToken().Position == nil {
		return []Problem{{File: d.file, Text: "is no YAML that can be read: " + err.Error()}}
	}
	pos := e.GetToken().Position
	if ps := d.tabs(pos.Line); len(ps) > 0 {
		return ps
	}
	return []Problem{d.problem(pos.Line, pos.Column, "is no YAML: "+e.GetMessage(), syntaxHint(e.GetMessage()))}
}

// tabs finds the lines that are indented with tabs, if one of them stands at or
// just before the line that the parser stumbled over.
func (d *document) tabs(stumbled int) []Problem {
	var ps []Problem
	near := false
	for i, line := range d.lines {
		space := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		tab := strings.IndexByte(space, '\t')
		if tab < 0 || len(space) == len(line) {
			continue
		}
		near = near || i+1 == stumbled || i == stumbled
		ps = append(ps, d.problem(i+1, tab+1, "a tab indents this line", "YAML is indented with spaces"))
	}
	if !near {
		return nil
	}
	return ps
}

// syntaxHint knows what usually is behind the parser's words.
func syntaxHint(message string) string {
	for _, h := range []struct{ part, hint string }{
		{"mapping value is not allowed", "put a text that holds a colon and a space into quotes, or check the indentation of the next line"},
		{"value is not allowed in this context", "indent the line like its neighbours, and put a colon after the name"},
		{"non-map value is specified", "put a colon and a space after the name"},
		{"unexpected key name", "put a name before the colon"},
		{"sequence end token", "close the list with ]"},
		{"mapping end token", "close the mapping with }"},
		{"could not find flow map", "close the mapping with }"},
		{"could not find map value", "put a colon and a value after the name"},
		{"could not find end character", "close the quote"},
		{"reserved character", "put the text into quotes"},
		{"',' or", "separate the parts with commas, and close the bracket"},
		{"directive", "put the text into quotes"},
	} {
		if strings.Contains(message, h.part) {
			return h.hint
		}
	}
	return ""
}

// printable is a text without what would do something to a terminal, each
// character for one.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && unicode.IsControl(r) {
			return utf8.RuneError
		}
		return r
	}, strings.ReplaceAll(s, "\n", " "))
}

// problem is a mistake at a place of the document. A file is also a way in for
// whoever may write it: nothing of it reaches a terminal unseen, and no secret.
func (d *document) problem(line, col int, text, hint string) Problem {
	line, col = max(line, 1), max(col, 1)
	p := Problem{File: d.file, Line: line, Col: col, Text: printable(text), Hint: printable(hint)}
	if line <= len(d.lines) {
		p.Text = redactAbout(p.Text, d.lines[line-1])
		p.Source = printable(redact(d.lines[line-1]))
	}
	return p
}
