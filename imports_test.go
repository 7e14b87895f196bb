package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// importTable says which of our packages each of them may import; what is not
// listed is forbidden, and so is a package that has no row. A * stands for the
// name of one folder.
func importTable() map[string][]string {
	return map[string][]string{
		".": {
			"alerting", "collector", "collector/*", "collector/elastic/*", "dashboards", "deploy/demo", "rules", "rules/*",
			"scaler", "scaler/*", "scaler/pool/*",
		},
		"rules":          {},
		"rules/source":   {"rules"},
		"rules/forecast": {"rules"},
		"rules/replay":   {"rules", "rules/source", "rules/forecast", "collector/store", "scaler/journal"},
		"rules/shipped":  {},
		"collector": {
			"rules", "collector/exporter", "collector/host", "collector/container", "collector/cassandra",
			"collector/postgres", "collector/haproxy", "collector/nginx", "collector/synthetic",
		},
		"collector/exporter":        {},
		"collector/host":            {"collector/exporter"},
		"collector/container":       {"collector/exporter"},
		"collector/cassandra":       {"collector/exporter"},
		"collector/postgres":        {"collector/exporter"},
		"collector/haproxy":         {"collector/exporter"},
		"collector/nginx":           {"collector/exporter"},
		"collector/synthetic":       {},
		"collector/store":           {"rules"},
		"collector/elastic":         {"rules", "rules/source", "scaler/journal", "collector/elastic/*"},
		"collector/elastic/cluster": {"rules"},
		"collector/elastic/ecs":     {},
		"collector/elastic/setup":   {"rules", "collector/elastic/cluster", "collector/elastic/ecs"},
		"collector/elastic/samples": {"rules", "collector/elastic/cluster", "collector/elastic/ecs"},
		"collector/elastic/views":   {"rules", "rules/source", "collector/elastic/cluster", "collector/elastic/ecs", "collector/elastic/setup"},
		"collector/elastic/events":  {"rules", "scaler/journal", "collector/elastic/cluster", "collector/elastic/ecs"},
		"collector/elastic/query":   {"rules", "collector/elastic/cluster"},
		"collector/elastic/elastictest": {
			"collector/store", "collector/elastic/cluster", "collector/elastic/ecs", "collector/elastic/samples", "collector/elastic/setup",
		},
		"scaler":            {"rules", "rules/forecast", "scaler/journal"},
		"scaler/journal":    {"rules"},
		"scaler/traffic":    {"rules", "scaler", "collector/haproxy"},
		"scaler/pool":       {"rules", "scaler", "scaler/journal", "scaler/traffic", "scaler/pool/*"},
		"scaler/pool/*":     {"rules", "scaler", "scaler/journal", "scaler/pool/transport", "collector/container"},
		"scaler/pool/chaos": {"rules", "scaler", "scaler/journal", "scaler/traffic", "scaler/pool", "scaler/pool/*"},
		"scaler/failover":   {"rules", "scaler/journal", "collector/postgres", "collector/haproxy"},
		"alerting":          {"rules", "scaler/journal"},
		"dashboards":        {"rules", "scaler/journal"},
		"deploy/tools/live": {"rules", "scaler/journal", "scaler/pool", "scaler/pool/*"},
		"deploy/demo":       {"rules", "scaler", "scaler/journal", "scaler/pool/transport", "collector/container"},
	}
}

// testParts are made for tests, which alone may import them; every test may.
func testParts() []string {
	return []string{"deploy/testservers", "collector/elastic/elastictest", "scaler/pool/pooltest", "scaler/pool/emulate"}
}

func TestPackagesImportOnlyWhatTheTableAllows(t *testing.T) {
	for _, f := range sourceFiles(t) {
		for _, imported := range f.imports {
			if why := f.forbids(imported); why != "" {
				t.Errorf("%s imports %s: %s", f.name, imported, why)
			}
		}
	}
}

func TestEveryPackageHasADocComment(t *testing.T) {
	docs := map[string]string{}
	for _, f := range sourceFiles(t) {
		if !f.test {
			docs[f.dir] += f.doc
		}
	}
	for dir, doc := range docs {
		if doc == "" {
			t.Errorf("package in %s has no doc comment", dir)
		}
	}
}

