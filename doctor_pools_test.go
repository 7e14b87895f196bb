package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheDoctorAsksTheCloudsOfPools(t *testing.T) {
	for _, tt := range []struct {
		name, cloud, from, to string
		code                  int
		want                  []string
	}{
		{name: "all well", cloud: "digitalocean", want: []string{"ok    pool web: "}},
		{
			name: "image", cloud: "digitalocean", from: "ubuntu-24-04-x64", to: "app-of-yesterday", code: 1,
			want: []string{"wrong pool web: image", "app-of-yesterday"},
		},
		{name: "gce", cloud: "gce", want: []string{"ok    pool web: group"}},
		{name: "group", cloud: "gce", from: "group: web", to: "group: nowhere", code: 1, want: []string{"wrong pool web: group", "      "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			lines, end := emulated(t, tt.cloud, "--dir", dir)
			defer end()
			file := filepath.Join(dir, "flyball.yaml")
			if err := os.WriteFile(file, []byte(strings.Replace(lines, tt.from, tt.to, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Join(dir, "rules"), 0o700); err != nil {
				t.Fatal(err)
			}
			rule := "scale: {web: {min: 1, max: 10, signals: {cpu: 60%}}}\n"
			if err := os.WriteFile(filepath.Join(dir, "rules", "web.scale.yaml"), []byte(rule), 0o600); err != nil {
				t.Fatal(err)
			}
			var out, said strings.Builder
			code := run(t.Context(), []string{"doctor", "--config", file}, stdio{nil, &out, &said, os.Getenv})
			if code != tt.code {
				t.Errorf("exit code %d, want %d: %s", code, tt.code, said.String())
			}
			for _, want := range append(tt.want, "ok    configuration and rules") {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is not said:\n%s", want, out.String())
				}
			}
			if tt.code == 0 && strings.Contains(out.String(), "wrong") {
				t.Errorf("something is wrong:\n%s", out.String())
			}
		})
	}
}

func TestTheDoctorShowsWhatAPoolsProgramSays(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "flyball.yaml")
	for name, text := range map[string]string{
		file:                           "pools: {web: {exec: {command: [./cloud.sh]}}}\n",
		filepath.Join(dir, "cloud.sh"): "#!/bin/sh\necho 'quota exceeded, call Bob' >&2\nexit 3\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var out, said strings.Builder
	code := run(t.Context(), []string{"doctor", "--config", file}, stdio{nil, &out, &said, os.Getenv})
	if code != 1 || !strings.Contains(out.String(), "exit status 3") || !strings.Contains(said.String(), "call Bob") {
		t.Errorf("exit code %d; it prints\n%s\nand says\n%s", code, out.String(), said.String())
	}
}
