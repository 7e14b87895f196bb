package views

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"flyball/rules/source"
)

var update = flag.Bool("update", false, "write what is told of bad files")

// told is what people read of problems.
func told(ps []source.Problem) string {
	text := strings.TrimPrefix(source.Problems(ps).Error()+"\n", "\n")
	return strings.ReplaceAll(text, "testdata/bad/", "")
}

func TestEveryMistakeIsToldWithItsPlaceAndAHint(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.views.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		vs, ps := Load(Config{Shipped: true, Files: []string{file}})
		if len(vs) > 0 {
			t.Errorf("%s: %d views in spite of problems", file, len(vs))
		}
		want := strings.TrimSuffix(file, ".views.yaml") + ".want"
		if *update {
			if err := os.WriteFile(want, []byte(told(ps)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(read(t, want), told(ps)); d != "" {
			t.Errorf("%s (-want +got):\n%s", file, d)
		}
	}
}

func TestFilesThatCannotBeReadAndViewsOfTwoFilesAreTold(t *testing.T) {
	again := filepath.Join(t.TempDir(), "again.views.yaml")
	if err := os.WriteFile(again, []byte("views: {app.workers: {when: up, fields: {app.x: {query: up}}}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, ps := Load(Config{Files: []string{"testdata/good/app.views.yaml", again, "testdata/none.views.yaml"}})
	got := told(ps)
	for _, want := range []string{
		"again.views.yaml:1:9: views.'app.workers': is in testdata/good/app.views.yaml, too",
		"testdata/none.views.yaml: cannot be read: no such file or directory",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s lacks %q", got, want)
		}
	}
	if len(ps) != 2 {
		t.Errorf("%d problems, want 2:\n%s", len(ps), got)
	}
}

func TestAUsersFileAddsViewsAndReplacesShippedOnes(t *testing.T) {
	c := Config{Shipped: true, Files: []string{"testdata/good/app.views.yaml"}, Datasets: []string{"app.*", "system.l*"}}
	vs, ps := Load(c)
	if len(ps) > 0 {
		t.Fatal(source.Problems(ps))
	}
	vs = c.Select(vs)
	var got []string
	for _, v := range vs {
		got = append(got, v.Name+" "+v.Dataset+" "+v.Module+" "+v.Metricset)
	}
	want := []string{"app.workers app.workers app workers", "app.workers.requests app.workers shop requests", "system.load system.load system load"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("views (-want +got):\n%s", d)
	}
	if len(vs[2].Fields) != 1 {
		t.Errorf("system.load has %d fields, want the user's one", len(vs[2].Fields))
	}
	if d := cmp.Diff(map[string]Constant{"app.kind": {"worker", keyword}, "app.generation": {"3", long}}, vs[0].Set); d != "" {
		t.Errorf("constants (-want +got):\n%s", d)
	}
	if vs, ps := Load(Config{}); len(vs)+len(ps) > 0 {
		t.Errorf("no files and none shipped: %d views, %v", len(vs), ps)
	}
}

func TestConfigurationsMistakesAreToldAndFilesAreBelowItsFolder(t *testing.T) {
	c := Config{Every: model.Duration(time.Millisecond), Datasets: []string{"docker.*", "[", ""}, Except: []string{"a[", "docker.cpu"}, Files: []string{"a.views.yaml", "/etc/b.views.yaml"}}
	c.Resolve("/conf")
	if d := cmp.Diff([]string{"/conf/a.views.yaml", "/etc/b.views.yaml"}, c.Files); d != "" {
		t.Error(d)
	}
	var paths []string
	for _, f := range c.Validate() {
		paths = append(paths, f.Path)
		if f.Text == "" || f.Hint == "" {
			t.Errorf("fault %+v", f)
		}
	}
	if d := cmp.Diff([]string{".every", ".datasets[1]", ".datasets[2]", ".except[0]"}, paths); d != "" {
		t.Errorf("faults (-want +got):\n%s", d)
	}
	if fs := (Config{Every: model.Duration(time.Second)}).Validate(); fs != nil {
		t.Errorf("faults %v", fs)
	}
}

func TestDatasetsAreLeftOutByNameAndByPattern(t *testing.T) {
	vs, ps := Load(Config{Shipped: true})
	if len(ps) > 0 {
		t.Fatal(source.Problems(ps))
	}
	c := Config{Datasets: []string{"docker.*", "system.cpu", "system.l*"}, Except: []string{"system.load", "docker.*io"}}
	got := map[string]bool{}
	for _, v := range c.Select(vs) {
		got[v.Dataset] = true
	}
	want := map[string]bool{"docker.cpu": true, "docker.memory": true, "docker.network": true, "system.cpu": true}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("datasets (-want +got):\n%s", d)
	}
	if n := len((Config{Except: []string{"system.*"}}).Select(vs)); n == 0 || n >= len(vs) {
		t.Errorf("%d of %d views are left", n, len(vs))
	}
}

func TestAPatternThatFitsNoDatasetIsAFaultWithWhatWasMeant(t *testing.T) {
	vs, ps := Load(Config{Shipped: true})
	if len(ps) > 0 {
		t.Fatal(source.Problems(ps))
	}
	c := Config{Datasets: []string{"system.cpu", "system.cppu", "sytem.*", "["}, Except: []string{"docker.*", "haproxy.stats", "shop.queue"}}
	var got []string
	for _, f := range c.Unknown(vs) {
		hint, _, _ := strings.Cut(f.Hint, ", ")
		got = append(got, f.Path+": "+f.Text+"; "+hint)
	}
	want := []string{
		`.datasets[1]: "system.cppu" fits no dataset; did you mean "system.cpu"?`,
		`.datasets[2]: "sytem.*" fits no dataset; did you mean "system.*"?`,
		`.except[1]: "haproxy.stats" fits no dataset; did you mean "haproxy.stat"?`,
		`.except[2]: "shop.queue" fits no dataset; known here: cassandra.metrics`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("faults (-want +got):\n%s", d)
	}
}

func TestTheSchemaKnowsWhatFilesHave(t *testing.T) {
	for _, word := range []string{`"views"`, `"when"`, `"micros"`, `"query"`} {
		if !strings.Contains(string(Schema()), word) {
			t.Errorf("the schema lacks %s", word)
		}
	}
}

func FuzzFile(f *testing.F) {
	for _, name := range []string{"testdata/good/app.views.yaml", "testdata/bad/fields.views.yaml", "testdata/bad/queries.views.yaml", "shipped/system.views.yaml"} {
		f.Add(read(f, name))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(dir, "x.views.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		vs, ps := Load(Config{Files: []string{file}})
		if len(ps) > 0 && len(vs) > 0 {
			t.Error("views in spite of problems")
		}
		for _, v := range vs {
			l := newLayout(v, "default", here, 1, "1m")
			r := &record{columns: make([][]float64, len(l.queries))}
			r.about = l.about(nil, r.labels, nil)
			for i, q := range l.queries {
				r.columns[i] = []float64{0}
				if q.label != "" {
					r.texts = append(r.texts, "word")
				}
			}
			if body, ok := l.document(nil, r, at(0), 0, nil); ok {
				flat(t, body)
			}
		}
	})
}
