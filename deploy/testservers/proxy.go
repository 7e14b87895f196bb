package testservers

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// A Proxy passes TCP connections on to a server, and fails as networks do when
// it is told to. It is safe for concurrent use.
type Proxy struct {
	addr, target string
	wait         sync.WaitGroup

	mu        sync.Mutex
	changed   *sync.Cond    // hung or links
	listener  net.Listener  // nil while it is cut
	accepting chan struct{} // closed once nobody listens any more
	hung      bool
	links     map[*link]bool
}

// A link is one client's connection and the one to the server behind it.
type link struct {
	client, server net.Conn // server is nil until it is dialled
}

// StartProxy starts a proxy before target, host:port, for one test. The target
// is dialled for each connection, so it may come and go.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	port, held, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{addr: loopback(port), target: target, links: map[*link]bool{}}
	p.changed = sync.NewCond(&p.mu)
	p.Restore(t)
	t.Cleanup(func() {
		p.Cut()
		p.wait.Wait()
		_ = held.Close()
	})
	return p
}

// Addr returns where the proxy listens: 127.0.0.1:port. It stays the same.
func (p *Proxy) Addr() string { return p.addr }

// Connections returns how many clients are connected.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Cut resets all connections and refuses new ones.
func (p *Proxy) Cut() {
	p.mu.Lock()
	accepting := p.accepting
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	for l := range p.links {
		p.drop(l)
	}
	p.mu.Unlock()
	<-accepting // until then the port is not free
}

// Hang keeps connections open and takes new ones, and lets no byte through. What
// was sent arrives after Restore.
func (p *Proxy) Hang() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hung = true
}

// Restore ends Cut and Hang.
func (p *Proxy) Restore(t testing.TB) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hung = false
	p.changed.Broadcast()
	if p.listener != nil {
		return
	}
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		t.Fatalf("restore the proxy of %s: %v", p.target, err)
	}
	done := make(chan struct{})
	p.listener, p.accepting = l, done
	p.wait.Go(func() {
		defer close(done)
		p.accept(l)
	})
}

// accept takes connections until the listener is closed.
func (p *Proxy) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		l := &link{client: client}
		p.mu.Lock()
		p.links[l] = true
		if p.listener != listener { // it was cut meanwhile
			p.drop(l)
		}
		p.mu.Unlock()
		p.wait.Go(func() { p.serve(l) })
	}
}

// serve passes both ways until both have ended.
func (p *Proxy) serve(l *link) {
	if !p.passes(l) {
		return
	}
	server, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	p.mu.Lock()
	switch {
	case err != nil:
		p.drop(l)
	case p.links[l]:
		l.server = server
	default: // it was cut meanwhile
		_ = server.Close()
	}
	p.mu.Unlock()
	if l.server == nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pass(l, server, l.client) })
	both.Go(func() { p.pass(l, l.client, server) })
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(l)
}

// pass copies one way, and passes the end on, too.
func (p *Proxy) pass(l *link, to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, readErr := from.Read(buf)
		if !p.passes(l) {
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				readErr = err
			}
		}
		if readErr == io.EOF {
			_ = to.(*net.TCPConn).CloseWrite()
			return
		}
		if readErr != nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.drop(l)
			return
		}
	}
}

// passes waits until bytes may go through, and says whether l is open still.
func (p *Proxy) passes(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.hung && p.links[l] {
		p.changed.Wait()
	}
	return p.links[l]
}

// drop resets both connections of a link. The caller holds the lock.
func (p *Proxy) drop(l *link) {
	_ = l.client.(*net.TCPConn).SetLinger(0)
	if l.server != nil {
		_ = l.server.(*net.TCPConn).SetLinger(0)
	}
	p.forget(l)
}

// forget closes a link. The caller holds the lock.
func (p *Proxy) forget(l *link) {
	if !p.links[l] {
		return
	}
	delete(p.links, l)
	_ = l.client.Close()
	if l.server != nil {
		_ = l.server.Close()
	}
	p.changed.Broadcast()
}
