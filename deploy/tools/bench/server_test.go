package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"flyball/deploy/testservers"
)

// TestMain is also the process that the tests start in place of a peer.
func TestMain(m *testing.M) {
	switch os.Getenv("BENCH_FAKE") {
	case "serves":
		serveFake(os.Args[len(os.Args)-1])
	case "fails":
		fmt.Fprintln(os.Stderr, "no such configuration")
		os.Exit(2)
	default:
		os.Exit(testservers.Main(m))
	}
}

func serveFake(addr string) {
	http.HandleFunc("GET /-/ready", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "# TYPE prometheus_tsdb_head_samples_appended_total counter\n",
			"prometheus_tsdb_head_samples_appended_total{type=\"float\"} 7000\n",
			"prometheus_tsdb_head_samples_appended_total{type=\"histogram\"} 77\n")
	})
	server := http.Server{Addr: addr, ReadHeaderTimeout: time.Second}
	fmt.Fprintln(os.Stderr, server.ListenAndServe())
}

// fakePeer is this test binary.
func fakePeer(t *testing.T, how string) peer {
	t.Helper()
	t.Setenv("BENCH_FAKE", how)
	return peer{name: "fake", prepare: func(_, addr string, _ map[string]any) ([]string, error) {
		self, err := os.Executable()
		return []string{self, addr}, err
	}}
}

func TestServerIsMeasuredAndStopped(t *testing.T) {
	s, err := start(t.Context(), fakePeer(t, "serves"), t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	u, err := s.used(t.Context())
	if err != nil || u.samples != 7077 || u.rss < mebi {
		t.Errorf("used %+v, %v; want 7077 samples and some memory", u, err)
	}
	if err := s.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if _, err := s.used(t.Context()); err == nil {
		t.Error("a stopped server still answers")
	}
}

func TestServerThatEndsAtOnceIsAnErrorWithItsLastWords(t *testing.T) {
	_, err := start(t.Context(), fakePeer(t, "fails"), t.TempDir(), nil)
	if err == nil || !strings.Contains(err.Error(), "no such configuration") {
		t.Errorf("got %v, want the process' last words", err)
	}
}

func TestMeasurementEndsWithItsContext(t *testing.T) {
	s, err := start(t.Context(), fakePeer(t, "serves"), t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.watch(ctx, time.Hour); err == nil {
		t.Error("watch outlived its context")
	}
}

func TestPeerThatLosesSamplesIsRefused(t *testing.T) {
	for _, c := range []struct {
		stored, served float64
		good           bool
	}{
		{stored: 100_500, served: 100_000, good: true},
		{stored: 96_000, served: 100_000, good: true},
		{stored: 90_000, served: 100_000},
		{stored: 0, served: 100_000},
		{stored: 0, served: 0},
	} {
		if err := checkStored(peer{name: "p"}, c.stored, c.served); (err == nil) != c.good {
			t.Errorf("stored %v of %v: got %v", c.stored, c.served, err)
		}
	}
}
