package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	mostAnswer = 64 << 20 // bytes that an answer may have
	mostError  = 64 << 10 // bytes of an error's answer that are read
)

// Do sends one JSON request, e.g. GET /_cluster/health, and returns the answer's
// body, of at most 64 MB. body may be nil. Path may hold a query and must be
// escaped. An address that cannot be connected to is passed over for the next;
// nothing else is tried again. A status of 300 or above is a *StatusError; without
// an answer within the configured time-out, the error says so.
func (c *Cluster) Do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	answer, _, err := c.do(ctx, method, path, body)
	return answer, err
}

func (c *Cluster) do(ctx context.Context, method, path string, body []byte) ([]byte, http.Header, error) {
	ctx, cancel := c.limited(ctx)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http:///"+strings.TrimPrefix(path, "/"), bytes.NewReader(body))
	if err != nil {
		return nil, nil, fmt.Errorf("make a request to Elasticsearch: %w", err)
	}
	a, err := c.ask(r)
	if err != nil {
		return nil, nil, err
	}
	defer a.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(a.Body, mostAnswer+1))
	if err == nil && len(answer) > mostAnswer {
		err = fmt.Errorf("it has more than %d MB: ask for less", mostAnswer>>20)
	}
	return answer, a.Header, c.note(unread(ctx, err))
}

// limited ends with errSlow when a request has taken as long as it may.
func (c *Cluster) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout := time.Duration(c.config.Timeout)
	return context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%w (%s)", errSlow, timeout))
}

// ask sends r to one node after the other, until one can be connected to. The
// answer's status is below 300; its body is the caller's to read and close, who then
// notes how that ended. Errors are noted.
func (c *Cluster) ask(r *http.Request) (*http.Response, error) {
	if r.ContentLength > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	if err := c.wire.pack(r); err != nil {
		return nil, err
	}
	path := r.URL.Path
	for tried := 1; ; tried++ {
		a, err := c.askOne(r)
		if err == nil || !unconnected(err) || tried >= len(c.config.URLs) || r.Context().Err() != nil {
			return a, err
		}
		r.URL.Path = path // without the address's own, which the library has put before it
		if r.Body, err = r.GetBody(); err != nil {
			return nil, fmt.Errorf("ask Elasticsearch: %w", err)
		}
	}
}

// askOne sends r to the node whose turn it is.
func (c *Cluster) askOne(r *http.Request) (*http.Response, error) {
	hide, err := c.wire.sign(r)
	if err != nil {
		return nil, c.note(fmt.Errorf("ask Elasticsearch: %w", err))
	}
	began := time.Now()
	a, err := c.client.Perform(r)
	c.options.Metrics.asked(time.Since(began), r.ContentLength)
	c.health.count(func(s *Status) { s.Requests++; s.Bytes += uint64(r.ContentLength) })
	if err != nil {
		return nil, c.note(fmt.Errorf("ask Elasticsearch: %w", because(r.Context(), err)))
	}
	if a.StatusCode < 300 {
		return a, nil
	}
	defer a.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(a.Body, mostError))
	e := parseStatusError(a.StatusCode, text)
	e.Reason = hide(e.Reason)
	e.genuine = genuine(a.Header)
	e.after = retryAfter(a.Header, time.Now())
	return nil, c.note(e)
}

// unread is that an answer that began could not be read; nil if err is.
func unread(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("read Elasticsearch's answer: %w", because(ctx, err))
}

// because is err, or why ctx ended, if it did.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// unconnected says whether an error came before the server had any request.
func unconnected(err error) bool {
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &op) && op.Op == "dial" || errors.As(err, &certificate)
}
