package transport

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A wire is a listener whose connections can be cut without a word.
type wire struct {
	come chan net.Conn
	over chan struct{}
	once sync.Once

	dialled atomic.Int64
	mu      sync.Mutex
	cut     []*atomic.Bool // of the connections so far
}

func (w *wire) Accept() (net.Conn, error) {
	select {
	case c := <-w.come:
		return c, nil
	case <-w.over:
		return nil, net.ErrClosed
	}
}

func (w *wire) Close() error { w.once.Do(func() { close(w.over) }); return nil }

func (w *wire) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443} }

func (w *wire) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	cut := &atomic.Bool{}
	w.mu.Lock()
	w.cut = append(w.cut, cut)
	w.mu.Unlock()
	w.dialled.Add(1)
	w.come <- there
	return mute{here, cut}, nil
}

func (w *wire) cutAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.cut {
		c.Store(true)
	}
}

// mute is a connection that swallows what is sent once it is cut.
type mute struct {
	net.Conn
	cut *atomic.Bool
}

func (m mute) Write(b []byte) (int, error) {
	if m.cut.Load() {
		return len(b), nil
	}
	return m.Conn.Write(b)
}

func TestAConnectionThatFallsSilentIsGivenUpWithinAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{come: make(chan net.Conn), over: make(chan struct{})}
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor != 2 {
				t.Errorf("asked by %s", r.Proto)
			}
		}))
		srv.Listener, srv.EnableHTTP2 = w, true
		srv.StartTLS()
		defer srv.Close()
		tr := New()
		tr.DialContext, tr.TLSClientConfig = w.dial, srv.Client().Transport.(*http.Transport).TLSClientConfig
		defer tr.CloseIdleConnections()
		ask := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
			if err != nil {
				return err
			}
			res, err := tr.RoundTrip(r)
			if err == nil {
				err = res.Body.Close()
			}
			return err
		}
		if err := ask(); err != nil {
			t.Fatal(err)
		}
		w.cutAll()
		silent := time.Now()
		for ask() != nil {
			if time.Since(silent) > time.Minute {
				t.Fatalf("nothing was heard for %s, on %d connections", time.Since(silent), w.dialled.Load())
			}
			time.Sleep(time.Second)
		}
		if n := w.dialled.Load(); n != 2 {
			t.Errorf("%d connections were made, want a second", n)
		}
	})
}
