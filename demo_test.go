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
	told := playDemo(t, 5*time.Minute, "--pool", "container", "--socket", podman.Socket(), "--network", podman.Network(),
		"--store", "cassandra", "--cassandra", ring.Addr(0))
	if told.Requests < 7000 || told.Failed > 0 || told.Max < 5 || told.End != 1 || told.Kills != 1 {
		t.Errorf("the report is %+v", told)
	}
	if left := podman.Run(t, "ps", "-aq", "--filter", "label=flyball.pool"); left != "" {
		t.Errorf("containers are left: %s", left)
	}
}

// TestTheDemoByWayOfElasticsearchHoldsWhileItIsAwayAndGoesOn plays the demo with a
// real Elasticsearch, which all is shipped to and the rule is judged from. It is cut
// off in between; the demo itself fails if the pool was not held, or did not go on.
func TestTheDemoByWayOfElasticsearchHoldsWhileItIsAwayAndGoesOn(t *testing.T) {
	if testing.Short() {
		t.Skip("takes three minutes")
	}
	es := testservers.StartElasticsearch(t)
	told := playDemo(t, 4*time.Minute, "--elasticsearch", es.URL())
	if told.Requests < 3000 || told.Failed > 0 || told.Max < 3 || told.End != 1 || told.Kills != 1 {
		t.Errorf("the report is %+v", told)
	}
	e := told.Elasticsearch
	if e.Held < 10 || e.NotHeld > 0 || e.SamplesLost != 0 || e.EventsLost != 0 || e.EventsDoubled != 0 || e.Samples < 200 || e.Events < 20 {
		t.Errorf("the report of Elasticsearch is %+v", e)
	}
}

// A demoReport is what the tests look at of a demo's report.
type demoReport struct {
	Requests, Failed, Kills int
	Max                     int `json:"members_max"`
	End                     int `json:"members_end"`
	Elasticsearch           struct {
		Held, Samples, Events int
		NotHeld               int `json:"not_held"`
		SamplesLost           int `json:"samples_lost"`
		EventsLost            int `json:"events_lost"`
		EventsDoubled         int `json:"events_doubled"`
	}
}

// playDemo plays the demo once, by the real program, and returns its report.
func playDemo(t *testing.T, within time.Duration, args ...string) (told demoReport) {
	t.Helper()
	dir := t.TempDir()
	app, report := buildApp(t, dir), filepath.Join(dir, "report.json")
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	args = append([]string{"demo", "--once", "--listen", "127.0.0.1:0", "--app", app, "--report", report}, args...)
	demo := exec.CommandContext(ctx, "flyball", args...)
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
	if err := json.Unmarshal(b, &told); err != nil {
		t.Fatal(err)
	}
	return told
}
