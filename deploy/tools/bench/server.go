package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/procfs"
)

// startLimit is how long a server may take until it is ready, and until it has stopped.
const startLimit = 30 * time.Second

// A server is a running process of a peer.
type server struct {
	url  string
	up   string // path
	cmd  *exec.Cmd
	done chan error // the process has ended
	log  string     // file with its output
}

// start runs a peer in a folder of its own and waits until it is ready.
func start(ctx context.Context, p peer, dir string, scrape map[string]any) (*server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	command, err := p.prepare(dir, addr, scrape)
	if err != nil {
		return nil, err
	}
	s := &server{url: "http://" + addr, up: cmp.Or(p.ready, "/-/ready"), done: make(chan error, 1), log: filepath.Join(dir, "log")}
	output, err := os.Create(s.log)
	if err != nil {
		return nil, fmt.Errorf("create log: %w", err)
	}
	defer output.Close()
	binary, err := filepath.Abs(command[0]) // it runs in a folder of its own
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", p.name, err)
	}
	s.cmd = exec.Command(binary, command[1:]...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = dir, output, output
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	go func() { s.done <- s.cmd.Wait() }()
	if err := s.awaitReady(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("wait for %s: %w", p.name, err), s.stop())
	}
	return s, nil
}

// freeAddr is a loopback address that nobody listened on a moment ago.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

func (s *server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		err := s.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case ended := <-s.done:
			s.done <- ended
			return fmt.Errorf("it ended (%w) and said: %s", ended, s.lastWords())
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *server) ready(ctx context.Context) error {
	res, err := s.get(ctx, s.up)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// get answers with a response of status 200 only.
func (s *server) get(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", path, err)
	}
	if res.StatusCode != http.StatusOK {
		_ = res.Body.Close()
		return nil, fmt.Errorf("get %s: status %s", path, res.Status)
	}
	return res, nil
}

// stop asks the process to end, and ends it the hard way when it does not.
func (s *server) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended
	select {
	case <-s.done:
		return nil
	case <-time.After(startLimit):
		err := fmt.Errorf("stop %s: still running after %s: killed", s.cmd.Path, startLimit)
		err = errors.Join(err, s.cmd.Process.Kill())
		<-s.done
		return err
	}
}

// A usage is what a server has used and stored since it started.
type usage struct {
	cpu     float64 // seconds, user and system
	rss     float64 // bytes
	samples float64 // appended to the head
}

// used reads CPU and memory from /proc, and the samples from the server's own metrics.
func (s *server) used(ctx context.Context) (usage, error) {
	res, err := s.get(ctx, "/metrics")
	if err != nil {
		return usage{}, err
	}
	defer res.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(res.Body)
	if err != nil {
		return usage{}, fmt.Errorf("parse metrics of %s: %w", s.cmd.Path, err)
	}
	u := usage{} // the family is absent while nothing has been stored
	for _, m := range families["prometheus_tsdb_head_samples_appended_total"].GetMetric() {
		u.samples += m.GetCounter().GetValue()
	}
	u.cpu, u.rss, err = s.process()
	return u, err
}

func (s *server) process() (cpu, rss float64, err error) {
	proc, err := procfs.NewProc(s.cmd.Process.Pid)
	if err != nil {
		return 0, 0, fmt.Errorf("find process: %w", err)
	}
	stat, err := proc.Stat()
	if err != nil {
		return 0, 0, fmt.Errorf("read process: %w", err)
	}
	return stat.CPUTime(), float64(stat.ResidentMemory()), nil
}

// lastWords is the end of the process' output.
func (s *server) lastWords() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}
