package source

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Verbatim is a part of a document that another program's own reader reads, as
// YAML of its own. Text has the document's lines, those outside of the part
// empty, so that line numbers in that reader's errors are right.
type Verbatim struct {
	Text string
	Line int // of the part's name; 0 if it is not in the document
	Path string
}

// verbatim is a type that wants its YAML as it stands.
type verbatim interface{ setVerbatim(v Verbatim) }

func (v *Verbatim) setVerbatim(x Verbatim) { *v = x }

// verbatim cuts a part out. A block is moved to the left by its indentation; what
// is written in braces begins where it begins and ends with them.
func (d *document) verbatim(path string, n ast.Node) Verbatim {
	v := Verbatim{Line: d.line(path), Path: path}
	line, col := at(n)
	root, _ := d.body.(*ast.MappingNode)
	if root == nil || root.IsFlowStyle || col <= 1 || strings.Count(path, ".") != 1 {
		v.Text = strings.Repeat("\n", max(line-1, 0)) + n.String() + "\n"
		return v
	}
	end := len(d.lines) + 1
	for _, p := range root.Values {
		if next, _ := at(p.Key); next > v.Line {
			end = min(end, next)
		}
	}
	if mapping, ok := n.(*ast.MappingNode); ok && mapping.IsFlowStyle || line == v.Line {
		col = 1
	}
	out := make([]string, 0, end)
	for i := 1; i < end; i++ {
		switch text := d.lines[i-1]; {
		case i < line:
			out = append(out, "")
		case i == v.Line:
			_, begin := at(n)
			out = append(out, indent(text, begin)+string([]rune(text)[begin-1:]))
		case strings.TrimSpace(text) == "..." || strings.HasPrefix(text, "---"):
			out = append(out, "")
		default:
			out = append(out, outdent(text, col-1))
		}
	}
	v.Text = strings.Join(out, "\n") + "\n"
	return v
}

// outdent takes up to n spaces away.
func outdent(line string, n int) string {
	for range n {
		rest, ok := strings.CutPrefix(line, " ")
		if !ok {
			break
		}
		line = rest
	}
	return line
}
