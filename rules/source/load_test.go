package source

import (
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flyball/rules"
)

// folder writes files into a new folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(t *testing.T, dir string, k Known) *Set {
	t.Helper()
	set, ps := Load(dir, k)
	if len(ps) > 0 {
		t.Fatal(Problems(ps))
	}
	return set
}

func TestBuiltInSignalsOfContainersAreSharesOfTheirLimits(t *testing.T) {
	dir := folder(t, map[string]string{"web.scale.yaml": "scale: {web: {min: 2, max: 20, signals: {cpu: 60%, memory: 70%}}}\n"})
	used := `max by (member) (rate(container_cpu_usage_seconds_total{pool="web"}[1m]))`
	memory := `max by (member) (container_memory_working_set_bytes{pool="web"}) / max by (member) (container_memory_limit_bytes{pool="web"})`
	for _, c := range []struct {
		pool Pool
		cpu  string
	}{
		{Pool{Kind: "container"}, used},
		{Pool{Kind: "container", Limited: true}, used + ` / max by (member) (container_cpu_limit_cores{pool="web"})`},
	} {
		set := load(t, dir, Known{Pools: map[string]Pool{"web": c.pool}, Interval: 15 * time.Second})
		for _, s := range set.Scale[0].Signals {
			if want := map[string]string{"cpu": c.cpu, "memory": memory}[s.Name]; s.Expr != want || s.Unit != "percent" {
				t.Errorf("%s of %+v is %s in %s, want %s", s.Name, c.pool, s.Expr, s.Unit, want)
			}
		}
	}
}

func TestTheMemoryOfMachinesElsewhereIsNotThatOfThisOne(t *testing.T) {
	dir := folder(t, map[string]string{"web.scale.yaml": "scale: {web: {min: 2, max: 20, signals: {cpu: 60%, memory: 70%}}}\n"})
	for _, kind := range []string{"digitalocean", "gce", "exec"} {
		_, ps := Load(dir, Known{Pools: map[string]Pool{"web": {Kind: kind}}, Interval: 15 * time.Second})
		if text := Problems(ps).Error(); len(ps) != 1 || !strings.Contains(text, "signals.memory: needs a query") || !strings.Contains(text, `node_memory_MemTotal_bytes{pool="web"}`) {
			t.Errorf("%s: %s", kind, text)
		}
	}
}

