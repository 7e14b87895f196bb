package container

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"flyball/collector/exporter"
)

func TestWhyAnEngineCannotBeReached(t *testing.T) {
	dir := t.TempDir()
	closed, err := net.Listen("unix", filepath.Join(dir, "closed"))
	if err != nil {
		t.Fatal(err)
	}
	closed.(*net.UnixListener).SetUnlinkOnClose(false)
	closed.Close()
	missing := filepath.Join(dir, "missing")
	const look = ": see whether the engine runs, and listens there"
	for _, c := range []struct{ name, socket, want, text string }{
		{"there is no socket", "unix://" + missing, exporter.Refused, "connect to " + missing + ": no such file or directory" + look},
		{"nobody listens at it", "unix://" + filepath.Join(dir, "closed"), exporter.Refused, "nobody listens" + look},
		{"nobody listens there", "tcp://127.0.0.1:1", exporter.Refused, "connect to 127.0.0.1:1: nobody listens" + look},
		{"the name has no address", "tcp://engine.invalid:2375", exporter.Unresolved, "engine.invalid"},
		{"it hangs up", speaker(t, ""), exporter.Refused, "EOF"},
		{"it speaks something else", speaker(t, "220 mail.example ESMTP\r\n"), exporter.Refused, "malformed HTTP"},
		{"it is no engine", speaker(t, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), exporter.Missing, "404"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := watch(t, c.socket, timeout(2*time.Second))
			scrape(t, w).wants(t, toldBy{"container_up": 0, `container_down{reason="` + c.want + `"}`: 1})
			if err := w.Status().Down; err == nil || !strings.HasPrefix(err.Error(), "reach the engine: ") || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, want it to say %q", err, c.text)
			}
		})
	}
}

// speaker answers every connection with the same words.
func speaker(t testing.TB, words string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				conn.Read(make([]byte, 4096))
				conn.Write([]byte(words))
			}()
		}
	}()
	return "tcp://" + l.Addr().String()
}

// The kernel asks for the rights of the thread that connects; so one thread puts
// on those of nobody, and ends with its goroutine.
func TestASocketThatMayNotBeUsedSaysPermission(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to be somebody else for a moment")
	}
	e := newRecording(t)
	path := strings.TrimPrefix(e.Socket, "unix://")
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error)
	go func() {
		runtime.LockOSThread()
		const nobody = 65534
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0); errno != 0 {
			failed <- errno
			return
		}
		_, err := dialer("unix", path)(context.Background(), "", "")
		failed <- err
	}()
	err := <-failed
	if got := exporter.Reason(err); got != exporter.Permission {
		t.Errorf("reason %q of %v, want %q", got, err, exporter.Permission)
	}
	if got := reason(told("reach the engine", err)); got != exporter.Permission {
		t.Errorf("reason %q once it is told, want %q", got, exporter.Permission)
	}
}
