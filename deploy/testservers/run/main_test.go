package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"flyball/deploy/testservers"
)

func TestServersServeUntilTheyAreInterruptedAndLeaveNothing(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, []string{"haproxy"}, w); _ = w.Close() }()
	var said strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(said.String(), "Ctrl-C") {
		n, err := r.Read(buf)
		if err != nil {
			t.Skip(<-ended) // not installed: the package beside tells under CI
		}
		said.Write(buf[:n])
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	url := regexp.MustCompile(`http://\S+/metrics`).FindString(said.String())
	socket := regexp.MustCompile(`/\S+/admin\.sock`).FindString(said.String())
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	page, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer page.Body.Close()
	if body, err := io.ReadAll(page.Body); err != nil || !strings.Contains(string(body), "haproxy_process_uptime_seconds") {
		t.Errorf("the metrics are %.100s, %v", body, err)
	}
	interrupt()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(filepath.Dir(socket))); err == nil {
		t.Errorf("the folder of %s is left", socket)
	}
	if conn, err := net.Dial("unix", socket); err == nil {
		_ = conn.Close()
		t.Error("it serves still")
	}
}

func TestServersThatAreInterruptedWhileTheyStartLeaveNothing(t *testing.T) {
	dir, err := os.MkdirTemp("", "run") // short, because of the paths of sockets
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		defer interrupt()
		for ctx.Err() == nil {
			if logs, _ := filepath.Glob(dir + "/flyball-*/*-1/log"); len(logs) > 0 {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	var out strings.Builder
	var missing *testservers.Missing
	if err := run(ctx, []string{"postgres", "cassandra"}, &out); errors.As(err, &missing) {
		t.Skip(missing) // the package beside tells under CI
	} else if err != nil {
		t.Errorf("%v, said %s", err, out.String())
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 || strings.Contains(out.String(), "cassandra") {
		t.Errorf("left are %v, %v, said %s", left, err, out.String())
	}
}

func TestAnUnknownServerIsToldWithoutStartingAny(t *testing.T) {
	var out strings.Builder
	err := run(t.Context(), []string{"haproxy", "oracle"}, &out)
	if err == nil || !strings.Contains(err.Error(), "oracle") || out.Len() > 0 {
		t.Errorf("%v, said %q", err, out.String())
	}
}

func TestOnlyServersThatWereNotAskedForMayBeMissing(t *testing.T) {
	absent := kind{"absent", func(context.Context, *testservers.Group) ([]way, error) {
		return nil, &testservers.Missing{Program: "absent", Package: "absent"}
	}}
	present := kind{"present", func(context.Context, *testservers.Group) ([]way, error) { return []way{{"at", "home"}}, nil }}
	for _, tt := range []struct {
		chosen  []kind
		lenient bool
		ok      bool
	}{
		{[]kind{absent, present}, true, true}, {[]kind{absent, present}, false, false}, {[]kind{absent}, true, false},
	} {
		var out strings.Builder
		if err := startAll(t.Context(), nil, tt.chosen, tt.lenient, &out); (err == nil) != tt.ok {
			t.Errorf("%v, lenient %v: %v, said %s", tt.chosen, tt.lenient, err, out.String())
		}
	}
}
