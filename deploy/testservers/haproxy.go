package testservers

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"
)

// haproxyGlobal precedes each configuration. A section global of the
// configuration's own adds to it.
const haproxyGlobal = `global
    stats socket {{.Dir}}/admin.sock mode 600 level admin expose-fd listeners
    stats timeout 1m
    maxconn 1000

`

// HAProxy is a balancer in master-worker mode.
type HAProxy struct {
	*Server
	ports map[string]int // by the names that the configuration gives them
}

// StartHAProxy starts a balancer for one test. In config {{.Dir}} stands for its
// directory and {{port "web"}} for a free port, each name its own. The Runtime
// API is at Socket; a section global for it is added.
func StartHAProxy(t testing.TB, config string) *HAProxy {
	t.Helper()
	return begin(t, func(ctx context.Context, g *Group) (*HAProxy, error) { return g.StartHAProxy(ctx, config) })
}

// StartHAProxy starts a balancer.
func (g *Group) StartHAProxy(ctx context.Context, config string) (*HAProxy, error) {
	path, err := look("haproxy", "haproxy")
	if err != nil {
		return nil, err
	}
	s, err := g.place("haproxy")
	if err != nil {
		return nil, err
	}
	h := &HAProxy{Server: s, ports: map[string]int{}}
	s.program = program{
		path:     path,
		args:     []string{"-W", "-db", "-S", h.master(), "-f", h.Config()},
		quit:     syscall.SIGTERM,
		patience: time.Minute,
		ready: func(ctx context.Context) error {
			_, err := h.worker(ctx)
			return err
		},
	}
	return h, s.launch(ctx, func() error { return h.configure(ctx, config) })
}

// Config returns the file of the configuration, which Reload reads anew.
func (h *HAProxy) Config() string { return filepath.Join(h.dir, "haproxy.cfg") }

// Socket returns the path of the Runtime API's socket, of level admin.
func (h *HAProxy) Socket() string { return filepath.Join(h.dir, "admin.sock") }

// master returns the path of the master's own socket.
func (h *HAProxy) master() string { return filepath.Join(h.dir, "master.sock") }

// Port returns the port of 127.0.0.1 that the configuration calls name.
func (h *HAProxy) Port(name string) int { return h.ports[name] }

// Addr returns 127.0.0.1 with the port that the configuration calls name.
func (h *HAProxy) Addr(name string) string { return loopback(h.ports[name]) }

// Reload makes the balancer read its configuration anew, as SIGUSR2 does, and
// returns once the new worker serves. Open connections stay with the old one.
func (h *HAProxy) Reload(t testing.TB) {
	t.Helper()
	if err := h.reload(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Reconfigure replaces the configuration, which is text as for StartHAProxy, and
// reloads it. Names keep the ports that they have.
func (h *HAProxy) Reconfigure(t testing.TB, config string) {
	t.Helper()
	if err := h.configure(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	h.Reload(t)
}

// Runtime gives a command to the Runtime API and returns its answer.
func (h *HAProxy) Runtime(t testing.TB, command string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), h.program.patience)
	defer cancel()
	out, err := h.ask(ctx, h.Socket(), command)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// configure writes the configuration and has it checked.
func (h *HAProxy) configure(ctx context.Context, config string) error {
	tmpl, err := template.New("haproxy.cfg").Funcs(template.FuncMap{"port": h.portCalled}).Parse(haproxyGlobal + config)
	if err != nil {
		return fmt.Errorf("read the configuration of %s: %w", h.name, err)
	}
	var text strings.Builder
	if err := tmpl.Execute(&text, struct{ Dir string }{h.dir}); err != nil {
		return fmt.Errorf("fill the configuration of %s: %w", h.name, err)
	}
	if err := os.WriteFile(h.Config(), []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("write the configuration of %s: %w", h.name, err)
	}
	return h.verify(ctx)
}

// portCalled returns the port that the configuration calls name.
func (h *HAProxy) portCalled(name string) (int, error) {
	if port, ok := h.ports[name]; ok {
		return port, nil
	}
	port, err := h.port()
	h.ports[name] = port
	return port, err
}

// verify has the configuration checked by the program itself.
func (h *HAProxy) verify(ctx context.Context) error {
	out, err := h.group.command(ctx, h.dir, h.program.path, "-c", "-f", h.Config()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("check the configuration of %s: %w\n%s", h.name, err, out)
	}
	return nil
}

func (h *HAProxy) reload(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, h.program.patience)
	defer cancel()
	if err := h.verify(ctx); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.run == nil {
		return fmt.Errorf("reload %s: it does not run", h.name)
	}
	before, err := h.worker(ctx)
	if err != nil {
		return err
	}
	if err := h.run.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		return fmt.Errorf("reload %s: %w", h.name, err)
	}
	for {
		now, err := h.worker(ctx)
		if err == nil && now != before {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("reload %s: worker %s is not replaced (%v)\n%s", h.name, before, err, h.lastLines())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// worker returns the process id of the worker that serves. The master has to
// know it, too: while it starts a worker it is deaf to signals.
func (h *HAProxy) worker(ctx context.Context) (string, error) {
	// A connection that meets a reload may stay without an answer.
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	info, err := h.ask(ctx, h.Socket(), "show info")
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(info, "\nPid: ")
	pid, _, _ := strings.Cut(rest, "\n")
	known, err := h.ask(ctx, h.master(), "show proc")
	if err != nil {
		return "", err
	}
	now, _, _ := strings.Cut(known, "# old workers")
	for line := range strings.Lines(now) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == pid && f[1] == "worker" {
			return pid, nil
		}
	}
	return "", fmt.Errorf("ask %s: its master does not know worker %q", h.name, pid)
}

// ask gives a command to one of the two sockets.
func (h *HAProxy) ask(ctx context.Context, socket, command string) (string, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", h.name, err)
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	_, err = io.WriteString(conn, command+"\n")
	if err == nil {
		err = conn.(*net.UnixConn).CloseWrite() // the master waits for more else
	}
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", h.name, err)
	}
	out, err := io.ReadAll(conn)
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", h.name, err)
	}
	return string(out), nil
}
