package source

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"flyball/rules"
)

// Known is what rules are checked against: the configuration that they run under.
type Known struct {
	Pools    map[string]Pool // the configured pools; nil: not known, every pool passes
	Interval time.Duration   // the global scrape interval
	Elastic  bool            // an Elasticsearch is configured, which signals may be read from
}

// A Pool is what a rule needs to know of a configured pool.
type Pool struct {
	Kind    string // its provider, e.g. process
	Limited bool   // each member may use so much CPU and no more
}

// A Set is all that a rules folder holds.
type Set struct {
	Dir    string
	Commit string        // of the Git work tree that the folder is in; "" if none, or if a file differs from it
	Scale  []rules.Scale // sorted by pool
	Groups []string      // paths of the *.rules.yaml, sorted: Prometheus' rule groups
	Files  []string      // all that were read, relative to Dir with slashes, sorted
}

// Load reads a rules folder with the folders in it: *.scale.yaml and
// *.rules.yaml. *_test.yaml and what is hidden or no YAML is passed over; a
// folder that does not exist is empty; a file is a folder of one. With problems
// the set must not be used.
func Load(dir string, k Known) (*Set, []Problem) {
	set := &Set{Dir: dir}
	files, err := list(dir)
	if info, e := os.Stat(dir); e == nil && !info.IsDir() {
		set.Dir, files, err = filepath.Dir(dir), []string{filepath.Base(dir)}, nil
	}
	if err != nil {
		return set, []Problem{{File: dir, Text: "read rules folder: " + err.Error()}}
	}
	l := newLoader(k)
	for _, name := range files {
		l.file(set, name)
	}
	slices.SortFunc(set.Scale, func(a, b rules.Scale) int { return strings.Compare(a.Pool, b.Pool) })
	set.Commit = commit(set.Dir, set.Files)
	for i := range set.Scale {
		set.Scale[i].Commit = set.Commit
	}
	return set, Sorted(l.problems)
}

// list names the YAML files of a folder, relative to it, sorted.
func list(dir string) ([]string, error) {
	root, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var files []string
	err = fs.WalkDir(os.DirFS(root), ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name != "." && strings.HasPrefix(e.Name(), ".") && e.IsDir():
			return fs.SkipDir
		case e.IsDir() || strings.HasPrefix(e.Name(), "."):
			return nil
		}
		if ext := filepath.Ext(name); ext == ".yaml" || ext == ".yml" {
			files = append(files, name)
		}
		return nil
	})
	return files, err
}

// loader reads one file after the other; doc is the one being read.
type loader struct {
	known    Known
	promql   parser.Parser
	doc      *document
	name     string            // of the file, relative to the folder
	first    map[string]string // where each pool's rule is
	spoilt   []Problem         // of the document, found while it was decoded
	problems []Problem
}

func newLoader(k Known) *loader {
	return &loader{known: k, promql: parser.NewParser(parser.Options{}), first: map[string]string{}}
}

// file reads one file by what its name says it is.
func (l *loader) file(set *Set, name string) {
	full := filepath.Join(set.Dir, filepath.FromSlash(name))
	l.name = name
	switch {
	case strings.HasSuffix(name, "_test.yaml"):
		return
	case strings.HasSuffix(name, ".scale.yaml"):
		if b, ok := l.read(full); ok {
			set.Scale = append(set.Scale, l.scaleFile(full, b)...)
		}
	case strings.HasSuffix(name, ".rules.yaml"):
		if b, ok := l.read(full); ok {
			l.problems = append(l.problems, l.groups(full, b)...)
			set.Groups = append(set.Groups, full)
		}
	default:
		l.problems = append(l.problems, Problem{File: full, Text: "is no kind of rule file", Hint: fileHint(name)})
		return
	}
	set.Files = append(set.Files, name)
}

// fileHint is what to do about a file of no known kind.
func fileHint(name string) string {
	switch {
	case strings.HasSuffix(name, ".yml"):
		return "name it " + strings.TrimSuffix(filepath.Base(name), ".yml") + ".yaml, with .scale or .rules before"
	case strings.HasSuffix(name, ".failover.yaml"), strings.HasSuffix(name, ".check.yaml"):
		return "this version does not have such rules yet: take the file away"
	}
	return "name it *.scale.yaml, *.rules.yaml or *_test.yaml"
}

func (l *loader) read(full string) ([]byte, bool) {
	b, err := os.ReadFile(full)
	if err != nil {
		l.problems = append(l.problems, Problem{File: full, Text: err.Error()})
	}
	return b, err == nil
}

// scaleFile reads the rules of one *.scale.yaml. Fields that could not be decoded
// are not judged further: that would find mistakes that are none.
func (l *loader) scaleFile(full string, b []byte) []rules.Scale {
	written, doc, ps := decodeScale(full, b)
	l.doc = doc
	l.problems = append(l.problems, ps...)
	l.spoilt = ps
	var out []rules.Scale
	for _, pool := range sorted(written.Scale) {
		path := Path("$.scale", pool)
		l.checkPool(pool, path)
		out = append(out, l.scale(pool, written.Scale[pool], path))
	}
	return out
}

func decodeScale(full string, b []byte) (out scaleFile, doc *document, ps []Problem) {
	doc, ps = parse(full, b)
	if len(ps) > 0 {
		return out, doc, ps
	}
	ps = doc.decode(reflect.ValueOf(&out).Elem())
	return out, doc, ps
}

// checkPool checks that a rule's pool exists and has no other rule.
func (l *loader) checkPool(pool, path string) {
	line, col := at(l.key(path))
	problem := func(text, hint string) {
		l.problems = append(l.problems, l.doc.problem(line, col, label(path, text), hint))
	}
	if first, twice := l.first[pool]; twice {
		problem("the pool has a rule already, at "+first, "keep one of them")
		return
	}
	l.first[pool] = l.ref(path)
	if _, ok := l.known.Pools[pool]; !ok && l.known.Pools != nil {
		problem("no pool of this name is configured", l.meantPool(pool))
	}
}

// meantPool is the hint for a pool that is not configured.
func (l *loader) meantPool(pool string) string {
	if len(l.known.Pools) == 0 {
		return "configure it under pools in flyball.yaml"
	}
	known := sorted(l.known.Pools)
	if near := nearest(pool, known); near != "" {
		return `did you mean "` + near + `"?`
	}
	return "configured are: " + strings.Join(known, ", ")
}

// wrong notes a mistake at a path, unless what is there was not read.
func (l *loader) wrong(path, text, hint string) {
	if Spoilt(l.spoilt, path) {
		return
	}
	l.problems = append(l.problems, l.doc.fault(path, text, hint))
}

// ref is a path's place for people: file:line, the file relative to the folder.
func (l *loader) ref(path string) string { return l.name + ":" + itoa(l.doc.line(path)) }

// word is what signals and holds may be called: a metric's label and a column's head.
var word = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_-]{0,62}$`)

// checkName checks a signal's or hold's name.
func (l *loader) checkName(name, path string) {
	if !word.MatchString(name) {
		line, col := at(l.key(path))
		l.problems = append(l.problems, l.doc.problem(line, col, label(path, "is no name"), "a name has letters, digits, - and _, begins with a letter, and is shorter than 64"))
	}
}

// sorted are a map's keys in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