func TestImportTableForbids(t *testing.T) {
	for _, c := range []struct {
		from, to string
		test     bool
		want     string
	}{
		{from: "rules/source/load.go", to: "flyball/rules"},
		{from: "rules/decide.go", to: "flyball/rules/source", want: "flyball/rules may not"},
		{from: "scaler/pool/process/look.go", to: "flyball/scaler"},
		{from: "scaler/pool/pool.go", to: "flyball/scaler/pool/process"},
		{from: "scaler/pool/pool.go", to: "flyball/scaler/pool/pooltest", want: "only tests may"},
		{from: "scaler/pool/pool_test.go", to: "flyball/scaler/pool/pooltest", test: true},
		{from: "scaler/pool/gce/gce.go", to: "flyball/scaler/pool/emulate", want: "only tests may"},
		{from: "scaler/pool/gce/gce.go", to: "flyball/scaler/pool/digitalocean", want: "flyball/scaler/pool/gce may not"},
		{from: "emulate.go", to: "flyball/scaler/pool/emulate"},
		{from: "emulate.go", to: "flyball/scaler/pool/pooltest", want: "only tests may"},
		{from: "scaler/pool/pool_test.go", to: "flyball/scaler/pool", test: true},
		{from: "rules/decide_test.go", to: "flyball/scaler", test: true, want: "flyball/rules may not"},
		{from: "appliance.go", to: "flyball/scaler/pool"},
		{from: "appliance.go", to: "flyball/app/web", want: "flyball may not"},
		{from: "scaler/loop.go", to: "flyball", want: "nobody may"},
		{from: "common/common.go", to: "flyball/rules", want: "no row"},
		{from: "app/web/web.go", to: "flyball/app/product"},
		{from: "app/web/web.go", to: "flyball/rules", want: "a module of its own"},
		{from: "app/web/web.go", to: "flyball/deploy/testservers", want: "a module of its own"},
		{from: "app/web/web_test.go", to: "flyball/deploy/testservers", test: true},
	} {
		f := sourceFile{name: c.from, dir: path.Dir(c.from), test: c.test}
		if strings.HasPrefix(c.from, "app/") {
			f.module = "app"
		}
		if got := f.forbids(c.to); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s imports %s: got %q, want %q", c.from, c.to, got, c.want)
		}
	}
}

// A sourceFile is what the tests above know of one Go file. Paths are relative
// to the root, with slashes.
type sourceFile struct {
	name    string
	dir     string
	module  string // folder of the nested module that it is in; "" is the root's
	test    bool
	doc     string
	imports []string // those of ours, as they are written
}

// forbids says why the file may not import one of our packages; "" if it may.
func (f sourceFile) forbids(imported string) string {
	if f.module != "" {
		own := "flyball/" + f.module
		servers := imported == "flyball/deploy/testservers" && (f.test || f.module == "deploy/tools/bench")
		if imported == own || strings.HasPrefix(imported, own+"/") || servers {
			return ""
		}
		return own + " is a module of its own that knows nothing of the others"
	}
	to := strings.TrimPrefix(strings.TrimPrefix(imported, "flyball"), "/")
	isTo := func(pattern string) bool { return matches(pattern, to) }
	allowed, listed := f.row()
	switch {
	case to == "":
		return "nobody may import main"
	case !listed:
		return f.dir + " has no row in the import table"
	case slices.Contains(testParts(), to):
		if f.test || to == f.dir || f.dir == "." && to == "scaler/pool/emulate" {
			return "" // flyball emulate serves it by hand
		}
		return "only tests may"
	case f.test && to == f.dir, slices.ContainsFunc(allowed, isTo):
		return ""
	}
	return path.Join("flyball", f.dir) + " may not"
}

// row finds the file's package in the table: by its name, else by a pattern.
func (f sourceFile) row() (allowed []string, listed bool) {
	table := importTable()
	if allowed, listed = table[f.dir]; listed {
		return allowed, true
	}
	for pattern, allowed := range table {
		if matches(pattern, f.dir) {
			return allowed, true
		}
	}
	return nil, false
}

func matches(pattern, dir string) bool {
	ok, err := path.Match(pattern, dir)
	return ok && err == nil
}

// sourceFiles reads the package clause, its comment and the imports of every Go
// file below the root, nested modules included.
func sourceFiles(t *testing.T) []sourceFile {
	t.Helper()
	var files []sourceFile
	module := map[string]string{".": ""} // by folder
	err := filepath.WalkDir(".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			if name != "." && (strings.HasPrefix(e.Name(), ".") || slices.Contains([]string{"testdata", "bin", "data"}, e.Name())) {
				return filepath.SkipDir
			}
			module[name] = module[filepath.Dir(name)]
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil && name != "." {
				module[name] = filepath.ToSlash(name)
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		files = append(files, newSourceFile(filepath.ToSlash(name), module[filepath.Dir(name)], parsed))
		return nil
	})
	if err != nil {
		t.Fatalf("reading the tree: %v", err)
	}
	return files
}

func newSourceFile(name, module string, parsed *ast.File) sourceFile {
	f := sourceFile{
		name: name, dir: path.Dir(name), module: module,
		test: strings.HasSuffix(name, "_test.go"), doc: parsed.Doc.Text(),
	}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err == nil && (imported == "flyball" || strings.HasPrefix(imported, "flyball/")) {
			f.imports = append(f.imports, imported)
		}
	}
	return f
}
