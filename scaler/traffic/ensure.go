package traffic

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	startWithin = 10 * time.Second
	lookEvery   = 20 * time.Millisecond
	watchEvery  = time.Second
)

// Run keeps a balancer running until ctx ends: it starts one where none answers
// and leaves it running when it returns.
func (b *Balance) Run(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		if err := b.Ensure(ctx); err != nil && ctx.Err() == nil {
			b.cfg.Log.Error("balancer does not run", "listen", b.cfg.Listen, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Ensure makes a balancer run with this configuration. One that answers on the
// control socket is taken as it is; if it listens elsewhere it is stopped,
// gracefully, and another one started. It is idempotent, and of two that try at
// once the socket's lock lets one through.
func (b *Balance) Ensure(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if status, ended := b.reap(); ended {
		b.cfg.Log.Warn("balancer ended, another one is started", "status", status, "output", b.cfg.Output)
	}
	about, err := b.About(ctx)
	switch {
	case absent(err):
		return b.start(ctx)
	case err != nil:
		return err
	case about.API != apiVersion:
		return fmt.Errorf("the balancer with pid %d speaks version %d of the control socket and not %d: end it, and it is started anew", about.PID, about.API, apiVersion)
	case about.Listen != b.cfg.Listen:
		b.cfg.Log.Info("balancer moves", "from", about.Listen, "to", b.cfg.Listen)
		if err := b.halt(ctx); err != nil {
			return err
		}
		return b.start(ctx)
	}
	if err := b.ask(ctx, http.MethodPut, "/check", b.cfg.Check, nil); err != nil {
		return err
	}
	return b.boundOutput()
}

// About asks the running balancer who it is; it starts none.
func (b *Balance) About(ctx context.Context) (About, error) {
	var a About
	err := b.ask(ctx, http.MethodGet, "/version", nil, &a)
	return a, err
}

// Stop ends the balancer, if one runs, and returns when its process is gone:
// open requests may finish for as long as the balancer's drain lasts.
func (b *Balance) Stop(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.halt(ctx)
}

// halt asks whoever answers to end, again and again: a balancer that was started
// at the same time as the one that ended may have been waiting to take over.
func (b *Balance) halt(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		err := b.ask(ctx, http.MethodPost, "/stop", nil, nil)
		b.reap()
		if held, lockErr := locked(b.cfg.Control); lockErr != nil {
			return fmt.Errorf("stop balancer: %w", lockErr)
		} else if !held && b.child == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("stop balancer: it did not end in time: %w", errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}

// start starts a balancer and waits until one answers, this or another that was
// started at the same time.
func (b *Balance) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	ours := false // the child was started here, and is not one that was dying
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if held, _ := locked(b.cfg.Control); b.child == 0 && !ours && !held {
			if err := b.spawn(); err != nil {
				return fmt.Errorf("start balancer: %w", err)
			}
			ours = true
		}
		about, err := b.About(ctx)
		if err == nil {
			b.cfg.Log.Info("balancer runs", "pid", about.PID, "listen", about.Listen)
			return nil
		}
		if status, ended := b.reap(); ended && ours {
			held, lockErr := locked(b.cfg.Control)
			ours = false // spawned anew, should the other one end, too
			if lockErr != nil || !held {
				return errors.Join(fmt.Errorf("start balancer: it ended with status %d; %s says why", status, b.cfg.Output), lockErr)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("start balancer: no answer on %s: %w", b.cfg.Control, err)
		case <-tick.C:
		}
	}
}

// spawn starts the process in a session of its own, with its output in a file:
// a pipe would end with Flyball and take the balancer along.
func (b *Balance) spawn() error {
	control, err := filepath.Abs(b.cfg.Control)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(control), 0o755); err != nil {
		return err
	}
	out, err := outputFile(b.cfg.Output)
	if err != nil {
		return err
	}
	defer out.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	argv := b.cfg.Command
	if len(argv) == 0 {
		// This very program, even where its file was replaced meanwhile.
		argv = []string{"/proc/self/exe", "balance"}
	}
	argv = append(argv[:len(argv):len(argv)], "--listen", b.cfg.Listen, "--control", control)
	if b.cfg.Check.HTTP != "" {
		argv = append(argv, "--ready", b.cfg.Check.HTTP)
	}
	p, err := os.StartProcess(argv[0], argv, &os.ProcAttr{
		Dir: "/", Env: os.Environ(),
		Files: []*os.File{null, out, out},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	b.child = p.Pid
	return p.Release()
}

// largestOutput is how much a balancer's output may measure before it starts
// anew; of an earlier balancer's one generation is kept.
const largestOutput = 8 << 20

// boundOutput empties the running balancer's file when it grew too large. It
// appends, so what follows starts at the beginning.
func (b *Balance) boundOutput() error {
	s, err := os.Stat(b.cfg.Output)
	if errors.Is(err, os.ErrNotExist) || err == nil && s.Size() <= largestOutput {
		return nil
	}
	if err == nil {
		err = os.Truncate(b.cfg.Output, 0)
	}
	if err != nil {
		return fmt.Errorf("bound the balancer's output: %w", err)
	}
	return nil
}

func outputFile(path string) (*os.File, error) {
	if s, err := os.Stat(path); err == nil && s.Size() > largestOutput {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// reap takes the exit status of a balancer that we started, if it ended.
func (b *Balance) reap() (status int, ended bool) {
	if b.child == 0 {
		return 0, false
	}
	var ws syscall.WaitStatus
	pid, err := syscall.Wait4(b.child, &ws, syscall.WNOHANG, nil)
	if err == nil && pid == 0 || errors.Is(err, syscall.EINTR) {
		return 0, false
	}
	b.child = 0
	return ws.ExitStatus(), true
}
