package source

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the .want files anew")

// bad is where wrong files are, each with what is to be said of it in a .want.
const bad = "../../testdata/config/bad"

// under is the configuration that rules in tests run under.
func under() Known {
	return Known{Pools: map[string]Pool{"web": {Kind: "process"}, "api": {Kind: "process"}}, Interval: 15 * time.Second, Elastic: true}
}

func TestEveryMistakeIsToldWithItsPlaceAndHint(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(bad, "*.scale.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	folders, err := filepath.Glob(filepath.Join(bad, "rules_*[^t]"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(files, folders...) {
		if info, err := os.Stat(path); err != nil || strings.HasSuffix(path, ".want") || strings.HasPrefix(filepath.Base(path), "rules_") && !info.IsDir() {
			continue
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			_, ps := Load(path, under())
			if len(ps) == 0 {
				t.Fatal("no problem was found")
			}
			got := strings.ReplaceAll(Problems(ps).Error(), filepath.ToSlash(bad)+"/", "") + "\n"
			compare(t, path+".want", got)
		})
	}
	if n := len(files); n < 40 {
		t.Errorf("only %d mistakes are tried", n)
	}
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("what is said differs (-want +got):\n%s", diff)
	}
}
