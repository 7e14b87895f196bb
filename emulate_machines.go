package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// localMachines is what runs in an emulated cloud's machines: a program each, or, where
// none was named, something that answers every request. Each has an address of its own
// of 127.0.0.0/8. It is safe for concurrent use.
type localMachines struct {
	command []string
	port    int
	out     io.Writer // of the programs

	mu    sync.Mutex
	made  int
	alive map[string][]running // by machine; the oldest first
	ends  sync.WaitGroup       // of the programs
}

// running is what runs in one machine.
type running interface {
	end(sig syscall.Signal)
}

func newLocalMachines(command string, port int, out io.Writer) *localMachines {
	return &localMachines{command: strings.Fields(command), port: port, out: out, alive: map[string][]running{}}
}

// Boot implements [emulate.Machines].
func (l *localMachines) Boot(name, _ string) (netip.Addr, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made++
	addr := netip.AddrFrom4([4]byte{127, 1 + byte(l.made>>16), byte(l.made >> 8), byte(l.made)})
	start := l.program
	if len(l.command) == 0 {
		start = l.answerer
	}
	r, err := start(name, addr)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("boot %s: %w", name, err)
	}
	l.alive[name] = append(l.alive[name], r)
	return addr, nil
}

// Shutdown implements [emulate.Machines].
func (l *localMachines) Shutdown(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if rs := l.alive[name]; len(rs) > 0 {
		rs[0].end(syscall.SIGTERM)
	}
}

// Halt implements [emulate.Machines].
func (l *localMachines) Halt(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if rs := l.alive[name]; len(rs) > 0 {
		rs[0].end(syscall.SIGKILL)
		l.alive[name] = rs[1:]
	}
}

// close ends all that runs, and waits until it has ended.
func (l *localMachines) close() {
	l.mu.Lock()
	for _, rs := range l.alive {
		for _, r := range rs {
			r.end(syscall.SIGKILL)
		}
	}
	clear(l.alive)
	l.mu.Unlock()
	l.ends.Wait()
}

// program starts a machine's program, in a group of its own.
func (l *localMachines) program(name string, addr netip.Addr) (running, error) {
	fill := strings.NewReplacer("{addr}", addr.String(), "{name}", name)
	var argv []string
	for _, a := range l.command {
		argv = append(argv, fill.Replace(a))
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = l.out, l.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &program{pid: cmd.Process.Pid}
	l.ends.Go(func() {
		for errors.Is(unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
			continue
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		_ = syscall.Kill(-p.pid, syscall.SIGKILL) // what it left behind
		_ = cmd.Wait()                            // how it ended is nobody's concern
		p.gone = true
	})
	return p, nil
}

// program is a process and its group.
type program struct {
	pid  int
	mu   sync.Mutex
	gone bool // its number may be another's
}

func (p *program) end(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone {
		_ = syscall.Kill(-p.pid, sig)
	}
}

// answerer starts something that answers every request.
func (l *localMachines) answerer(name string, addr netip.Addr) (running, error) {
	ln, err := net.Listen("tcp", net.JoinHostPort(addr.String(), strconv.Itoa(l.port)))
	if err != nil {
		return nil, err
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			fmt.Fprintf(w, "# TYPE flyball_emulated_machine gauge\nflyball_emulated_machine{name=%q} 1\n", name)
			return
		}
		fmt.Fprintln(w, name)
	})}
	l.ends.Go(func() {
		if err := s.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(l.out, "machine", name, "answers no more:", err)
		}
	})
	return answerer{s}, nil
}

type answerer struct{ s *http.Server }

func (a answerer) end(syscall.Signal) { _ = a.s.Close() }
