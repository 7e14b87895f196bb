package testservers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// mark is the variable that each process finds the directory of its server in.
const mark = "FLYBALL_TESTSERVER"

// A Group is servers that were started by one program in one temporary
// directory, and that end with it, however it ends. It is safe for concurrent
// use.
type Group struct {
	dir    string
	warden *warden

	mu      sync.Mutex
	servers []*Server
	counts  map[string]int // servers of a kind so far

	// postgresTemplate makes a data directory to copy, once.
	postgresTemplate func() (string, error)
}

// NewGroup makes an empty group.
func NewGroup() (*Group, error) {
	dir, err := os.MkdirTemp("", "flyball-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for servers: %w", err)
	}
	// Servers that run as another user have to pass through.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	w, err := post(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	g := &Group{dir: dir, warden: w, counts: map[string]int{}}
	g.postgresTemplate = sync.OnceValues(g.makePostgresTemplate)
	return g, nil
}

// Close ends all servers of the group, the last one first, and removes what they
// wrote.
func (g *Group) Close() error {
	return errors.Join(removeAll(g.living()), slay(g.dir), os.RemoveAll(g.dir), g.warden.dismiss())
}

// living returns the servers that were not removed yet, in the order of their starts.
func (g *Group) living() []*Server {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.servers)
}

// place makes the directory of a server that is not started yet.
func (g *Group) place(kind string) (*Server, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counts[kind]++
	s := &Server{group: g, name: fmt.Sprintf("%s-%d", kind, g.counts[kind])}
	s.dir = filepath.Join(g.dir, s.name)
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a directory for %s: %w", s.name, err)
	}
	g.servers = append(g.servers, s)
	return s, nil
}

func (g *Group) forget(s *Server) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.servers = slices.DeleteFunc(g.servers, func(o *Server) bool { return o == s })
}

// command prepares a program that works in dir and ends with the group, but is
// no part of a server.
func (g *Group) command(ctx context.Context, dir, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), mark+"="+g.dir+"/")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}
