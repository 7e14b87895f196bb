package source

import (
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"flyball/rules"
)

// Path is the path of a field below another: Path("$.pools", "web", "drain") is
// $.pools.web.drain. Names that hold a dot, bracket or quote are put into quotes.
func Path(parent string, names ...string) string {
	for _, n := range names {
		if n == "" || strings.ContainsAny(n, ".[]'\" ") {
			n = "'" + strings.ReplaceAll(n, "'", "''") + "'"
		}
		parent += "." + n
	}
	return parent
}

// index is the path of a list's entry.
func index(parent string, i int) string { return parent + "[" + strconv.Itoa(i) + "]" }

// shown is a path as people read it.
func shown(path string) string { return strings.TrimPrefix(strings.TrimPrefix(path, "$"), ".") }

// split takes a path apart into names; an index is a name in brackets.
func split(path string) []string {
	var names []string
	rest := strings.TrimPrefix(path, "$")
	for rest != "" {
		var name string
		switch {
		case strings.HasPrefix(rest, ".'"):
			name, rest = unquote(rest[2:])
		case rest[0] == '[':
			end := strings.IndexByte(rest, ']') + 1
			if end == 0 {
				end = len(rest)
			}
			name, rest = rest[:end], rest[end:]
		default:
			rest = strings.TrimPrefix(rest, ".")
			end := strings.IndexAny(rest, ".[")
			if end < 0 {
				end = len(rest)
			}
			name, rest = rest[:end], rest[end:]
		}
		names = append(names, name)
	}
	return names
}

// unquote reads up to the closing quote.
func unquote(s string) (name, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\'' {
			b.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == '\'' {
			b.WriteByte('\'')
			i++
			continue
		}
		return b.String(), s[i+1:]
	}
	return b.String(), ""
}

// find goes down a path as far as the document does. key is the last name that
// was found, nil for the root; whole says whether it is the path's last.
func (d *document) find(path string) (key, value ast.Node, whole bool) {
	value = d.body
	for _, name := range split(path) {
		k, v := d.child(d.follow(value), name, mostDepth)
		if v == nil && k == nil {
			return key, value, false
		}
		if k != nil {
			key = k
		} else {
			key = v // an entry of a list
		}
		value = v
	}
	return key, value, true
}

// child is a mapping's value by name, with its key, or a list's entry by index.
func (d *document) child(n ast.Node, name string, depth int) (key, value ast.Node) {
	if list, ok := n.(*ast.SequenceNode); ok {
		i, err := strconv.Atoi(strings.Trim(name, "[]"))
		if err != nil || i < 0 || i >= len(list.Values) {
			return nil, nil
		}
		return nil, list.Values[i]
	}
	ps, _ := pairs(n)
	for _, p := range ps {
		if text, _, ok := scalar(p.Key); ok && text == name {
			return p.Key, p.Value
		}
	}
	for _, p := range ps {
		if _, merge := p.Key.(*ast.MergeKeyNode); merge && depth > 0 {
			if k, v := d.child(d.follow(p.Value), name, depth-1); k != nil {
				return k, v
			}
		}
	}
	return nil, nil
}

// place is where a path stands: at its value if that is short, at its name if the
// value is a mapping or nothing, at the last name that exists if it is not there.
func (d *document) place(path string) (line, col int) {
	key, value, whole := d.find(path)
	if value != nil && whole {
		if _, isMap := pairs(value); !isMap && !isNull(value) {
			return at(value)
		}
	}
	if key != nil {
		return at(key)
	}
	return at(d.body)
}

// line is the line that a path's name stands in.
func (d *document) line(path string) int {
	key, _, _ := d.find(path)
	line, _ := at(key)
	return line
}

// fault is a problem at a path.
func (d *document) fault(path, text, hint string) Problem {
	line, col := d.place(path)
	p := d.problem(line, col, label(path, text), hint)
	p.Path = path
	return p
}

// label puts the path before a text.
func label(path, text string) string {
	if p := shown(path); p != "" {
		return p + ": " + text
	}
	return text
}

// Place finds the lines and columns of faults in the document that they are
// about. A path that is not in the document is placed at the last part of it that
// is. A document that cannot be read gives its own problems instead.
func Place(file string, b []byte, fs []rules.Fault) []Problem {
	if len(fs) == 0 {
		return nil
	}
	d, ps := parse(file, b)
	if len(ps) > 0 {
		return ps
	}
	for _, f := range fs {
		ps = append(ps, d.fault(f.Path, f.Text, f.Hint))
	}
	return Sorted(ps)
}

// key is the name that a path ends with.
func (l *loader) key(path string) ast.Node {
	key, _, _ := l.doc.find(path)
	return key
}
