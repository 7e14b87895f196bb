package source

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// query checks the PromQL expression at a path: its syntax, that it answers an
// instant vector, that it reads series at all, and that a pool it names exists.
// Mistakes are placed inside the expression.
func (l *loader) query(path, expr string) {
	if Spoilt(l.spoilt, path) {
		return
	}
	if strings.TrimSpace(expr) == "" {
		l.wrong(path, "is empty", "write a PromQL expression")
		return
	}
	if parsed := l.syntax(path, expr); parsed != nil {
		l.answers(path, expr, parsed)
	}
}

// syntax parses the expression at a path; nil if it has mistakes.
func (l *loader) syntax(path, expr string) parser.Expr {
	parsed, err := l.promql.ParseExpr(expr)
	var bad parser.ParseErrors
	switch {
	case err == nil:
		return parsed
	case errors.As(err, &bad):
		for _, e := range bad {
			l.inside(path, expr, int(e.PositionRange.Start), "is no PromQL: "+e.Err.Error(), "")
		}
	default:
		l.wrong(path, "is no PromQL: "+err.Error(), "")
	}
	return nil
}

// answers checks what a parsed expression answers, and from what.
func (l *loader) answers(path, expr string, e parser.Expr) {
	switch e.Type() {
	case parser.ValueTypeVector:
	case parser.ValueTypeMatrix:
		l.inside(path, expr, int(e.PositionRange().Start), "answers a range of samples, and one value a series is wanted", "wrap it, e.g. rate(...) or avg_over_time(...)")
		return
	case parser.ValueTypeScalar:
		l.inside(path, expr, int(e.PositionRange().Start), "answers a bare number, and series are wanted: their samples tell age and coverage", "leave scalar() out, or read a metric")
		return
	default:
		l.inside(path, expr, int(e.PositionRange().Start), "answers a "+parser.DocumentedType(e.Type())+", and series are wanted", "read a metric")
		return
	}
	selectors := 0
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			selectors++
			l.selector(path, expr, s)
		}
		return nil
	})
	if selectors == 0 {
		l.wrong(path, "reads no series, so nothing tells its age and coverage", "read a metric, e.g. up{pool=\"web\"}")
	}
}

// selector checks that a pool that is named is one that exists.
func (l *loader) selector(path, expr string, s *parser.VectorSelector) {
	if l.known.Pools == nil {
		return
	}
	for _, m := range s.LabelMatchers {
		if m.Name != "pool" || m.Type != labels.MatchEqual || m.Value == "" {
			continue
		}
		if _, ok := l.known.Pools[m.Value]; !ok {
			l.inside(path, expr, int(s.PosRange.Start), `reads the pool "`+brief(m.Value)+`", and none of that name is configured`, l.meantPool(m.Value))
		}
	}
}

// inside notes a mistake at an offset of a text.
func (l *loader) inside(path, text string, offset int, what, hint string) {
	line, col := l.doc.inside(path, text, offset)
	l.problems = append(l.problems, l.doc.problem(line, col, label(path, what), hint))
}

// inside is where an offset, in bytes, of a scalar's text stands in the document.
// However the text was written (plain, quoted, folded or as a block), YAML moves
// white space only and writes the rest in order, but for escapes, which are
// skipped over.
func (d *document) inside(path, text string, offset int) (line, col int) {
	_, value, _ := d.find(path)
	value = d.follow(value)
	if value == nil {
		return d.place(path)
	}
	line, col = at(value)
	if _, block := value.(*ast.LiteralNode); block {
		line, col = line+1, 1
	} else if _, quoted, _ := scalar(value); quoted {
		col++
	}
	offset = min(max(offset, 0), len(text))
	for len(text) > offset && offset > 0 && !utf8.RuneStart(text[offset]) {
		offset--
	}
	c := cursor{lines: d.lines, line: line - 1, col: col - 1}
	for _, r := range text[:offset] {
		if !unicode.IsSpace(r) {
			c.to(r)
			c.col++
		}
	}
	for _, r := range text[offset:] {
		if !unicode.IsSpace(r) {
			c.to(r)
			break
		}
	}
	return min(c.line, len(d.lines)-1) + 1, c.col + 1
}

// cursor is a place in lines; both count from 0, col in characters.
type cursor struct {
	lines     []string
	line, col int
}

// to goes on to the next character that is r; it stays if there is none.
func (c *cursor) to(r rune) {
	line, col := c.line, c.col
	for ; line < len(c.lines); line, col = line+1, 0 {
		rs := []rune(c.lines[line])
		for ; col < len(rs); col++ {
			if rs[col] == r {
				c.line, c.col = line, col
				return
			}
		}
	}
}
