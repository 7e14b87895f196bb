package source

import (
	"log/slog"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
)

// places are where Prometheus' readers say that a mistake is: line:column: before
// it, or line n: as its YAML package does.
var (
	before = regexp.MustCompile(`^(\d+):(\d+): (?:\d+:\d+: )?`)
	inLine = regexp.MustCompile(`^\s*(?:yaml: )?line (\d+)(?:, column (\d+))?: `)
)

// groups checks a file of Prometheus' rule groups as Prometheus does.
func (l *loader) groups(file string, b []byte) []Problem {
	doc, ps := parse(file, b)
	if len(ps) > 0 {
		return ps
	}
	read, errs := rulefmt.Parse(b, false, model.UTF8Validation, l.promql, slog.New(slog.DiscardHandler))
	if read == nil {
		return doc.strictly(errs)
	}
	for _, err := range errs {
		if text := err.Error(); !strings.Contains(text, "could not parse expression: ") && !strings.Contains(text, "is repeated in the same file") { // told below, with their places
			ps = append(ps, doc.foreign(err.Error(), 1, "")...)
		}
	}
	l.doc, l.spoilt, l.problems = doc, nil, append(l.problems, ps...)
	l.expressions(read)
	return nil
}

// strictly tells why a file is no rule groups. Prometheus' reader stops at the
// first mistake and does not always say where, so ours reads it again; should
// that find nothing, Prometheus' words stand.
func (d *document) strictly(errs []error) []Problem {
	var read rulefmt.RuleGroups
	if ps := d.decode(reflect.ValueOf(&read).Elem()); len(ps) > 0 {
		return ps
	}
	var ps []Problem
	for _, err := range errs {
		ps = append(ps, d.foreign(err.Error(), 1, "")...)
	}
	return ps
}

// expressions places mistakes inside the rules' expressions, and groups of one name.
func (l *loader) expressions(read *rulefmt.RuleGroups) {
	first := map[string]int{}
	for i, g := range read.Groups {
		name := index("$.groups", i) + ".name"
		if f, twice := first[g.Name]; twice {
			l.wrong(name, "the group "+strconv.Quote(g.Name)+" is there already, in line "+itoa(l.doc.line(index("$.groups", f)+".name")), "give it a name of its own")
		} else {
			first[g.Name] = i
		}
		for j, r := range g.Rules {
			if r.Expr != "" {
				l.syntax(index(index("$.groups", i)+".rules", j)+".expr", r.Expr)
			}
		}
	}
}

// Foreign makes problems of an error of another program's reader that was given a
// [Verbatim] part of a document: its lines are the document's. One that names no
// line is placed at what it quotes, or else at the part's name.
func Foreign(file string, b []byte, v Verbatim, err error) []Problem {
	if err == nil {
		return nil
	}
	doc, ps := parse(file, b)
	if len(ps) > 0 {
		return ps
	}
	fallback := max(v.Line, 1)
	if m := quoted.FindStringSubmatch(err.Error()); m != nil {
		fallback = v.quotes(m[1], fallback)
	}
	ps = doc.foreign(err.Error(), fallback, shown(v.Path))
	for i := range ps {
		ps[i].Path = v.Path
	}
	return Sorted(ps)
}

// quoted is what another reader's error quotes.
var quoted = regexp.MustCompile(`"([^"]+)"`)

// quotes is the last line of the part that has a word as a value.
func (v Verbatim) quotes(word string, fallback int) int {
	value := regexp.MustCompile(`(^|[\s:,{\["'])` + regexp.QuoteMeta(word) + `($|[\s,}\]"'])`)
	n := 0
	for line := range strings.Lines(v.Text) {
		n++
		if value.MatchString(strings.TrimRight(line, "\n")) {
			fallback = n
		}
	}
	return fallback
}

// foreign splits the text of another reader's error into one problem a line and
// takes the places out of it.
func (d *document) foreign(text string, fallback int, under string) []Problem {
	text = strings.TrimPrefix(strings.TrimPrefix(text, "yaml: unmarshal errors:\n"), "yaml: construct errors:\n")
	var ps []Problem
	for part := range strings.SplitSeq(text, "\n") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		line, col, rest := fallback, 0, strings.TrimSpace(strings.TrimPrefix(part, "yaml: "))
		if m := before.FindStringSubmatch(part); m != nil {
			line, col, rest = atoi(m[1]), atoi(m[2]), part[len(m[0]):]
		} else if m := inLine.FindStringSubmatch(part); m != nil {
			line, col, rest = atoi(m[1]), atoi(m[2]), part[len(m[0]):]
		}
		if col == 0 && line >= 1 && line <= len(d.lines) {
			col = 1 + len(d.lines[line-1]) - len(strings.TrimLeft(d.lines[line-1], " "))
		}
		ps = append(ps, d.problem(line, col, label(under, plainWords(rest)), ""))
	}
	return ps
}

// plainWords takes out of an error what only the programmers of its reader know.
func plainWords(s string) string {
	if m := misfit.FindStringSubmatch(s); m != nil {
		what := map[string]string{"seq": "a list", "map": "a mapping"}[m[1]]
		if what == "" {
			what = strings.TrimSpace(m[2])
		}
		return what + " does not belong here"
	}
	return goType.ReplaceAllString(s, "")
}

var (
	goType = regexp.MustCompile(` in type [a-zA-Z.]+`)
	misfit = regexp.MustCompile("cannot unmarshal !!(\\w+)( `[^`]*`)? into .*")
)

func atoi(s string) int {
	n, _ := strconv.Atoi(s) // digits by the pattern; "" is 0
	return n
}
