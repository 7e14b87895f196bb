package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Client is a [Doer] over HTTP. Make it with [NewClient].
type Client struct {
	base      string
	transport *http.Transport
}

// idleTime is how long a connection is kept without requests: less than servers keep
// it, who would close it as a request is under way. HAProxies of ours keep it for 2 s.
const idleTime = time.Second

// NewClient makes a client of the app under a base URL. Connections are kept
// alive, at most as many idle ones as are given.
func NewClient(base string, idle int) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" {
		return nil, errors.New("make client: the URL must be such as http://127.0.0.1:8080")
	}
	return &Client{
		base: strings.TrimRight(base, "/") + "/api/products/",
		transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			MaxIdleConns:        idle,
			MaxIdleConnsPerHost: idle,
			IdleConnTimeout:     idleTime,
			DisableCompression:  true,
		},
	}, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// once is a body that can be read once. [http.Transport] by itself repeats a
// request whose connection died, unless it has a body that cannot be had again; an
// empty one will do, and is not sent.
type once struct{ r io.Reader }

func (o once) Read(b []byte) (int, error) { return o.r.Read(b) }
func (o once) Close() error               { return nil }

// Do is described at [Doer].
func (c *Client) Do(ctx context.Context, op Op, it *Item) string {
	req, want, err := c.request(ctx, op, it)
	if err != nil {
		return "request"
	}
	res, err := c.transport.RoundTrip(req)
	if err != nil {
		return kindOf(err)
	}
	// The answer is read to its end, so that the connection is used again.
	_, err = io.Copy(io.Discard, res.Body)
	res.Body.Close()
	switch {
	case res.StatusCode != want:
		return "status_" + strconv.Itoa(res.StatusCode)
	case err != nil:
		return kindOf(err)
	case op != Delete && res.Header.Get("ETag") == "":
		return "no_etag"
	case op == Read && res.Header.Get("ETag") != it.ETag:
		return "wrong_etag" // it is not what this run wrote last
	}
	if op != Delete {
		it.ETag = res.Header.Get("ETag")
	}
	return ""
}

// request makes the request of an operation and says which status is expected.
func (c *Client) request(ctx context.Context, op Op, it *Item) (req *http.Request, want int, err error) {
	var body []byte
	method := http.MethodGet
	want = http.StatusOK
	switch op {
	case Create:
		method, want, body = http.MethodPut, http.StatusCreated, content()
	case Update:
		method, body = http.MethodPut, content()
	case Delete:
		method, want = http.MethodDelete, http.StatusNoContent
	}
	req, err = http.NewRequestWithContext(ctx, method, c.base+it.ID, once{bytes.NewReader(body)})
	if err != nil {
		return nil, 0, fmt.Errorf("make request: %w", err)
	}
	req.ContentLength = int64(len(body))
	switch op {
	case Create:
		req.Header.Set("If-None-Match", "*")
	case Update, Delete:
		req.Header.Set("If-Match", it.ETag)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, want, nil
}

// content is a product of no meaning.
func content() []byte {
	types := []string{"book", "lamp", "chair", "bicycle"}
	n := rand.IntN(1000)
	b, err := json.Marshal(map[string]any{
		"type":       types[n%len(types)],
		"name":       fmt.Sprintf("Load test %d", n),
		"parameters": map[string]any{"size": n, "colour": "red", "in stock": n%2 == 0},
	})
	if err != nil {
		return nil
	}
	return b
}

// kindOf names a failure below HTTP.
func kindOf(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection_refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection_reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(err.Error(), "server closed idle connection"):
		return "connection_closed"
	}
	return "transport"
}
