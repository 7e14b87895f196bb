package testservers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Server is one server with its data, its ports and its log. Its methods may
// be called from several goroutines, one after another.
type Server struct {
	group   *Group
	name    string // e.g. postgres-1
	dir     string
	program program
	held    []io.Closer  // reservations of ports and addresses
	leave   func() error // frees what is not in dir, once no process is left

	mu  sync.Mutex
	run *run // nil before the first start and after an end that was asked for
}

// program is how a server is started and known to serve.
type program struct {
	path       string
	args       []string
	credential *syscall.Credential // nil: the user of this program
	quit       syscall.Signal      // asks the server to end
	patience   time.Duration       // how long it may take until it serves, and until it has ended
	ready      func(ctx context.Context) error
	// again, if there is one, makes a new server ready for another try after its
	// first starts so many failed, the last one by err. If there is to be none it
	// returns err.
	again func(failed int, err error) error
}

// A run is a server from its start to its end.
type run struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// Name returns the server's name, e.g. postgres-1.
func (s *Server) Name() string { return s.name }

func (s *Server) all() []*Server { return []*Server{s} }

// Dir returns the directory that the server works in.
func (s *Server) Dir() string { return s.dir }

// Log returns what the server has written so far, from its first start on.
func (s *Server) Log() string {
	raw, _ := os.ReadFile(s.LogFile())
	return string(raw)
}

// LogFile returns the path of the log, as long as the server is there.
func (s *Server) LogFile() string { return filepath.Join(s.dir, "log") }

// launch prepares and starts a new server. One that does not come up is removed;
// its log is kept.
func (s *Server) launch(ctx context.Context, prepare func() error) error {
	if err := prepare(); err != nil {
		return discard(err, s)
	}
	err := s.startNew(ctx)
	if ctx.Err() != nil { // nobody wants it any more, nor its log
		return errors.Join(ctx.Err(), s.remove())
	}
	if err != nil {
		return discard(err, s)
	}
	return nil
}

// startNew starts a server for the first time, in as many tries as its program
// wants.
func (s *Server) startNew(ctx context.Context) error {
	for failed := 1; ; failed++ {
		err := s.start(ctx)
		if err == nil || ctx.Err() != nil || s.program.again == nil {
			return err
		}
		if err := errors.Join(s.kill(), s.program.again(failed, err)); err != nil {
			return err
		}
	}
}

// note adds a line to the log.
func (s *Server) note(format string, args ...any) error {
	log, err := os.OpenFile(s.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("write to the log of %s: %w", s.name, err)
	}
	_, err = fmt.Fprintf(log, format+"\n", args...)
	return errors.Join(err, log.Close())
}

// discard removes servers that are of no use because of err, and keeps their logs.
func discard(err error, servers ...*Server) error {
	for _, s := range servers {
		if s.Log() == "" {
			continue
		}
		path, kept := s.keepLog()
		err = errors.Join(fmt.Errorf("%w\nthe log of %s is kept in %s", err, s.name, path), kept)
	}
	return errors.Join(err, removeAll(servers))
}

// keepLog copies the log to where it stays, and returns its path.
func (s *Server) keepLog() (string, error) {
	f, err := os.CreateTemp("", "flyball-log-"+s.name+"-*")
	if err != nil {
		return "", fmt.Errorf("keep the log of %s: %w", s.name, err)
	}
	if _, err := f.WriteString(s.Log()); err != nil {
		return "", errors.Join(fmt.Errorf("keep the log of %s: %w", s.name, err), f.Close())
	}
	return f.Name(), f.Close()
}

// start starts the server on the data and ports that it has, and returns once it
// serves.
func (s *Server) start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run != nil {
		return fmt.Errorf("start %s: it was started already", s.name)
	}
	log, err := os.OpenFile(s.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	defer log.Close()
	cmd := s.group.command(context.Background(), s.dir, s.program.path, s.program.args...)
	cmd.Env = append(cmd.Env, mark+"="+s.dir+"/") // the last one counts
	cmd.SysProcAttr.Credential = s.program.credential
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	s.run = &run{cmd: cmd, done: make(chan struct{})}
	go func(r *run) {
		_ = r.cmd.Wait() // how it ended is in its log
		close(r.done)
	}(s.run)
	return s.await(ctx)
}

// await returns once the server serves, or an error with the end of its log.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.program.patience)
	defer cancel()
	for {
		try, done := context.WithTimeout(ctx, 5*time.Second)
		err := s.program.ready(try)
		done()
		if err == nil {
			return nil
		}
		select {
		case <-s.run.done:
			return fmt.Errorf("start %s: it ended by itself: %v\n%s", s.name, s.run.cmd.ProcessState, s.lastLines())
		case <-ctx.Done():
			return fmt.Errorf("start %s: it does not serve after %s: %w\n%s", s.name, s.program.patience, err, s.lastLines())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// lastLines returns the end of the log.
func (s *Server) lastLines() string {
	lines := strings.Split(strings.TrimSpace(s.Log()), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// stop asks the server to end, and kills it if it takes too long.
func (s *Server) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == nil {
		return nil
	}
	s.signalAll(syscall.SIGCONT)
	_ = s.run.cmd.Process.Signal(s.program.quit) // it may have ended
	var late error
	select {
	case <-s.run.done:
	case <-time.After(s.program.patience):
		late = fmt.Errorf("stop %s: it did not end within %s", s.name, s.program.patience)
	}
	return errors.Join(late, s.end())
}

// kill ends all processes of the server at once.
func (s *Server) kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == nil {
		return nil
	}
	return s.end()
}

// end kills what is left and waits for it.
func (s *Server) end() error {
	if err := slay(s.dir); err != nil {
		return fmt.Errorf("kill %s: %w", s.name, err)
	}
	<-s.run.done
	s.run = nil
	return nil
}

// signalAll sends a signal to all processes of the server.
func (s *Server) signalAll(sig syscall.Signal) {
	for _, p := range belonging(s.dir) {
		_ = syscall.Kill(p.pid, sig) // it may have ended
	}
}

// remove kills the server and removes all that it has. Its data is not needed
// any more, so that it is not asked to put it in order.
func (s *Server) remove() error {
	if !slices.Contains(s.group.living(), s) {
		return nil
	}
	errs := []error{s.kill(), slay(s.dir)}
	if s.leave != nil {
		errs = append(errs, s.leave())
	}
	errs = append(errs, os.RemoveAll(s.dir))
	for _, h := range s.held {
		errs = append(errs, h.Close())
	}
	s.group.forget(s)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove %s: %w", s.name, err)
	}
	return nil
}

// removeAll removes servers, the last one first.
func removeAll(servers []*Server) error {
	var errs []error
	for _, s := range slices.Backward(servers) {
		errs = append(errs, s.remove())
	}
	return errors.Join(errs...)
}
