package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
)

// A rig is a real Flyball over a pool of real app processes behind the balancer,
// in a folder of its own.
type rig struct {
	t       *testing.T
	dir     string
	addr    string // Flyball
	balance string
	app     string // the app program
	service *exec.Cmd
}

const rigConfig = `
listen: %s
prometheus: {global: {scrape_interval: 1s, scrape_timeout: 1s}}
pools:
  web:
    process:
      command: [%s, serve, --listen, "{addr}", --db, %s/app.db, --workers, "1", --queue, "256", --service-time, 50ms]
      ports: 20200-20299
    ready: {http: /readyz}
    traffic: {balance: %s}
    drain: 5s
`

const rigRule = `
scale:
  web:
    mode: act
    min: 1
    max: 5
    signals:
      requests:
        query: sum by (member) (rate(http_requests_total{pool="web"}[4s]))
        per_member: 12
    in: {window: 6s, limit: {larger_of: [25%, 1], every: 2s}}
    out: {limit: {larger_of: [100%, 4], every: 5s}}
    warmup: 3s
`

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), addr: freeAddress(t), balance: freeAddress(t)}
	r.app = buildApp(t, r.dir)
	r.write("flyball.yaml", fmt.Sprintf(rigConfig, r.addr, r.app, r.dir, r.balance))
	r.write("rules/web.scale.yaml", rigRule)
	t.Cleanup(r.clear)
	return r
}

// buildApp builds the app's program in a folder.
func buildApp(t *testing.T, dir string) string {
	t.Helper()
	app := filepath.Join(dir, "app")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", "app", "-o", app, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the app: %v\n%s", err, out)
	}
	return app
}

func (r *rig) write(name, text string) {
	r.t.Helper()
	name = filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// start starts Flyball; what it logs is shown if the test fails.
func (r *rig) start() {
	r.t.Helper()
	log, err := os.OpenFile(filepath.Join(r.dir, "flyball.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		r.t.Fatal(err)
	}
	defer log.Close()
	r.service = exec.Command("flyball", "run", "--config", filepath.Join(r.dir, "flyball.yaml"))
	r.service.Stdout, r.service.Stderr = log, log
	if err := r.service.Start(); err != nil {
		r.t.Fatal(err)
	}
}

// kill ends Flyball with -9.
func (r *rig) kill() {
	_ = r.service.Process.Kill()
	_ = r.service.Wait() // killed
}

// clear ends Flyball, and then everything that its pool left running.
func (r *rig) clear() {
	if r.service != nil {
		_ = r.service.Process.Signal(syscall.SIGTERM)
		_ = r.service.Wait()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.t.Context()), 30*time.Second)
	defer cancel()
	left, err := sweep(ctx, filepath.Join(r.dir, "flyball.yaml"))
	if ps := r.processes(); left > 0 || err != nil || len(ps) > 0 {
		r.t.Errorf("%d pools would not end, processes %v are left: %v", left, ps, err)
	}
	logs, _ := filepath.Glob(filepath.Join(r.dir, "data/pools/web/*.log"))
	for _, name := range logs {
		if log, err := os.ReadFile(name); err == nil && r.t.Failed() {
			r.t.Logf("%s: %s", filepath.Base(name), log[max(0, len(log)-1000):])
		}
	}
	if log, err := os.ReadFile(filepath.Join(r.dir, "flyball.log")); err == nil && r.t.Failed() {
		r.t.Logf("%s", log[max(0, len(log)-8000):])
	}
}

// get asks Flyball, and says whether it answered.
func (r *rig) get(path string, out any) bool {
	res, err := http.Get("http://" + r.addr + path)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK && json.NewDecoder(res.Body).Decode(out) == nil
}

func (r *rig) pool() (p scaler.PoolStatus, ok bool) {
	var st scaler.Status
	if !r.get("/api/flyball/v1/status", &st) || len(st.Pools) == 0 {
		return p, false
	}
	return st.Pools[0], true
}

// ready counts the members that take requests.
func (r *rig) ready() int {
	p, _ := r.pool()
	n := 0
	for _, m := range p.Members {
		if m.State == rules.Ready && m.Open != nil {
			n++
		}
	}
	return n
}

// until waits for something to become true.
func (r *rig) until(what string, within time.Duration, f func() bool) {
	r.t.Helper()
	if !poll(within, f) {
		p, _ := r.pool()
		b, _ := json.MarshalIndent(p, "", " ")
		r.t.Fatalf("%s: not within %s\n%s", what, within, b)
	}
}

// processes are the app processes of the pool that exist, by pid.
func (r *rig) processes() map[string]string {
	out := map[string]string{}
	dirs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		r.t.Fatal(err)
	}
	for _, name := range dirs {
		b, err := os.ReadFile(name)
		if err == nil && strings.HasPrefix(string(b), r.app+"\x00serve") {
			out[filepath.Base(filepath.Dir(name))] = strings.ReplaceAll(string(b), "\x00", " ")
		}
	}
	return out
}

