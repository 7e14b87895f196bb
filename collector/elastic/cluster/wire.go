package cluster

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
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
	config Config
	packs  sync.Pool // of *pack

	mu        sync.Mutex
	transport *http.Transport
	ca        string // what the file held that transport is made for
}

// A pack is what a compressed body is made with, and in.
type pack struct {
	writer *gzip.Writer
	bytes  bytes.Buffer
}

func newWire(c Config) *wire {
	return &wire{config: c, packs: sync.Pool{New: func() any {
		w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // a level that exists
		return &pack{writer: w}
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

// pack returns body as it is sent, and sets the header that says so. done must be
// called when it has been.
func (w *wire) pack(h http.Header, body []byte) (packed []byte, done func(), err error) {
	if !w.config.Compress || len(body) < 1024 {
		return body, func() {}, nil
	}
	p := w.packs.Get().(*pack)
	done = func() { w.packs.Put(p) }
	p.bytes.Reset()
	p.writer.Reset(&p.bytes)
	if _, err = p.writer.Write(body); err == nil {
		err = p.writer.Close()
	}
	if err != nil {
		return nil, done, fmt.Errorf("compress a request: %w", err)
	}
	h.Set("Content-Encoding", "gzip")
	return p.bytes.Bytes(), done, nil
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}
