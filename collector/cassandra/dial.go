package cassandra

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"

	"github.com/gocql/gocql"
)

var errShut = errors.New("a link dials only while it is opened")

// A dialer makes the connections of one link. It dials one node only, whatever
// the driver asks for, and only while the link is being opened: a driver that
// reconnects by itself does so every second to a node that is down, and comes to
// watch other nodes than the one it was made for.
type dialer struct {
	ctx     context.Context // of the opening
	address string          // host:port
	tls     *tls.Config     // nil: none

	mu    sync.Mutex
	shut  bool
	conns []net.Conn
	err   error // the last connect that failed
}

// DialHost connects to the node.
func (d *dialer) DialHost(context.Context, *gocql.HostInfo) (*gocql.DialedHost, error) {
	d.mu.Lock()
	shut := d.shut
	d.mu.Unlock()
	if shut {
		return nil, errShut
	}
	conn, err := new(net.Dialer).DialContext(d.ctx, "tcp", d.address)
	if err != nil {
		return nil, err
	}
	if d.tls != nil {
		secure := tls.Client(conn, d.tls)
		if err := secure.HandshakeContext(d.ctx); err != nil {
			conn.Close()
			return nil, err
		}
		conn = secure
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut {
		conn.Close()
		return nil, errShut
	}
	d.conns = append(d.conns, conn)
	return &gocql.DialedHost{Conn: conn, DisableCoalesce: true}, nil
}

// ObserveConnect remembers why a connect failed: the driver passes on the text only.
func (d *dialer) ObserveConnect(o gocql.ObservedConnect) {
	if o.Err == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = o.Err
}

// close refuses to dial any more.
func (d *dialer) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = true
}

// cut closes all connections, too, so that nothing waits on them.
func (d *dialer) cut() {
	d.close()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.conns {
		c.Close()
	}
}

// failed is why the last connect failed, or else what the driver says.
func (d *dialer) failed(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return d.err
	}
	return err
}