// load starts the load generator; the function it returns waits for its end and
// gives requests and failures.
func (r *rig) load(rate string) func() (requests, failed int, text string) {
	r.t.Helper()
	result := filepath.Join(r.dir, "load.json")
	cmd := exec.CommandContext(r.t.Context(), r.app, "load", "--url", "http://"+r.balance, "--rate", rate, "--json", result)
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	return func() (int, int, string) {
		r.t.Helper()
		if err := cmd.Wait(); err != nil {
			r.t.Errorf("load: %v", err)
		}
		var out struct{ Requests, Failed int }
		b, err := os.ReadFile(result)
		if err != nil {
			r.t.Fatal(err)
		}
		if err := json.Unmarshal(b, &out); err != nil {
			r.t.Fatal(err)
		}
		return out.Requests, out.Failed, string(b)
	}
}

// TestKilledWhileItGrowsAndShrinksUnderLoad kills Flyball with -9, again and
// again, as soon as a step has begun, while the pool grows and while it shrinks.
// No request fails, every member is known again, none is orphaned or doubled, and
// no step stays open.
func TestKilledWhileItGrowsAndShrinksUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	r := newRig(t)
	r.start()
	r.until("the first member takes requests", 30*time.Second, func() bool { return r.ready() == 1 })
	ended := r.load("8@4s,8-44@6s,44@16s,44-4@4s,4@25s")
	kills := map[journal.Verb]int{}
	seen := r.lastEntry()
	poll(50*time.Second, func() bool {
		verb, seq := r.begun(seen)
		if seq == seen || kills[verb] >= 3 {
			seen = seq
			return false
		}
		seen = seq
		kills[verb]++
		before := len(r.processes())
		r.kill()
		if n := len(r.processes()); n != before && verb != journal.Remove && verb != journal.Grow {
			t.Errorf("the kill of Flyball changed the members from %d to %d", before, n)
		}
		r.start()
		r.until("Flyball is back", 10*time.Second, func() bool { _, ok := r.pool(); return ok })
		return false
	})
	requests, failed, text := ended()
	t.Logf("%d requests, %d failed, kills %v", requests, failed, kills)
	if failed > 0 || requests < 1000 {
		t.Errorf("%d of %d requests failed: %s", failed, requests, text)
	}
	if kills[journal.Grow] == 0 || kills[journal.Withdraw] == 0 || kills[journal.Remove] == 0 {
		t.Errorf("the pool was not caught growing and shrinking: %v", kills)
	}
	r.until("the pool is back at its minimum", 30*time.Second, func() bool {
		p, ok := r.pool()
		return ok && len(p.Members) == 1 && p.Members[0].State == rules.Ready
	})
	if ps := r.processes(); len(ps) != 1 {
		t.Errorf("one member, and %d processes: %v", len(ps), ps)
	}
	r.noStepOpen()
}

// entries are those of the journal after a number.
func (r *rig) entries(after journal.Seq) []journal.Entry {
	var page journal.Page
	r.get(fmt.Sprintf("/api/flyball/v1/entries?after=%d&limit=1000", after), &page)
	return page.Entries
}

func (r *rig) lastEntry() (seq journal.Seq) {
	for _, e := range r.entries(0) {
		seq = e.Seq
	}
	return seq
}

// begun returns the verb of the first step that began after an entry, and its number.
func (r *rig) begun(after journal.Seq) (journal.Verb, journal.Seq) {
	for _, e := range r.entries(after) {
		var s journal.Step
		if e.Kind == journal.Begun && json.Unmarshal(e.Body, &s) == nil {
			return s.Verb, e.Seq
		}
	}
	return "", after
}

// noStepOpen wants an end for every step that began.
func (r *rig) noStepOpen() {
	r.t.Helper()
	open := map[string]bool{}
	for _, e := range r.entries(0) {
		switch e.Kind {
		case journal.Begun:
			open[e.ID] = true
		case journal.Ended:
			delete(open, e.ID)
		}
	}
	if len(open) > 0 {
		r.t.Errorf("steps without an end: %v", open)
	}
}
