// Package container watches the containers of one engine through its
// Docker-compatible socket: Docker, or podman. Names and labels follow cAdvisor
// where it has them, so that dashboards made for it work.
package container

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/moby/moby/client"

	"flyball/collector/exporter"
)

// connectTimeout is how long an engine may take to accept a connection.
const connectTimeout = 5 * time.Second

// Dial makes a client of the engine at a socket, unix:///path or tcp://host:port.
// Nothing is reached yet: at the first call the client and the engine agree on a
// version of the API, 1.40 (Docker 19.03) or later. Connecting takes at most 5 s;
// for all else the caller's context is the limit. Close it in the end.
//
// An error of a call has the reason that [exporter.Reason] tells when the engine
// could not be reached.
func Dial(socket string) (*client.Client, error) { return dial(socket) }

func dial(socket string, more ...client.Opt) (*client.Client, error) {
	network, address, err := splitSocket(socket)
	if err != nil {
		return nil, err
	}
	// The usual two idle connections would have most of many calls at once connect anew.
	transport := &http.Transport{
		MaxIdleConns: workers, MaxIdleConnsPerHost: workers,
		IdleConnTimeout: 30 * time.Second, TLSHandshakeTimeout: connectTimeout,
	}
	c, err := client.New(append([]client.Opt{
		client.WithHTTPClient(&http.Client{Transport: transport, CheckRedirect: client.CheckRedirect}),
		client.WithHost(socket),
		client.WithScheme("http"), // or it would take TLS for meant, which the transport can do
		client.WithDialContext(dialer(network, address)),
		client.WithUserAgent("flyball"),
	}, more...)...)
	if err != nil {
		return nil, fmt.Errorf("make a client of the engine at %s: %w", socket, err)
	}
	return c, nil
}

// splitSocket takes the address of an engine apart.
func splitSocket(socket string) (network, address string, err error) {
	network, address, _ = strings.Cut(socket, "://")
	switch network {
	case "unix":
		if !filepath.IsAbs(address) {
			return "", "", fmt.Errorf("socket %q is not unix:// and an absolute path", socket)
		}
	case "tcp":
		host, port, err := net.SplitHostPort(address)
		if err != nil || host == "" || port == "" {
			return "", "", fmt.Errorf("socket %q is not tcp://host:port", socket)
		}
	default:
		return "", "", fmt.Errorf("socket %q is neither unix:///path nor tcp://host:port", socket)
	}
	return network, address, nil
}

// unreachable is why no connection could be made.
type unreachable struct{ error }

func (u unreachable) Unwrap() error { return u.error }

// dialer connects to one address, whichever is asked for. The client replaces
// most errors of a connection by words of its own, and the cause is lost; so the
// reason is told while it is still known.
func dialer(network, address string) func(context.Context, string, string) (net.Conn, error) {
	d := &net.Dialer{Timeout: connectTimeout}
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := d.DialContext(ctx, network, address)
		if err == nil || ctx.Err() != nil {
			return conn, err
		}
		why := exporter.Reason(err)
		return nil, unreachable{exporter.Because(why, fmt.Errorf("connect to %s: %s: %s", address, rootCause(err), advice(why)))}
	}
}

// rootCause leaves out what a network's error repeats of the address. It has other
// words for a refusal, by which the client knows one, and replaces it.
func rootCause(err error) error {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return errors.New("nobody listens")
	}
	return err
}

func advice(reason string) string {
	if reason == exporter.Permission {
		return "let the user of this process into the group of the socket"
	}
	return "see whether the engine runs, and listens there"
}
