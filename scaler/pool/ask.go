package pool

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
)

// A dialer connects to members.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// newAsker returns how a member at an address is asked whether it takes
// requests; nil is a yes. Each question is a connection of its own: an old one
// says nothing about whether a new one is taken.
func newAsker(c Ready, dial dialer) func(ctx context.Context, addr string) error {
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true, DisableCompression: true}
	return func(ctx context.Context, addr string) error {
		if c.Port != 0 {
			host, _, err := net.SplitHostPort(addr)
			if err != nil {
				return fmt.Errorf("ask member: %w", err)
			}
			addr = net.JoinHostPort(host, strconv.Itoa(c.Port))
		}
		if c.HTTP == "" {
			return connect(ctx, dial, addr)
		}
		return get(ctx, transport, "http://"+addr+c.HTTP)
	}
}

func connect(ctx context.Context, dial dialer, addr string) error {
	conn, err := dial(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("ask member: %w", err)
	}
	return conn.Close()
}

// get asks by HTTP. A redirection is a yes and is not followed: wherever it
// leads, it is not this member.
func get(ctx context.Context, t *http.Transport, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("ask member: %w", err)
	}
	req.Header.Set("User-Agent", "flyball-ready")
	res, err := t.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("ask member: %w", err)
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // the status is the answer
	if res.StatusCode < 200 || res.StatusCode > 399 {
		return fmt.Errorf("ask member: %s", res.Status)
	}
	return nil
}
