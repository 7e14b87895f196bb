package shipped_test

import (
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	"flyball/rules/shipped"
)

func names(t *testing.T) []string {
	t.Helper()
	names, err := fs.Glob(shipped.Files(), "*.rules.yaml")
	if err != nil || len(names) == 0 {
		t.Fatalf("no rules are shipped: %v", err)
	}
	return names
}

func TestEachFileHasATestThatHolds(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("promtool is missing")
		}
		t.Skip("promtool is missing: it comes with the Debian package prometheus")
	}
	for _, name := range names(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test := strings.TrimSuffix(name, ".rules.yaml") + "_test.yaml"
			if out, err := exec.Command(promtool, "test", "rules", test).CombinedOutput(); err != nil {
				t.Errorf("promtool test rules %s: %v\n%s", test, err, out)
			}
		})
	}
}

func TestEveryAlertSaysHowBadItIsAndWhatToDo(t *testing.T) {
	groups := map[string]string{}
	alerts := map[string]string{}
	for _, name := range names(t) {
		tests, err := os.ReadFile(strings.TrimSuffix(name, ".rules.yaml") + "_test.yaml")
		if err != nil {
			t.Fatal(err)
		}
		read, errs := rulefmt.ParseFile(name, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		for _, g := range read.Groups {
			if other, twice := groups[g.Name]; twice {
				t.Errorf("%s: the group %s is in %s, too", name, g.Name, other)
			}
			groups[g.Name] = name
			for _, r := range g.Rules {
				if r.Alert == "" {
					continue
				}
				if other, twice := alerts[r.Alert]; twice {
					t.Errorf("%s: the alert %s is in %s, too", name, r.Alert, other)
				}
				alerts[r.Alert] = name
				if s := r.Labels["severity"]; s != "critical" && s != "warning" {
					t.Errorf("%s: %s has the severity %q", name, r.Alert, s)
				}
				if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
					t.Errorf("%s: %s lacks a summary or a description", name, r.Alert)
				}
				if !strings.Contains(string(tests), "alertname: "+r.Alert+"\n") {
					t.Errorf("%s: %s is in no test", name, r.Alert)
				}
			}
		}
	}
}