func TestFiveLinesAreAWholeRule(t *testing.T) {
	dir := folder(t, map[string]string{"web.scale.yaml": "scale:\n  web:\n    min: 2\n    max: 20\n    signals: {cpu: 60%}\n"})
	cpu := `rate(process_cpu_seconds_total{pool="web"}[1m])`
	want := rules.Scale{
		Pool: "web", Rule: "web.scale.yaml:2", Mode: rules.Observe, Min: 2, Max: 20,
		Signals: []rules.Signal{{
			Name: "cpu", Rule: "web.scale.yaml:5", Query: rules.PromQL{Pool: "web", Expr: cpu}, Expr: cpu,
			Scope: rules.PerMember, Unit: "percent", Target: 0.6,
		}},
		Out:    rules.Pace{Limit: rules.Limit{LargerOf: []rules.Amount{{Percent: 100}, {Members: 4}}, Every: time.Minute}},
		In:     rules.Pace{Window: 5 * time.Minute, Limit: rules.Limit{LargerOf: []rules.Amount{{Percent: 25}, {Members: 1}}, Every: 2 * time.Minute}},
		Warmup: time.Minute, Missing: rules.Missing{Coverage: 0.8, Stale: 45 * time.Second, Hold: 3 * time.Minute},
	}
	set := load(t, dir, under())
	if diff := cmp.Diff([]rules.Scale{want}, set.Scale); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAWholeRuleIsReadAsWritten(t *testing.T) {
	set := load(t, "../../testdata/config/good/whole/rules", under())
	r := set.Scale[0]
	names := map[string]rules.Signal{}
	for _, s := range r.Signals {
		names[s.Name] = s
	}
	if want := (&rules.Band{Above: 0.25, Add: rules.Amount{Percent: 25}, Below: 0.08}); !cmp.Equal(names["p99"].Band, want) || names["p99"].Unit != "seconds" {
		t.Errorf("p99: %+v", names["p99"])
	}
	if s := names["requests"]; s.Share != 80 || s.Rule != "web.scale.yaml:10" {
		t.Errorf("requests: %+v", s)
	}
	if s := names["memory"]; s.Target != 0.7 || !strings.Contains(s.Expr, machine) {
		t.Errorf("memory: %+v", s)
	}
	if len(r.Holds) != 1 || r.Holds[0].Above != 0.9 || r.Holds[0].For != time.Minute || r.Holds[0].Forbid != rules.DirOut {
		t.Errorf("holds: %+v", r.Holds)
	}
	if r.Missing.AtLeast != 6 {
		t.Errorf("at least %d", r.Missing.AtLeast)
	}
	if diff := cmp.Diff([]string{"alerts.rules.yaml", "web.scale.yaml"}, set.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestAPartOfAPaceKeepsTheRestOfItsDefaults(t *testing.T) {
	dir := folder(t, map[string]string{"web.scale.yaml": "scale:\n  web:\n    min: 2\n    max: 20\n    signals: {cpu: 60%}\n    in: {limit: {every: 10m}}\n"})
	r := load(t, dir, under()).Scale[0]
	want := rules.Pace{Window: 5 * time.Minute, Limit: rules.Limit{LargerOf: []rules.Amount{{Percent: 25}, {Members: 1}}, Every: 10 * time.Minute}}
	if diff := cmp.Diff(want, r.In); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTheScrapeIntervalSetsWindowsAndStaleness(t *testing.T) {
	dir := folder(t, map[string]string{"web.scale.yaml": "scale:\n  web:\n    min: 2\n    max: 20\n    signals: {cpu: 60%}\n"})
	for interval, want := range map[time.Duration]string{
		time.Second: "1m 5s", 15 * time.Second: "1m 45s", 30 * time.Second: "2m 1m30s",
	} {
		k := under()
		k.Interval = interval
		r := load(t, dir, k).Scale[0]
		window, _, _ := strings.Cut(r.Signals[0].Expr[strings.Index(r.Signals[0].Expr, "[")+1:], "]")
		if got := window + " " + r.Missing.Stale.String(); got != want {
			t.Errorf("at %s: %s, want %s", interval, got, want)
		}
	}
}

func TestFoldersAreReadWithWhatIsInThem(t *testing.T) {
	rule := func(pool string) string {
		return "scale:\n  " + pool + ":\n    min: 1\n    max: 2\n    signals: {cpu: 60%}\n"
	}
	dir := folder(t, map[string]string{
		"z.scale.yaml": rule("api"), "team/web.scale.yaml": rule("web"), ".hidden/x.scale.yaml": "no", "README.md": "no",
		"web_test.yaml": "no", ".x.scale.yaml": "no", "team/a.rules.yaml": "groups: []\n",
	})
	set := load(t, dir, under())
	if diff := cmp.Diff([]string{"team/a.rules.yaml", "team/web.scale.yaml", "z.scale.yaml"}, set.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if len(set.Scale) != 2 || set.Scale[0].Pool != "api" || set.Scale[1].Rule != "team/web.scale.yaml:2" {
		t.Errorf("rules: %+v", set.Scale)
	}
	if want := []string{filepath.Join(dir, "team", "a.rules.yaml")}; !cmp.Equal(want, set.Groups) {
		t.Errorf("groups: %v", set.Groups)
	}
	link := filepath.Join(t.TempDir(), "rules")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if got := load(t, link, under()); len(got.Files) != 3 {
		t.Errorf("behind a link there are %v", got.Files)
	}
	if got := load(t, filepath.Join(dir, "nowhere"), under()); len(got.Files) != 0 || got.Commit != "" {
		t.Errorf("a folder that is not there holds %+v", got)
	}
}

func TestWithoutKnownPoolsEveryPoolPasses(t *testing.T) {
	dir := folder(t, map[string]string{"a.scale.yaml": "scale:\n  other:\n    min: 1\n    max: 2\n    signals: {cpu: 60%}\n"})
	load(t, dir, Known{Interval: time.Second})
}

func TestGroupsThatPrometheusTakesPass(t *testing.T) {
	// Prometheus takes numbers where it wants text; so do we.
	dir := folder(t, map[string]string{"a.rules.yaml": "groups:\n- name: a\n  rules:\n  - alert: Down\n    expr: up == 0\n    labels: {level: 5, page: true}\n"})
	load(t, dir, under())
}

// index writes a Git index of version 2 with one file.
func gitIndex(name, text string) string {
	sum := sha1.Sum([]byte(fmt.Sprintf("blob %d\x00%s", len(text), text)))
	entry := append(make([]byte, 40), sum[:]...)
	entry = append(entry, 0, byte(len(name)))
	entry = append(entry, name...)
	entry = append(entry, make([]byte, 8-len(entry)%8)...)
	head := binary.BigEndian.AppendUint32([]byte("DIRC"), 2)
	return string(append(binary.BigEndian.AppendUint32(head, 1), entry...))
}

func TestTheCommitIsToldOnlyOfUnchangedFiles(t *testing.T) {
	rule := "scale:\n  web:\n    min: 1\n    max: 2\n    signals: {cpu: 60%}\n"
	hash := strings.Repeat("3f1c2ab0", 5)
	branch := map[string]string{
		".git/HEAD": "ref: refs/heads/main\n", ".git/refs/heads/main": hash + "\n",
		".git/index": gitIndex("rules/web.scale.yaml", rule), "rules/web.scale.yaml": rule,
	}
	packed := map[string]string{
		".git/HEAD": "ref: refs/heads/main\n", ".git/packed-refs": "# pack-refs\n" + hash + " refs/heads/main\n",
		".git/index": branch[".git/index"], "rules/web.scale.yaml": rule,
	}
	detached := map[string]string{".git/HEAD": hash + "\n", ".git/index": branch[".git/index"], "rules/web.scale.yaml": rule}
	changed := map[string]string{".git/HEAD": hash + "\n", ".git/index": branch[".git/index"], "rules/web.scale.yaml": rule + "# more\n"}
	cut := map[string]string{".git/HEAD": hash + "\n", ".git/index": branch[".git/index"][:60], "rules/web.scale.yaml": rule}
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a branch": {branch, hash[:12]}, "a packed branch": {packed, hash[:12]}, "a detached head": {detached, hash[:12]},
		"a changed file": {changed, ""}, "a torn index": {cut, ""},
	} {
		t.Run(name, func(t *testing.T) {
			set := load(t, filepath.Join(folder(t, c.files), "rules"), under())
			if set.Commit != c.want || set.Scale[0].Commit != c.want {
				t.Errorf("commit %q, want %q", set.Commit, c.want)
			}
		})
	}
}
