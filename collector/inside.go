package collector

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

// Addresses of what is scraped without a socket. The top-level domain is
// reserved for names that are never to be resolved.
const (
	selfAddress  = "self.flyball.invalid:80"
	hostAddress  = "host.flyball.invalid:80"
	watchAddress = "collect.flyball.invalid:80"
)

var errStopped = errors.New("collector has stopped")

// inside serves Flyball's own metrics, this host's and those of what is watched
// over pipes in memory.
type inside struct {
	server *http.Server
	conns  chan net.Conn
	done   chan struct{}
	once   sync.Once
}

func newInside(o Options, watched http.Handler) (*inside, error) {
	mux := http.NewServeMux()
	// What one part does not tell must not cost the rest.
	lenient := promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}
	mux.Handle("collect.flyball.invalid/", watched)
	mux.Handle("self.flyball.invalid/metrics", promhttp.HandlerFor(o.Self, lenient))
	if o.Host != nil {
		host := prometheus.NewRegistry()
		if err := host.Register(o.Host); err != nil {
			return nil, fmt.Errorf("register host metrics: %w", err)
		}
		mux.Handle("host.flyball.invalid/metrics", promhttp.HandlerFor(host, lenient))
	}
	return &inside{server: &http.Server{Handler: mux}, conns: make(chan net.Conn), done: make(chan struct{})}, nil
}

// dial connects to what is served inside, and to everything else over the network.
func (i *inside) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if addr != selfAddress && addr != hostAddress && addr != watchAddress {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}
	near, far := net.Pipe()
	select {
	case i.conns <- far:
		return near, nil
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), near.Close(), far.Close())
	case <-i.done:
		return nil, errors.Join(errStopped, near.Close(), far.Close())
	}
}

// run serves until stop.
func (i *inside) run() error {
	if err := i.server.Serve(i); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve own metrics: %w", err)
	}
	return nil
}

func (i *inside) stop() { _ = i.server.Close() } // an answer cut off is a scrape that nobody waits for

// Accept gives the server the next pipe.
func (i *inside) Accept() (net.Conn, error) {
	select {
	case c := <-i.conns:
		return c, nil
	case <-i.done:
		return nil, net.ErrClosed
	}
}

// Close ends accepting.
func (i *inside) Close() error {
	i.once.Do(func() { close(i.done) })
	return nil
}

// Addr is of no meaning to a pipe.
func (*inside) Addr() net.Addr { return pipe{} }

type pipe struct{}

func (pipe) Network() string { return "pipe" }
func (pipe) String() string  { return "inside" }

// Own gathers a registry, and from the default one what is not in it: some of
// Prometheus' packages register there and nowhere else.
func Own(reg prometheus.Gatherer) prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		own, err := reg.Gather()
		others, err2 := prometheus.DefaultGatherer.Gather()
		known := map[string]bool{}
		for _, f := range own {
			known[f.GetName()] = true
		}
		for _, f := range others {
			if !known[f.GetName()] {
				own = append(own, f)
			}
		}
		return own, errors.Join(err, err2)
	})
}
