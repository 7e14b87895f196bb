package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"flyball/app/load"
	"flyball/deploy/testservers"
)

// asProgram makes the test binary be the program.
const asProgram = "APP_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(testservers.Main(m))
}

// instance is a real `app serve` in a process of its own.
type instance struct {
	cmd  *exec.Cmd
	url  string
	log  *bufio.Scanner
	text *bytes.Buffer
}

func program(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

func start(t *testing.T, args ...string) *instance {
	t.Helper()
	in := &instance{cmd: program(t, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...), text: &bytes.Buffer{}}
	stderr, err := in.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := in.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.log = bufio.NewScanner(io.TeeReader(stderr, in.text))
	in.url = "http://" + in.until(t, regexp.MustCompile(`msg=serving addr=(\S+)`))
	return in
}

// until reads the log to a line that matches, and gives what its parentheses hold.
func (in *instance) until(t *testing.T, want *regexp.Regexp) string {
	t.Helper()
	for in.log.Scan() {
		if m := want.FindStringSubmatch(in.log.Text()); m != nil {
			return m[len(m)-1]
		}
	}
	t.Fatalf("the program ended without saying %s:\n%s", want, in.text)
	return ""
}

func (in *instance) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := in.cmd.Process.Signal(s); err != nil {
		t.Error(err)
	}
}

// end waits for the end and gives the exit code.
func (in *instance) end(t *testing.T) int {
	t.Helper()
	for in.log.Scan() {
		continue
	}
	var exit *exec.ExitError
	if err := in.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return in.cmd.ProcessState.ExitCode()
}

func db(t *testing.T) string { return filepath.Join(t.TempDir(), "app.db") }

func status(url string) int {
	res, err := http.Get(url)
	if err != nil {
		return 0
	}
	res.Body.Close()
	return res.StatusCode
}

func TestSIGTERMUnderLoadLosesNoRequest(t *testing.T) {
	path := db(t)
	leaving, staying := start(t, "--db", path, "--workers", "1", "--service-time", "5ms", "--drain-delay", "2s"), start(t, "--db", path, "--drain-delay", "0s")
	var target atomic.Pointer[string] // what a balancer would choose
	target.Store(&leaving.url)
	var sent, failed atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	warm := make(chan struct{})
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if status(*target.Load()+"/api/products") != http.StatusOK {
					failed.Add(1)
				}
				if sent.Add(1) == 50 {
					close(warm)
				}
			}
		})
	}
	<-warm
	leaving.signal(t, syscall.SIGTERM)
	leaving.until(t, regexp.MustCompile(`msg=(draining)`))
	if got := status(leaving.url + "/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("readyz after SIGTERM: %d, want 503 while the listener is open", got)
	}
	before := sent.Load()
	for sent.Load() < before+20 { // still served here, while not ready
		if got := status(leaving.url + "/readyz"); got != http.StatusServiceUnavailable {
			t.Fatalf("readyz while draining: %d, want 503", got)
		}
	}
	target.Store(&staying.url)
	if code := leaving.end(t); code != exitOK {
		t.Errorf("exit code %d, want 0:\n%s", code, leaving.text)
	}
	stop()
	wg.Wait()
	if failed.Load() != 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), sent.Load())
	}
	if status(leaving.url+"/livez") != 0 {
		t.Error("the listener is still open")
	}
	staying.signal(t, syscall.SIGTERM)
	if code := staying.end(t); code != exitOK {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestOpenRequestsAreFinishedAfterTheListenerClosed(t *testing.T) {
	in := start(t, "--db", db(t), "--workers", "1", "--service-time", "400ms", "--drain-delay", "0s")
	codes := make(chan int)
	for range 2 { // one served, one queued
		go func() { codes <- status(in.url + "/api/products") }()
	}
	for !strings.Contains(get(in.url+"/metrics"), "http_requests_queued 1\n") {
		continue
	}
	in.signal(t, syscall.SIGTERM)
	if code := in.end(t); code != exitOK {
		t.Errorf("exit code %d, want 0:\n%s", code, in.text)
	}
	for range 2 {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("an open request was answered with %d", code)
		}
	}
}

