package source

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Problem is one mistake in a file, for people: where it is, what is wrong, and
// what to do.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`   // from 1; 0 is the file as a whole
	Col    int    `json:"column,omitempty"` // from 1, in characters
	Text   string `json:"text"`
	Hint   string `json:"hint,omitempty"`
	Source string `json:"source,omitempty"` // the line
	Path   string `json:"path,omitempty"`   // of the field, e.g. $.pools.web.drain; "" if it is about none
}

// Error is the problem as text of several lines, without a newline at its end:
//
//	flyball.yaml:12:12: pools.web.drain: 30 has no unit
//	   12 |     drain: 30
//	      |            ^
//	  hint: write 30s
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.place() + ": " + p.Text)
	if p.Line > 0 && strings.TrimSpace(p.Source) != "" {
		margin := fmt.Sprintf("%5d", p.Line)
		fmt.Fprintf(&b, "\n%s | %s", margin, p.Source)
		fmt.Fprintf(&b, "\n%s | %s^", strings.Repeat(" ", len(margin)), indent(p.Source, p.Col))
	}
	if p.Hint != "" {
		b.WriteString("\n  hint: " + p.Hint)
	}
	return b.String()
}

func (p Problem) place() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// indent is as wide as what stands before a column: tabs stay tabs.
func indent(line string, col int) string {
	var b strings.Builder
	for _, r := range line {
		if col--; col <= 0 {
			break
		}
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Spoilt reports whether the problems are about a path, or about what is above or
// below it: then its value is not what was written, and judging it would find
// mistakes that are none.
func Spoilt(ps []Problem, path string) bool {
	return slices.ContainsFunc(ps, func(p Problem) bool {
		return p.Path != "" && (below(p.Path, path) || below(path, p.Path))
	})
}

// below reports whether a path is another one or leads on from it.
func below(path, above string) bool {
	rest, ok := strings.CutPrefix(path, above)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// Problems are the mistakes of one or more files, as an error.
type Problems []Problem

// Error is all problems, one below the other.
func (ps Problems) Error() string {
	texts := make([]string, len(ps))
	for i, p := range ps {
		texts[i] = p.Error()
	}
	return strings.Join(texts, "\n")
}

// Sorted returns the problems by file, line and column, each once.
func Sorted(ps []Problem) []Problem {
	out := slices.Clone(ps)
	slices.SortStableFunc(out, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	return slices.Compact(out)
}
