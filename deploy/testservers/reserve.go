package testservers

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken below those that Linux gives to outgoing connections (32768 and
// up), so that the port of a server that is down is not taken by one of them.
const firstPort, lastPort = 12000, 29999

// reserve takes a name for this program alone, until it is closed or the program
// ends. It is an abstract socket, which leaves no file and, as ports do, belongs
// to the network namespace.
func reserve(name string) (io.Closer, error) {
	return net.Listen("unix", "@flyball/testservers/"+name)
}

// port returns a free port of 127.0.0.1 that stays the server's until it is removed.
func (s *Server) port() (int, error) {
	port, held, err := freePort()
	if err == nil {
		s.held = append(s.held, held)
	}
	return port, err
}

// freePort returns a port of 127.0.0.1 that is this program's until held is closed.
func freePort() (port int, held io.Closer, err error) {
	for range 1000 {
		port = firstPort + rand.IntN(lastPort-firstPort+1)
		if held, err = reserve("port/" + strconv.Itoa(port)); err != nil {
			continue
		}
		if err = bindable("127.0.0.1", port); err == nil {
			return port, held, nil
		}
		_ = held.Close()
	}
	return 0, nil, fmt.Errorf("find a free port: 1000 tries were not enough: %w", err)
}

// loopback returns 127.0.0.1:port.
func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// bindable says whether nobody listens there.
func bindable(host string, port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return l.Close()
}
