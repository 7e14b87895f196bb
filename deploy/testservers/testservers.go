// Package testservers starts real servers on loopback for tests and demos:
// PostgreSQL with a standby, Cassandra, Elasticsearch, HAProxy and a container
// engine. It stands on the standard library alone, so that whoever tests with it
// takes nothing else in.
//
// A test calls StartPostgres and its like, and the server ends with the test; or
// SharedPostgres and its like, and the server ends with the test process, whose
// TestMain calls Main. Another program makes a Group. However the program ends,
// even by SIGKILL, it leaves no process and no file behind, but for the logs of
// servers in failed tests. A server that is not installed skips the test; under
// CI=true it fails it.
package testservers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
)

// tests is what the tests of this process share. Tests have no other place for it.
var tests shared

// shared is the group of a test process and the servers that its tests share.
type shared struct {
	mu      sync.Mutex
	group   *Group
	servers map[string]*answer
}

// An answer is a shared server, or why there is none.
type answer struct {
	once   sync.Once
	server any
	err    error
}

// Main runs the tests and then ends the servers that they shared. It returns the
// exit code: func TestMain(m *testing.M) { os.Exit(testservers.Main(m)) }.
func Main(m *testing.M) int {
	code := m.Run()
	tests.mu.Lock()
	defer tests.mu.Unlock()
	if tests.group == nil {
		return code
	}
	if err := tests.group.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// open returns the group of this test process.
func (s *shared) open() (*Group, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.group != nil {
		return s.group, nil
	}
	g, err := NewGroup()
	s.group = g
	return g, err
}

// answerTo returns the place of a shared server.
func (s *shared) answerTo(kind string) *answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.servers == nil {
		s.servers = map[string]*answer{}
	}
	if s.servers[kind] == nil {
		s.servers[kind] = &answer{}
	}
	return s.servers[kind]
}

// servers are one server, or several that belong together.
type servers interface{ all() []*Server }

// begin starts a server for one test.
func begin[S servers](t testing.TB, start func(context.Context, *Group) (S, error)) S {
	t.Helper()
	g, err := tests.open()
	check(t, err)
	s, err := start(t.Context(), g)
	check(t, err)
	t.Cleanup(func() {
		keepLogs(t, s)
		if err := removeAll(s.all()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// share returns the one server of its kind in this process; the first test that
// asks starts it.
func share[S servers](t testing.TB, kind string, start func(context.Context, *Group) (S, error)) S {
	t.Helper()
	a := tests.answerTo(kind)
	a.once.Do(func() {
		var g *Group
		if g, a.err = tests.open(); a.err == nil {
			a.server, a.err = start(context.Background(), g)
		}
	})
	check(t, a.err)
	s := a.server.(S)
	t.Cleanup(func() { keepLogs(t, s) })
	return s
}

// check ends the test if there is an error: a server that is not installed is
// none, but under CI=true.
func check(t testing.TB, err error) {
	t.Helper()
	var m *Missing
	switch {
	case err == nil:
	case errors.As(err, &m) && os.Getenv("CI") != "true":
		t.Skip(m)
	default:
		t.Fatal(err)
	}
}

// keepLogs keeps the logs of servers whose test failed.
func keepLogs(t testing.TB, started servers) {
	t.Helper()
	if !t.Failed() {
		return
	}
	for _, s := range started.all() {
		path, err := s.keepLog()
		if err != nil {
			t.Log(err)
			continue
		}
		t.Logf("the log of %s is kept in %s and ends with\n%s", s.name, path, s.lastLines())
	}
}
