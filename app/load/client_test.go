package load_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"flyball/app/load"
)

// service answers as it is told and counts what reaches it.
type service struct {
	requests    atomic.Int64
	connections atomic.Int64
	cut         atomic.Bool // read the request, then close the connection without an answer
	code        atomic.Int64
	etag        atomic.Value
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	io.Copy(io.Discard, r.Body)
	if s.cut.Load() {
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			c.Close()
		}
		return
	}
	w.Header().Set("ETag", s.etag.Load().(string))
	w.WriteHeader(int(s.code.Load()))
}

func start(t *testing.T) (*service, *load.Client, *httptest.Server) {
	t.Helper()
	s := &service{}
	s.code.Store(200)
	s.etag.Store(`"1"`)
	srv := httptest.NewUnstartedServer(s)
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	c, err := load.NewClient(srv.URL, 10)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return s, c, srv
}

func TestNothingIsRetriedOnAConnectionThatDied(t *testing.T) {
	s, c, _ := start(t)
	for _, tt := range []struct {
		op   load.Op
		good int64
	}{{load.Read, 200}, {load.Update, 200}, {load.Create, 201}, {load.Delete, 204}} {
		s.code.Store(tt.good)
		s.cut.Store(false)
		if kind := c.Do(t.Context(), tt.op, &load.Item{ID: "a", ETag: `"1"`}); kind != "" {
			t.Fatalf("%s: %s", tt.op, kind)
		}
		s.cut.Store(true) // the next request goes over the connection that is kept, which dies
		before, connections := s.requests.Load(), s.connections.Load()
		kind := c.Do(t.Context(), tt.op, &load.Item{ID: "a", ETag: `"1"`})
		if kind != "connection_closed" && kind != "connection_reset" {
			t.Errorf("%s: failed as %q, want connection_closed", tt.op, kind)
		}
		if n := s.requests.Load() - before; n != 1 {
			t.Errorf("%s: sent %d times, want once", tt.op, n)
		}
		if s.connections.Load() != connections {
			t.Errorf("%s: the connection was not kept alive, so the test shows nothing", tt.op)
		}
	}
}

func TestFailuresHaveKinds(t *testing.T) {
	s, c, srv := start(t)
	do := func(want string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if kind := c.Do(ctx, load.Read, &load.Item{ID: "a", ETag: `"1"`}); kind != want {
			t.Errorf("got %q, want %q", kind, want)
		}
	}
	do("")
	s.code.Store(503)
	do("status_503")
	s.code.Store(201)
	do("status_201")
	s.code.Store(200)
	s.etag.Store(`"2"`)
	do("wrong_etag")
	s.etag.Store("")
	do("no_etag")
	srv.Close()
	c.Close() // a connection that is kept would only be closed
	do("connection_refused")
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	if kind := c.Do(ctx, load.Read, &load.Item{ID: "a"}); kind != "timeout" {
		t.Errorf("got %q, want timeout", kind)
	}
}

func TestNewClientWantsAURL(t *testing.T) {
	for _, s := range []string{"", "127.0.0.1:8080", "ftp://a", "http://", "http://a?b=c", "://"} {
		if _, err := load.NewClient(s, 1); err == nil {
			t.Errorf("%q is taken for a URL", s)
		}
	}
}
