// Package targets serves many Prometheus targets on loopback ports, whose series
// move at every scrape as an application's do: what a benchmark of an ingest path
// needs to be fed with.
package targets

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// A Farm is a number of targets that are being served. It is safe for concurrent use.
type Farm struct {
	addrs     []string
	listeners []net.Listener
	targets   []*target
	served    atomic.Int64
}

// Listen opens n targets of so many series each, on ports of 127.0.0.1 that the
// kernel picks. They answer once [Farm.Run] is called.
func Listen(n, series int, layout Layout) (*Farm, error) {
	f := &Farm{}
	for i := range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			f.close()
			return nil, fmt.Errorf("open target %d: %w", i, err)
		}
		f.listeners = append(f.listeners, l)
		f.addrs = append(f.addrs, l.Addr().String())
		f.targets = append(f.targets, newTarget(uint64(i), series, layout))
	}
	return f, nil
}

// Addrs are the targets' host:port.
func (f *Farm) Addrs() []string { return f.addrs }

// Served counts the samples that were written to whoever scraped.
func (f *Farm) Served() int64 { return f.served.Load() }

// Run answers scrapes until the context ends or a target fails, and returns when
// no answer is in progress.
func (f *Farm) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for i, t := range f.targets {
		server := &http.Server{Handler: f.answer(t), ReadHeaderTimeout: 10 * time.Second}
		group.Go(func() error {
			if err := server.Serve(f.listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve target %s: %w", f.addrs[i], err)
			}
			return nil
		})
		group.Go(func() error {
			<-ctx.Done()
			return server.Shutdown(context.WithoutCancel(ctx))
		})
	}
	return group.Wait()
}

// answer serves one target: plain text, uncompressed, so that the cost of
// unpacking does not hide the cost of storing.
func (f *Farm) answer(t *target) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		page := t.page()
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		w.Header().Set("Content-Length", strconv.Itoa(len(page)))
		if _, err := w.Write(page); err == nil {
			f.served.Add(int64(len(t.series)))
		}
	}
}

func (f *Farm) close() {
	for _, l := range f.listeners {
		_ = l.Close()
	}
}