func get(url string) string {
	res, err := http.Get(url)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return string(b)
}

func TestServeOnCassandra(t *testing.T) {
	c := testservers.SharedCassandra(t)
	t.Setenv("APP_STORE", "cassandra")
	t.Setenv("APP_CASSANDRA_HOSTS", strings.Join(c.Hosts(), ","))
	t.Setenv("APP_CASSANDRA_PORT", fmt.Sprint(c.Port()))
	t.Setenv("APP_CASSANDRA_KEYSPACE", "main_test")
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"serve"}, &stdout, &stderr); code != exitFailed || !strings.Contains(stderr.String(), "app migrate") {
		t.Errorf("before the migration: exit code %d: %s", code, stderr.String())
	}
	for range 2 {
		if code := run(t.Context(), []string{"migrate", "--replication", "datacenter1=1"}, &stdout, &stderr); code != exitOK {
			t.Fatalf("migrate: exit code %d: %s", code, stderr.String())
		}
	}
	in := start(t, "--drain-delay", "0s")
	if got := status(in.url + "/readyz"); got != http.StatusOK {
		t.Errorf("readyz: %d", got)
	}
	stderr.Reset()
	if code := run(t.Context(), []string{"load", "--url", in.url, "--users", "2", "--for", "2s", "--strict"}, &stdout, &stderr); code != exitOK {
		t.Errorf("load: exit code %d:\n%s%s", code, stdout.String(), stderr.String())
	}
	for _, name := range []string{`store_operations_total{operation="create",outcome="ok"}`, "store_statements_total{", "store_doubtful_writes_total{"} {
		if !strings.Contains(get(in.url+"/metrics"), "\n"+name) {
			t.Errorf("no %s in /metrics", name)
		}
	}
	in.signal(t, syscall.SIGTERM)
	if code := in.end(t); code != exitOK {
		t.Errorf("exit code %d, want 0:\n%s", code, in.text)
	}
}

func TestTheEnvironmentSetsWhatTheCommandLineDoesNot(t *testing.T) {
	t.Setenv("APP_WORKERS", "3")
	t.Setenv("APP_DB", db(t))
	t.Setenv("APP_DRAIN_DELAY", "0s")
	t.Setenv("APP_QUEUE", "") // set to nothing is not set
	in := start(t, "--workers", "2")
	if !strings.Contains(in.text.String(), "workers=2 queue=128") {
		t.Errorf("the log says %s", in.text)
	}
	in.signal(t, syscall.SIGTERM)
	in.end(t)
	t.Setenv("APP_WORKERS", "many")
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"serve"}, &stdout, &stderr); code != exitUsage || !strings.Contains(stderr.String(), "APP_WORKERS") {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
}

func TestADrainThatTakesTooLongEndsWithAnError(t *testing.T) {
	in := start(t, "--db", db(t), "--workers", "1", "--service-time", "1m", "--drain-delay", "0s", "--drain", "50ms")
	answered := make(chan int)
	go func() { answered <- status(in.url + "/api/products") }()
	for !strings.Contains(get(in.url+"/metrics"), "http_requests_in_flight 1\n") {
		continue
	}
	in.signal(t, syscall.SIGTERM)
	if code := in.end(t); code != exitFailed || !strings.Contains(in.text.String(), "1 requests did not finish within 50ms") {
		t.Errorf("exit code %d, want 1:\n%s", code, in.text)
	}
	<-answered
}

func TestMetricsTellOfTheProcessAndTheBuild(t *testing.T) {
	in := start(t, "--db", db(t), "--drain-delay", "0s")
	text := get(in.url + "/metrics")
	for _, name := range []string{"process_cpu_seconds_total ", "app_build_info{", "go_goroutines ", "http_requests_queued 0"} {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("no %s in /metrics", name)
		}
	}
	in.signal(t, syscall.SIGTERM)
	in.end(t)
}

