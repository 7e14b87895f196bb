package rules

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Path leads to a part of an answer that is JSON. It is written as names with
// dots between them, and entries of lists by their number, from 0:
//
//	aggregations.load.value
//	aggregations.by.buckets[*].cpu.value
//	aggregations.p.values['99.0']
//	hits.hits[0]._source['host.name']
//
// [*] stands for each entry of a list and occurs once at the most. A name that
// holds anything but letters, digits and _-@$ is written in brackets and quotes,
// where two quotes stand for one.
type Path struct {
	steps []step
}

// A step is a name, an index, or every entry.
type step struct {
	name  string
	index int
	kind  stepKind
}

type stepKind int

const (
	toName stepKind = iota
	toEntry
	toEach
)

// mostPath bounds a path, in bytes.
const mostPath = 500

// A PathError is a mistake in a path.
type PathError struct {
	At   int    // where it is, in bytes
	Text string // what is wrong
}

// Error says what is wrong, and where.
func (e *PathError) Error() string { return e.Text + " (at character " + strconv.Itoa(e.At+1) + ")" }

// ParsePath reads a path. The error is a [*PathError].
func ParsePath(s string) (Path, error) {
	p := pathParser{text: s}
	if len(s) > mostPath {
		return Path{}, p.wrong(mostPath, "the path is too long")
	}
	for first := true; first || p.at < len(s); first = false {
		if err := p.step(first); err != nil {
			return Path{}, err
		}
	}
	return Path{p.steps}, nil
}

// pathParser reads a path from left to right.
type pathParser struct {
	text  string
	at    int
	steps []step
	each  bool // a [*] was read
}

func (p *pathParser) wrong(at int, text string) error { return &PathError{at, text} }

// step reads one step, with the dot before it unless it is the first.
func (p *pathParser) step(first bool) error {
	if p.at < len(p.text) && p.text[p.at] == '[' {
		return p.bracket()
	}
	if !first {
		if p.text[p.at] != '.' {
			return p.wrong(p.at, "a dot or a bracket is missing")
		}
		p.at++
	}
	end := p.at
	for end < len(p.text) && isNameByte(p.text[end]) {
		end++
	}
	switch {
	case end > p.at:
		p.steps = append(p.steps, step{name: p.text[p.at:end]})
		p.at = end
		return nil
	case p.at < len(p.text) && !strings.ContainsRune(".[]", rune(p.text[p.at])):
		return p.wrong(p.at, "a name with such a character is written in brackets and quotes, e.g. ['99.0']")
	}
	return p.wrong(p.at, "a name is missing")
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_-@$", c) >= 0
}

// bracket reads [*], [3] or ['a name'].
func (p *pathParser) bracket() error {
	open := p.at
	p.at++
	if p.at < len(p.text) && p.text[p.at] == '\'' {
		return p.quoted(open)
	}
	length := strings.IndexByte(p.text[p.at:], ']')
	if length < 0 {
		return p.wrong(open, "the bracket is not closed")
	}
	inside := p.text[p.at : p.at+length]
	p.at += length + 1
	if inside == "*" {
		if p.each {
			return p.wrong(open, "a second [*]: values are read from one list")
		}
		p.each = true
		p.steps = append(p.steps, step{kind: toEach})
		return nil
	}
	n, err := strconv.ParseUint(inside, 10, 31)
	if err != nil {
		return p.wrong(open, "a bracket holds *, the number of an entry, or a name in quotes")
	}
	p.steps = append(p.steps, step{kind: toEntry, index: int(n)})
	return nil
}

// quoted reads a name in quotes and the closing bracket.
func (p *pathParser) quoted(open int) error {
	var name strings.Builder
	for i := p.at + 1; i < len(p.text); i++ {
		switch {
		case p.text[i] != '\'':
			name.WriteByte(p.text[i])
		case strings.HasPrefix(p.text[i:], "''"):
			name.WriteByte('\'')
			i++
		case strings.HasPrefix(p.text[i:], "']"):
			p.at = i + 2
			p.steps = append(p.steps, step{name: name.String()})
			return nil
		default:
			return p.wrong(i, "the bracket is not closed after the quote")
		}
	}
	return p.wrong(open, "the quote is not closed")
}

// Each splits the path at its [*]: how the list is reached, and how each entry
// goes on. ok is false if there is none.
func (p Path) Each() (list, entry Path, ok bool) {
	for i, s := range p.steps {
		if s.kind == toEach {
			return Path{p.steps[:i]}, Path{p.steps[i+1:]}, true
		}
	}
	return p, Path{}, false
}

// Name is the i-th step, from 0, if it is a name; else "".
func (p Path) Name(i int) string {
	if i < len(p.steps) && p.steps[i].kind == toName {
		return p.steps[i].name
	}
	return ""
}

// Beside is the path to what stands beside its end, by name.
func (p Path) Beside(name string) Path {
	steps := slices.Clone(p.steps[:max(0, len(p.steps)-1)])
	return Path{append(steps, step{name: name})}
}

// errNotThere means that a path leads nowhere in an answer.
var errNotThere = errors.New("is not in the answer")

// In follows the path through JSON as package encoding/json decodes it: maps,
// slices and plain values. The path has no [*].
func (p Path) In(v any) (any, error) {
	for i, s := range p.steps {
		next, ok := s.in(v)
		if !ok {
			return nil, fmt.Errorf("%s %w", Path{p.steps[:i+1]}, errNotThere)
		}
		v = next
	}
	return v, nil
}

func (s step) in(v any) (any, bool) {
	switch s.kind {
	case toName:
		m, _ := v.(map[string]any)
		next, ok := m[s.name]
		return next, ok
	case toEntry:
		if l, ok := v.([]any); ok && s.index < len(l) {
			return l[s.index], true
		}
	}
	return nil, false
}

// String is the path as it is written.
func (p Path) String() string {
	var b strings.Builder
	for _, s := range p.steps {
		switch {
		case s.kind == toEach:
			b.WriteString("[*]")
		case s.kind == toEntry:
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		case s.name == "" || strings.ContainsFunc(s.name, func(r rune) bool { return r > 127 || !isNameByte(byte(r)) }):
			b.WriteString("['" + strings.ReplaceAll(s.name, "'", "''") + "']")
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.name)
		}
	}
	return b.String()
}
