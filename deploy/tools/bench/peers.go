package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// A peer is a kind of server that can be measured: how one is configured and started.
type peer struct {
	name  string
	ready string // the path that is answered once it serves; /-/ready by default
	// prepare writes the configuration into the folder and returns the command
	// that serves it at an address.
	prepare func(dir, addr string, scrape map[string]any) (command []string, err error)
}

func flyball(binary string) peer { return flyballWith(binary, nil) }

// flyballWith is Flyball with a block elasticsearch, if there is one.
func flyballWith(binary string, elasticsearch map[string]any) peer {
	return peer{name: "flyball", prepare: func(dir, addr string, scrape map[string]any) ([]string, error) {
		file := filepath.Join(dir, "flyball.yaml")
		whole := map[string]any{"listen": addr, "data": filepath.Join(dir, "data"), "prometheus": scrape}
		if elasticsearch != nil {
			whole["elasticsearch"] = elasticsearch
		}
		return []string{binary, "run", "--config", file}, writeConfig(file, whole)
	}}
}

func prometheus(binary string) peer {
	return peer{name: "prometheus", prepare: func(dir, addr string, scrape map[string]any) ([]string, error) {
		file := filepath.Join(dir, "prometheus.yml")
		return []string{
			binary, "--config.file=" + file, "--storage.tsdb.path=" + filepath.Join(dir, "data"),
			"--web.listen-address=" + addr, "--log.level=warn",
		}, writeConfig(file, scrape)
	}}
}

// scrapeConfig is the part that all share, in Prometheus' own format.
func scrapeConfig(addrs []string, every time.Duration) map[string]any {
	return map[string]any{
		"global": map[string]any{"scrape_interval": every.String(), "scrape_timeout": every.String()},
		"scrape_configs": []any{map[string]any{
			"job_name":                 "bench",
			"fallback_scrape_protocol": "PrometheusText0.0.4", // the collector insists
			"static_configs":           []any{map[string]any{"targets": addrs}},
		}},
	}
}

// writeConfig writes JSON, which is YAML too.
func writeConfig(file string, config map[string]any) error {
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", file, err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}
