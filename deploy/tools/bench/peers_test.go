package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

func TestBothPeersScrapeByTheSameConfiguration(t *testing.T) {
	scrape := scrapeConfig([]string{"127.0.0.1:1"}, 5*time.Second)
	ours, theirs := config(t, flyball("f"), scrape), config(t, prometheus("p"), scrape)
	if got := mustJSON(t, ours["prometheus"]); got != mustJSON(t, theirs) {
		t.Errorf("flyball scrapes by %s, and Prometheus by %s", got, mustJSON(t, theirs))
	}
	if ours["listen"] != "127.0.0.1:9" {
		t.Errorf("flyball listens on %v, want 127.0.0.1:9", ours["listen"])
	}
}

// config is what the peer reads: the file that its command line names.
func config(t *testing.T, p peer, scrape map[string]any) map[string]any {
	t.Helper()
	command, err := p.prepare(t.TempDir(), "127.0.0.1:9", scrape)
	if err != nil {
		t.Fatal(err)
	}
	var whole map[string]any
	for _, word := range command {
		file := strings.TrimPrefix(word, "--config.file=")
		if text, err := os.ReadFile(file); err == nil && json.Unmarshal(text, &whole) == nil {
			return whole
		}
	}
	t.Fatalf("%v names no configuration", command)
	return nil
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
