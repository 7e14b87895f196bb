package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"flyball/deploy/testservers"
)

// TestTheDemoWithContainersLosesNoRequest plays the demo whole: members are
// containers of a real engine behind a real HAProxy, and keep their products in a
// real Cassandra. It listens in the containers' network, which is there while a
// container runs.
func TestTheDemoWithContainersLosesNoRequest(t *testing.T) {
	if testing.Short() {
		t.Skip("takes three minutes")
	}
	if _, err := exec.LookPath("haproxy"); err != nil && os.Getenv("CI") != "true" {
		t.Skip("HAProxy is missing: it comes with the Debian package haproxy")
	}
	podman := testservers.SharedPodman(t)
	podman.Run(t, "run", "-d", "--name", "demo-holder", podman.Image(t, "member", "flyball/scaler/pool/container/testdata/member"))
	t.Cleanup(func() { podman.Run(t, "rm", "-f", "-t", "0", "-i", "demo-holder") })
	ring := testservers.StartCassandra(t, testservers.CassandraOptions{Address: podman.Gateway()})
	dir := t.TempDir()
	app, report := buildApp(t, dir), filepath.Join(dir, "report.json")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	demo := exec.CommandContext(ctx, "flyball", "demo", "--once", "--listen", "127.0.0.1:0", "--app", app, "--report", report,
		"--pool", "container", "--socket", podman.Socket(), "--network", podman.Network(),
		"--store", "cassandra", "--cassandra", ring.Addr(0))
	demo.Cancel = func() error { return demo.Process.Signal(syscall.SIGTERM) }
	demo.WaitDelay = time.Minute
	out, err := demo.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("the demo failed: %v", err)
	}
	b, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var told struct {
		Requests, Failed, Kills int
		Max                     int `json:"members_max"`
		End                     int `json:"members_end"`
	}
	if err := json.Unmarshal(b, &told); err != nil {
		t.Fatal(err)
	}
	if told.Requests < 7000 || told.Failed > 0 || told.Max < 5 || told.End != 1 || told.Kills != 1 {
		t.Errorf("the report is %s", b)
	}
	if left := podman.Run(t, "ps", "-aq", "--filter", "label=flyball.pool"); left != "" {
		t.Errorf("containers are left: %s", left)
	}
}
