package testservers

import (
	"context"
	"syscall"
	"testing"
)

// Freeze stops all processes of the server where they are: its connections stay
// open, new ones are taken by the kernel, and nobody answers.
func (s *Server) Freeze(t testing.TB) {
	t.Helper()
	if _, err := halt(s.dir); err != nil {
		t.Fatalf("freeze %s: %v", s.name, err)
	}
}

// Thaw lets a frozen server go on.
func (s *Server) Thaw(t testing.TB) {
	t.Helper()
	s.signalAll(syscall.SIGCONT)
}

// Kill ends all processes of the server with SIGKILL, and waits until they are
// gone. Data and ports stay the server's.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if err := s.kill(); err != nil {
		t.Fatal(err)
	}
}

// Stop asks the server to end, and waits until it has. Data and ports stay the
// server's.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
}

// Restart starts the server again, on the same data and ports, and waits until
// it serves. If it still runs it is asked to end first.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.start(context.Background()); err != nil {
		t.Fatal(err)
	}
}
