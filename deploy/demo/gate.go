package demo

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// A gate stands on a port of its own before a server and passes connections on
// while it is open. While it is closed it resets those that there are, and each
// new one: whoever asks through it finds the server gone, and nobody else does.
// It is safe for concurrent use.
type gate struct {
	listener net.Listener
	target   string // host:port
	wait     sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]bool // both sides of all connections
}

// openGate starts a gate on loopback. The target is dialled anew for each
// connection.
func openGate(target string) (*gate, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open a gate before %s: %w", target, err)
	}
	g := &gate{listener: l, target: target, conns: map[net.Conn]bool{}}
	g.wait.Go(g.accept)
	return g, nil
}

func (g *gate) addr() string { return g.listener.Addr().String() }

// shut cuts all connections off, and new ones until [gate.open].
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for c := range g.conns {
		g.drop(c)
	}
}

// open lets new connections through again.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = false
}

// end closes the gate for good and waits until nothing of it runs.
func (g *gate) end() error {
	err := g.listener.Close()
	g.shut()
	g.wait.Wait()
	return err
}

// accept takes connections until the listener is closed.
func (g *gate) accept() {
	for {
		client, err := g.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // too many open files, or a client that has gone
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if g.admit(client) {
			g.wait.Go(func() { g.serve(client) })
		}
	}
}

// admit notes a connection, or resets it if the gate is closed.
func (g *gate) admit(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conns[c] = true
	if g.closed {
		g.drop(c)
	}
	return !g.closed
}

// serve passes both ways until both have ended.
func (g *gate) serve(client net.Conn) {
	defer g.release(client)
	server, err := net.DialTimeout("tcp", g.target, 2*time.Second)
	if err != nil || !g.admit(server) {
		return
	}
	defer g.release(server)
	var both sync.WaitGroup
	both.Go(func() { g.pass(server, client) })
	both.Go(func() { g.pass(client, server) })
	both.Wait()
}

// pass copies one way, and passes the end on, too. What breaks one way breaks both.
func (g *gate) pass(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if err == nil {
		err = to.(*net.TCPConn).CloseWrite()
	}
	if err != nil {
		g.release(to)
		g.release(from)
	}
}

// release resets a connection, if that has not been done.
func (g *gate) release(c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conns[c] {
		g.drop(c)
	}
}

// drop resets a connection. The caller holds the lock.
func (g *gate) drop(c net.Conn) {
	delete(g.conns, c)
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}
