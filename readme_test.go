package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"flyball/rules/source"
)

// TestPoolsOfTheReadmeAreGood reads each block of README.md that has pools as a
// configuration. Files that it names are made, for they are the reader's.
func TestPoolsOfTheReadmeAreGood(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindAllStringSubmatch(string(text), -1)
	tried := 0
	for _, b := range blocks {
		if !regexp.MustCompile(`(?m)^\s+(digitalocean|gce|exec|container):`).MatchString(b[1]) {
			continue
		}
		tried++
		dir := t.TempDir()
		for name, content := range map[string]string{"hetzner.py": "#!/bin/sh\n", "flyball.yaml": b[1]} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if _, ps := LoadConfig(filepath.Join(dir, "flyball.yaml")); len(ps) > 0 {
			t.Errorf("%s", strings.ReplaceAll(source.Problems(ps).Error(), dir+"/", "README.md: "))
		}
	}
	if tried < 3 {
		t.Errorf("%d blocks were tried, want at least 3", tried)
	}
}
