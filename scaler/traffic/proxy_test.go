package traffic

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestRequestIsForwardedAsItCame(t *testing.T) {
	var seen atomic.Pointer[http.Request]
	addr := member(t, func(_ http.ResponseWriter, r *http.Request) { seen.Store(r.Clone(r.Context())) })
	b, s := newBalancer(t, ServerConfig{})
	admit(b, "a", addr)
	req := must[*http.Request](t)(http.NewRequest(http.MethodPut, s.URL+"/p/%2Fx?a=1;b=2&c", strings.NewReader("body")))
	req.Host = "shop.example"
	req.Header.Set("X-Forwarded-For", "10.1.1.1")
	res := must[*http.Response](t)(http.DefaultClient.Do(req))
	_ = res.Body.Close()
	got := seen.Load()
	for _, tt := range []struct{ what, got, want string }{
		{"host", got.Host, "shop.example"},
		{"uri", got.RequestURI, "/p/%2Fx?a=1;b=2&c"},
		{"X-Forwarded-For", got.Header.Get("X-Forwarded-For"), "10.1.1.1, 127.0.0.1"},
		{"X-Forwarded-Host", got.Header.Get("X-Forwarded-Host"), "shop.example"},
		{"X-Forwarded-Proto", got.Header.Get("X-Forwarded-Proto"), "http"},
		{"length", fmt.Sprint(got.ContentLength), "4"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s is %q, want %q", tt.what, tt.got, tt.want)
		}
	}
}

func TestRefusedConnectionGoesToAnotherMemberWithItsBody(t *testing.T) {
	addr := member(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	b, s := newBalancer(t, ServerConfig{})
	admit(b, "a-dead", refusing(t))
	admit(b, "b", addr)
	res := must[*http.Response](t)(http.Post(s.URL, "text/plain", strings.NewReader("whole")))
	defer res.Body.Close()
	body := must[[]byte](t)(io.ReadAll(res.Body))
	if res.StatusCode != http.StatusOK || string(body) != "whole" {
		t.Errorf("got %d %q, want 200 whole", res.StatusCode, body)
	}
	if got := testutil.ToFloat64(b.metrics.redispatched); got != 1 {
		t.Errorf("%v requests were sent elsewhere, want 1", got)
	}
	if b.table.find("a-dead").up {
		t.Error("the member that refused is still up")
	}
}

func TestRequestThatWasSentIsNotSentAgain(t *testing.T) {
	var calls atomic.Int32
	cut := func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	}
	b, s := newBalancer(t, ServerConfig{})
	admit(b, "a", member(t, cut))
	admit(b, "b", member(t, cut))
	res := must[*http.Response](t)(http.Post(s.URL, "text/plain", strings.NewReader("once")))
	_ = res.Body.Close()
	if res.StatusCode != http.StatusBadGateway || calls.Load() != 1 {
		t.Errorf("got %d after %d calls, want 502 after 1", res.StatusCode, calls.Load())
	}
	if n := b.inProgress(); n != 0 {
		t.Errorf("%d requests in progress, want 0", n)
	}
}

func TestNoMemberIsSaidAfterTheWait(t *testing.T) {
	b, s := newBalancer(t, ServerConfig{Wait: time.Millisecond})
	res := must[*http.Response](t)(http.Get(s.URL))
	_ = res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("got %d with Retry-After %q, want 503 with one", res.StatusCode, res.Header.Get("Retry-After"))
	}
	if got := testutil.ToFloat64(b.metrics.rejected.WithLabelValues("timeout")); got != 1 {
		t.Errorf("%v rejections counted, want 1", got)
	}
}

func TestRequestWaitsForAMember(t *testing.T) {
	b, s := newBalancer(t, ServerConfig{})
	admit(b, "a", refusing(t)) // is tried, refuses, and leaves none
	got := make(chan int)
	go func() {
		res, err := http.Get(s.URL)
		if err != nil {
			got <- 0
			return
		}
		_ = res.Body.Close()
		got <- res.StatusCode
	}()
	until(t, "a waiting request", func() bool { return b.table.queued() == 1 })
	admit(b, "b", member(t, func(http.ResponseWriter, *http.Request) {}))
	if code := <-got; code != http.StatusOK {
		t.Errorf("got %d, want 200", code)
	}
}

func TestAnswerIsStreamed(t *testing.T) {
	next := make(chan bool)
	b, s := newBalancer(t, ServerConfig{})
	admit(b, "a", member(t, func(w http.ResponseWriter, _ *http.Request) {
		for i := range 3 {
			_, _ = fmt.Fprintf(w, "line %d\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next // goes on only when the client has read
		}
	}))
	res := must[*http.Response](t)(http.Get(s.URL))
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	for i := range 3 {
		if line := must[string](t)(lines.ReadString('\n')); line != fmt.Sprintf("line %d\n", i) {
			t.Errorf("read %q", line)
		}
		next <- true
	}
}

func TestUpgradedConnectionIsAnOpenRequest(t *testing.T) {
	b, s := newBalancer(t, ServerConfig{})
	admit(b, "a", member(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"))
		_, _ = io.Copy(conn, rw)
	}))
	conn := must[net.Conn](t)(net.Dial("tcp", s.Listener.Addr().String()))
	_, _ = conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"))
	r := bufio.NewReader(conn)
	res := must[*http.Response](t)(http.ReadResponse(r, nil))
	if res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %d, want 101", res.StatusCode)
	}
	_, _ = conn.Write([]byte("ping\n"))
	if got := must[string](t)(r.ReadString('\n')); got != "ping\n" {
		t.Errorf("read %q, want ping", got)
	}
	if n := b.table.openRequests()["a"]; n != 1 {
		t.Errorf("%d open requests, want 1", n)
	}
	_ = conn.Close()
	until(t, "the end of the request", func() bool { return b.inProgress() == 0 })
	if got := testutil.ToFloat64(b.metrics.requests.WithLabelValues("101")); got != 1 {
		t.Errorf("%v upgrades counted, want 1", got)
	}
}

func TestAnswerCutOffIsCountedAndPassedOn(t *testing.T) {
	b, s := newBalancer(t, ServerConfig{})
	admit(b, "a", member(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("half"))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	res := must[*http.Response](t)(http.Get(s.URL))
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("half an answer was passed off as whole")
	}
	until(t, "the count", func() bool { return testutil.ToFloat64(b.metrics.aborted) == 1 && b.inProgress() == 0 })
}

func TestClientThatLeavesIsNoFaultOfTheMember(t *testing.T) {
	arrived := make(chan bool)
	b, s := newBalancer(t, ServerConfig{})
	admit(b, "a", member(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- true
		<-r.Context().Done()
	}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	req := must[*http.Request](t)(http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil))
	if _, err := http.DefaultClient.Do(req); err == nil {
		t.Fatal("got an answer after leaving")
	}
	until(t, "the count", func() bool { return testutil.ToFloat64(b.metrics.requests.WithLabelValues("499")) == 1 })
	if !b.table.find("a").up {
		t.Error("the member is down")
	}
}
