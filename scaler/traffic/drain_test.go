package traffic

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// slot is a member that is ended and begun anew at the same address.
type slot struct {
	addr   string
	server *http.Server
	served chan error
}

// loopback2 is where no outgoing connection takes a port between two members' lives.
const loopback2 = "127.0.0.2:0"

func (s *slot) begin(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	s.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select { // a few milliseconds of work, or the end of the client
		case <-time.After(3 * time.Millisecond):
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 2048))
	})}
	s.served = make(chan error, 1)
	go func(s *http.Server, served chan<- error) {
		served <- s.Serve(l)
		close(served) // it may be ended twice
	}(s.server, s.served)
}

// end is the hard way: open connections are cut.
func (s *slot) end() {
	_ = s.server.Close()
	<-s.served
}

// TestNoRequestIsLostWhenMembersComeAndGo ends a member the hard way in the very
// moment in which the balancer counts no open request for it any more.
func TestNoRequestIsLostWhenMembersComeAndGo(t *testing.T) {
	const cycles, clients, pace = 200, 25, 50 * time.Millisecond // 500 requests a second
	b, front := newBalancer(t, ServerConfig{})
	slots := []*slot{{addr: loopback2}, {addr: loopback2}, {addr: loopback2}}
	for i, s := range slots {
		s.begin(t)
		defer s.end()
		admit(b, fmt.Sprint("m", i), s.addr)
	}
	c := newCrowd(t, front.URL, clients, pace)
	defer c.leave()
	id := func(i int) string { return fmt.Sprint("m", i) }
	for i := range cycles {
		s := slots[i%len(slots)]
		withdraw(b, id(i), s.addr)
		for b.table.openRequests()[rule(id(i), "").ID] > 0 {
			runtime.Gosched() // polled as the loop polls, only faster
		}
		s.end()
		s.begin(t)
		admit(b, id(i+len(slots)), s.addr)
		if i%4 == 3 {
			c.more(t, 10) // between cycles
		}
	}
	c.leave()
	t.Logf("%d requests, %d failed, %d cycles", c.sent.Load(), c.failed.Load(), cycles)
	if c.sent.Load() < 500 {
		t.Errorf("only %d requests were sent", c.sent.Load())
	}
}

// crowd is clients who send requests at a steady pace, half of them over
// connections that stay open and half over a new one each time.
type crowd struct {
	sent, failed atomic.Int64
	cancel       context.CancelFunc
	wg           sync.WaitGroup
	stays        *http.Client
}

// newCrowd starts clients; [crowd.leave], or the end of the test, ends them.
func newCrowd(t *testing.T, url string, clients int, pace time.Duration) *crowd {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := &crowd{cancel: cancel, stays: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}}
	comes := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for i := range clients {
		client := []*http.Client{c.stays, comes}[i%2]
		c.wg.Go(func() {
			tick := time.NewTicker(pace)
			defer tick.Stop()
			for ctx.Err() == nil {
				<-tick.C
				if err := post(client, url); err != nil {
					c.failed.Add(1)
					t.Error(err)
				}
				c.sent.Add(1)
			}
		})
	}
	t.Cleanup(c.leave)
	return c
}

func (c *crowd) leave() {
	c.cancel()
	c.wg.Wait()
	c.stays.CloseIdleConnections()
}

// more waits until n more requests were answered.
func (c *crowd) more(t *testing.T, n int64) {
	t.Helper()
	floor := c.sent.Load() + n
	until(t, "more requests", func() bool { return c.sent.Load() >= floor })
}

func post(c *http.Client, url string) error {
	res, err := c.Post(url, "text/plain", strings.NewReader("hello"))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK || len(body) != 2048 {
		return fmt.Errorf("got %s with %d bytes", res.Status, len(body))
	}
	return nil
}