func TestLoadAgainstTheRealService(t *testing.T) {
	in := start(t, "--db", db(t), "--workers", "2", "--service-time", "2ms", "--drain-delay", "0s")
	file := filepath.Join(t.TempDir(), "result.json")
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"load", "--url", in.url, "--rate", "100@1200ms", "--progress", "json", "--json", file, "--strict", "--mix", "create=1,read=1,update=1,delete=1"}, &stdout, &stderr)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var res load.Result
	if err := json.Unmarshal(b, &res); err != nil || res.Requests != 120 || res.Failed != 0 || res.P99 < 2 {
		t.Errorf("%v: %s", err, b)
	}
	var p load.Progress
	line, _, _ := strings.Cut(stdout.String(), "\n")
	if err := json.Unmarshal([]byte(line), &p); err != nil || p.Sent < 50 {
		t.Errorf("progress %s: %v", line, err)
	}
	in.signal(t, syscall.SIGTERM)
	in.end(t)
}

func TestLoadEndsEarlyWithItsResultAndStrictSaysSo(t *testing.T) {
	cmd := program(t, "load", "--url", "http://127.0.0.1:1", "--rate", "50@1h", "--json", "-", "--strict")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	lines.Scan() // the first progress
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, stderr)
	var res load.Result
	if err := json.NewDecoder(stdout).Decode(&res); err != nil || res.Failed == 0 || res.Errors["connection_refused"] != res.Failed {
		t.Errorf("result %+v, %v", res, err)
	}
	if cmd.Wait(); cmd.ProcessState.ExitCode() != exitFailed {
		t.Errorf("exit code %d, want 1", cmd.ProcessState.ExitCode())
	}
}

func TestWrongUseIsExplained(t *testing.T) {
	tests := []struct {
		args []string
		want int
		says string
	}{
		{[]string{"version"}, exitOK, ""},
		{[]string{"serve", "--worker", "1"}, exitUsage, "app serve --help"},
		{[]string{"serve", "--workers", "-1", "--log", "xml"}, exitUsage, "text and json"},
		{[]string{"serve", "--drain", "-1s"}, exitUsage, "drain"},
		{[]string{"serve", "--db", "/nowhere/at/all/app.db"}, exitFailed, "/nowhere/at/all/app.db"},
		{[]string{"serve", "--store", "mysql"}, exitUsage, "not one of sqlite, cassandra, postgres"},
		{[]string{"serve", "--cassandra-hosts", "10.0.0.4"}, exitUsage, "cassandra-hosts: is for --store cassandra, but the store is sqlite"},
		{[]string{"serve", "--store", "cassandra", "--db", "app.db"}, exitUsage, "db: is for --store sqlite"},
		{[]string{"serve", "--store", "cassandra", "--cassandra-hosts", "a:9042", "--cassandra-user", "app"}, exitUsage, "password file"},
		{[]string{"serve", "--store", "cassandra", "--cassandra-port", "1"}, exitFailed, "127.0.0.1:1"},
		{[]string{"migrate", "--buckets", "4"}, exitUsage, "buckets: is for --store cassandra"},
		{[]string{"migrate", "--store", "cassandra", "--replication", "3"}, exitUsage, "app migrate --help"},
		{[]string{"migrate", "--store", "cassandra", "--log", "xml"}, exitUsage, "text and json"},
		{[]string{"load"}, exitUsage, "exactly one of"},
		{[]string{"load", "--users", "4", "--rate", "1@1s"}, exitUsage, "exactly one of"},
		{[]string{"load", "--rate", "1@x"}, exitUsage, "20s"},
		{[]string{"load", "--users", "0"}, exitUsage, "from 1"},
		{[]string{"load", "--users", "1", "--mix", "raed=1"}, exitUsage, "raed"},
		{[]string{"load", "--users", "1", "--progress", "xml"}, exitUsage, "text, json or none"},
		{[]string{"load", "--trace", "/nowhere.csv"}, exitUsage, "/nowhere.csv"},
		{[]string{"load", "--users", "1", "--url", "localhost"}, exitFailed, "http://"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.args), func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), tt.args, &stdout, &stderr); code != tt.want || !strings.Contains(stderr.String(), tt.says) {
				t.Errorf("exit code %d, want %d and %q: %s", code, tt.want, tt.says, stderr.String())
			}
		})
	}
}
