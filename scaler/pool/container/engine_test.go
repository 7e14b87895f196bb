package container

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"flyball/deploy/testservers"
)

// socketDir is a folder whose name is short enough for a socket in it.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "flyball")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// relay stands between a pool and the engine, counts the calls and spoils some.
type relay struct {
	engine http.Handler

	mu    sync.Mutex
	calls []string // method and path, as asked
	spoil func(w http.ResponseWriter, r *http.Request, pass http.Handler)
}

// startRelay returns a relay to the engine that tests share, and its socket.
func startRelay(t *testing.T) (*relay, string) {
	t.Helper()
	engine := strings.TrimPrefix(testservers.SharedPodman(t).Socket(), "unix://")
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", engine)
	}}
	r := &relay{engine: &httputil.ReverseProxy{
		Rewrite:   func(p *httputil.ProxyRequest) { p.Out.URL.Scheme, p.Out.URL.Host = "http", "engine" },
		Transport: transport, FlushInterval: -1,
	}}
	path := filepath.Join(socketDir(t), "relay.sock")
	l := listen(t, path)
	srv := &http.Server{Handler: r}
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(l) }) // until it is closed
	t.Cleanup(func() {
		_ = srv.Close()
		wg.Wait()
		transport.CloseIdleConnections()
	})
	return r, "unix://" + path
}

func (r *relay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	if req.URL.Path != "/_ping" {
		r.calls = append(r.calls, req.Method+" "+req.URL.Path)
	}
	spoil := r.spoil
	r.mu.Unlock()
	if spoil != nil {
		spoil(w, req, r.engine)
		return
	}
	r.engine.ServeHTTP(w, req)
}

// set has calls spoilt from now on; nil: none.
func (r *relay) set(spoil func(w http.ResponseWriter, r *http.Request, pass http.Handler)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spoil = spoil
}

// taken returns the calls since it was asked last.
func (r *relay) taken() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.calls
	r.calls = nil
	return calls
}

// losing passes calls on and loses the answers to those that match.
func losing(method, suffix string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method != method || !strings.HasSuffix(r.URL.Path, suffix) {
			pass.ServeHTTP(w, r)
			return
		}
		pass.ServeHTTP(&deaf{header: http.Header{}}, r)
		panic(http.ErrAbortHandler)
	}
}

// deaf is a response that nobody gets.
type deaf struct{ header http.Header }

func (d *deaf) Header() http.Header         { return d.header }
func (d *deaf) Write(b []byte) (int, error) { return len(b), nil }
func (d *deaf) WriteHeader(int)             {}

func listen(t *testing.T, path string) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// run gives the engine a command of people's, without waiting for the test's end.
func run(t *testing.T, args ...string) {
	t.Helper()
	if out, err := testservers.SharedPodman(t).Command(args...).CombinedOutput(); err != nil {
		t.Errorf("podman %v: %v: %s", args, err, out)
	}
}
