package haproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flyball/collector/exporter"
)

// socket is a stand-in for HAProxy's socket that answers every command with the
// bytes that say gives.
func socket(t *testing.T, say func(command string, c net.Conn)) *Runtime {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan bool)
	go func() {
		defer close(served)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 1024)
			n, _ := c.Read(buf)
			say(string(buf[:n]), c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-served })
	return NewRuntime(path)
}

func TestSocketIsAPathOrAnAddress(t *testing.T) {
	for in, want := range map[string]Runtime{
		"/run/haproxy/admin.sock":        {"unix", "/run/haproxy/admin.sock"},
		"unix:///run/haproxy/admin.sock": {"unix", "/run/haproxy/admin.sock"},
		"admin.sock":                     {"unix", "admin.sock"},
		"./a:b":                          {"unix", "./a:b"},
		"127.0.0.1:9999":                 {"tcp", "127.0.0.1:9999"},
		"[::1]:9999":                     {"tcp", "[::1]:9999"},
		"tcp://lb.example:9999":          {"tcp", "lb.example:9999"},
	} {
		if got := *NewRuntime(in); got != want {
			t.Errorf("NewRuntime(%q) is %v, want %v", in, got, want)
		}
	}
}

func TestAnAnswerIsWholeOrAnError(t *testing.T) {
	for _, tt := range []struct{ name, sent, want, reason string }{
		{"a table", "a b\n1 2\n\n", "a b\n1 2\n", ""},
		{"nothing to say", "\n", "", ""},
		{"cut off in a row", "a b\n1", "", exporter.Protocol},
		{"not a word", "", "", exporter.Protocol},
		{"too long", strings.Repeat("x", largestAnswer) + "\n", "", exporter.Protocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := socket(t, func(_ string, c net.Conn) { _, _ = io.WriteString(c, tt.sent) })
			got, err := r.Ask(t.Context(), "show stat")
			if got != tt.want || exporter.Reason(err) != tt.reason {
				t.Errorf("got %q, %v; want %q with reason %q", got, err, tt.want, tt.reason)
			}
		})
	}
}

func TestWhoeverMustSayNothingAndSpeaksRefuses(t *testing.T) {
	for _, tt := range []struct{ says, reason, hint string }{
		{"", "", ""},
		{"Permission denied\n", exporter.Permission, "level admin"},
		{"No such server.\n", exporter.Missing, "No such server"},
		{"No such backend.\n", exporter.Missing, "No such backend"},
		{"Unknown command, but maybe one of these:\n set\n", exporter.Missing, "Unknown command"},
		{"Something else is wrong.\nAnd more.\n", exporter.Broken, `"Something else is wrong."`},
	} {
		r := socket(t, func(_ string, c net.Conn) { _, _ = io.WriteString(c, tt.says+"\n") })
		err := r.Do(t.Context(), "set server be/web1 state ready")
		if exporter.Reason(err) != tt.reason {
			t.Errorf("%q is %v, want reason %q", tt.says, err, tt.reason)
		}
		if err != nil && (!strings.Contains(err.Error(), tt.hint) || !strings.Contains(err.Error(), r.String())) {
			t.Errorf("%q is %q, want %q and the socket in it", tt.says, err, tt.hint)
		}
	}
}

func TestAnErrorTellsNoData(t *testing.T) {
	r := NewRuntime(filepath.Join(t.TempDir(), "nobody"))
	_, err := r.Ask(t.Context(), "set ssl cert s3cret key")
	if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "set ssl cert") {
		t.Errorf("got %v, want the command without its data", err)
	}
	if err != nil && !strings.Contains(err.Error(), "see that HAProxy runs") {
		t.Errorf("got %v, want a hint", err)
	}
	if exporter.Reason(err) != exporter.Refused {
		t.Errorf("nobody listens is %q, want %q", exporter.Reason(err), exporter.Refused)
	}
}

func TestOneCommandIsOneCommand(t *testing.T) {
	r := socket(t, func(string, net.Conn) { t.Error("a command was sent") })
	for _, c := range []string{"show info; disable server be/web1", "show info\ndisable server be/web1"} {
		if _, err := r.Ask(t.Context(), c); err == nil {
			t.Errorf("%q was taken for one command", c)
		}
	}
}

func TestASocketThatHangsIsWaitedForNoLongerThanTheContext(t *testing.T) {
	hung := make(chan bool)
	r := socket(t, func(string, net.Conn) { <-hung })
	defer close(hung)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := r.Ask(ctx, "show info")
	if !errors.Is(err, context.DeadlineExceeded) || exporter.Reason(err) != exporter.Timeout {
		t.Errorf("got %v, want the context's end", err)
	}
}
