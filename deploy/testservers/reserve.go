package testservers

import (
	"errors"
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
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		held, err := reserve("port/" + strconv.Itoa(port))
		if err != nil {
			continue
		}
		if err := bindable("127.0.0.1", port); err != nil {
			_ = held.Close()
			continue
		}
		s.held = append(s.held, held)
		return port, nil
	}
	return 0, errors.New("find a free port: 1000 tries were not enough")
}

// bindable says whether nobody listens there.
func bindable(host string, port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return l.Close()
}
