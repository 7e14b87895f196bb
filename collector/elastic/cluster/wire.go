package cluster

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
	"github.com/elastic/go-elasticsearch/v8"
	"github.com/klauspost/compress/gzip"
)

// A wire carries requests to a cluster's nodes: it puts on who asks, and
// compresses. Files of secrets are read for each request, those of certificates
// for each connection.
type wire struct {
	config  Config
	writers sync.Pool // of *gzip.Writer

	mu        sync.Mutex
	transport *http.Transport
	ca        string // what the file held that transport is made for
}

func newWire(c Config) *wire {
	return &wire{config: c, writers: sync.Pool{New: func() any {
		w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // a level that exists
		return w
	}}}
}

// client is the library's client over w. It sends no request again by itself.
func (w *wire) client(agent string) (*elasticsearch.BaseClient, error) {
	pool := func(cs []*elastictransport.Connection, _ elastictransport.Selector) elastictransport.ConnectionPool {
		return newNodes(cs, time.Now)
	}
	options := []elastictransport.Option{
		elastictransport.WithTransport(w),
		elastictransport.WithDisableRetry(),
		elastictransport.WithConnectionPoolFunc(pool),
	}
	if agent != "" {
		options = append(options, elastictransport.WithUserAgent(agent))
	}
	client, err := elasticsearch.NewBase(elasticsearch.WithAddresses(w.config.URLs...), elasticsearch.WithTransportOptions(options...))
	if err != nil { // which may quote an address
		return nil, errors.New("make a client of Elasticsearch: an address cannot be read; check urls")
	}
	return client, nil
}

// sign puts on r who asks, and returns what takes that out of a text.
func (w *wire) sign(r *http.Request) (hide func(string) string, err error) {
	authorization, err := w.config.authorization()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFile, err)
	}
	if authorization == "" {
		return func(s string) string { return s }, nil
	}
	r.Header.Set("Authorization", authorization)
	_, secret, _ := strings.Cut(authorization, " ")
	pairs := []string{secret, "(hidden)"}
	if user, err := base64.StdEncoding.DecodeString(secret); err == nil {
		if _, password, ok := strings.Cut(string(user), ":"); ok && password != "" {
			pairs = append(pairs, password, "(hidden)")
		}
	}
	return strings.NewReplacer(pairs...).Replace, nil
}

// RoundTrip sends one request to the node that it names. A success that is not
// Elasticsearch's is an error.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	t, err := w.current()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFile, err)
	}
	a, err := t.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.URL.Host, err)
	}
	if a.StatusCode < 300 && !genuine(a.Header) {
		_ = a.Body.Close()
		return nil, fmt.Errorf("%s: %w", r.URL.Host, errStranger)
	}
	return a, nil
}

// current is the transport for what the file of authorities holds now.
func (w *wire) current() (*http.Transport, error) {
	var held []byte
	if w.config.CAFile != "" {
		var err error
		if held, err = read(w.config.CAFile); err != nil {
			return nil, err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.transport != nil && w.ca == string(held) {
		return w.transport, nil
	}
	roots, err := w.config.authorities()
	if err != nil {
		return nil, err
	}
	if w.transport != nil {
		w.transport.CloseIdleConnections()
	}
	w.transport, w.ca = w.newTransport(roots), string(held)
	return w.transport, nil
}

func (w *wire) newTransport(roots *x509.CertPool) *http.Transport {
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     time.Minute,
		WriteBufferSize:     64 << 10,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
	}
	if w.config.CertFile != "" {
		t.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			c, err := w.config.certificate()
			if err != nil {
				return nil, fmt.Errorf("%w: %w", errFile, err)
			}
			return c, nil
		}
	}
	return t
}

func (w *wire) closeIdle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.transport != nil {
		w.transport.CloseIdleConnections()
	}
}

// pack compresses the body of r, if that is worth it. The bytes are nobody else's
// afterwards: a connection may read from them when the request is over already.
func (w *wire) pack(r *http.Request) error {
	if !w.config.Compress || r.ContentLength < leastPacked {
		return nil
	}
	packed := bytes.NewBuffer(make([]byte, 0, r.ContentLength/6))
	z := w.writers.Get().(*gzip.Writer)
	defer w.writers.Put(z)
	z.Reset(packed)
	_, err := io.Copy(z, r.Body)
	if err = errors.Join(err, z.Close(), r.Body.Close()); err != nil {
		return fmt.Errorf("compress a request: %w", err)
	}
	r.Header.Set("Content-Encoding", "gzip")
	r.ContentLength = int64(packed.Len())
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil }
	r.Body, err = r.GetBody()
	return err
}

// leastPacked is the size from which on a body is compressed.
const leastPacked = 1 << 10

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}
