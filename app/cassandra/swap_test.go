package cassandra

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flyball/app/product"
	"flyball/app/remote"
	"flyball/deploy/testservers"
)

// What happens to a statement on its way.
type mishap int

const (
	losesAnswer  mishap = iota // it is made
	losesRequest               // it never arrives
	keepsRequest               // it arrives when it is told to: the node is frozen
)

// way is the way to the nodes. It lets a mishap happen to one statement, once.
type way struct {
	mu        sync.Mutex
	countdown int // statements until it happens
	mishap    mishap
	meanwhile func() // before anybody knows of it

	arrive   func() error  // lets the request arrive that was kept
	answered chan struct{} // closed when it has been answered
}

// DialContext opens a way to a node.
func (w *way) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &traveller{Conn: c, way: w}, nil
}

// happens lets a mishap happen to the nth statement from now.
func (w *way) happens(m mishap, nth int, meanwhile func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mishap, w.countdown, w.meanwhile = m, nth, meanwhile
}

// Operations in the header of a frame (CQL binary protocol, version 4).
const (
	result  byte = 0x08
	execute byte = 0x0A // runs a prepared statement
)

// hit reports whether the mishap happens to a frame.
func (w *way) hit(frame []byte) (mishap, bool) {
	if len(frame) < 5 || frame[4] != execute {
		return 0, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.countdown--
	return w.mishap, w.countdown == 0
}

// traveller is one connection.
type traveller struct {
	net.Conn
	way *way

	mu      sync.Mutex
	deaf    bool // the next answer is lost, and the connection with it
	awaited bool // the next answer is the kept request's
}

func (c *traveller) Write(frame []byte) (int, error) {
	m, hit := c.way.hit(frame)
	switch {
	case !hit:
		return c.Conn.Write(frame)
	case m == losesAnswer:
		c.set(&c.deaf)
		return c.Conn.Write(frame)
	case m == losesRequest:
		c.way.meanwhile()
		c.Close()
		return 0, io.ErrClosedPipe
	}
	kept := slices.Clone(frame)
	c.way.arrive = func() error {
		c.set(&c.awaited)
		_, err := c.Conn.Write(kept)
		return err
	}
	return len(frame), nil
}

func (c *traveller) set(flag *bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*flag = true
}

func (c *traveller) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if n < 5 || p[4] != result {
		return n, err
	}
	if c.awaited {
		c.awaited = false
		close(c.way.answered)
	}
	if c.deaf {
		c.way.meanwhile()
		c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// lossy is a store and the way on which it loses statements.
func lossy(t *testing.T) (*Store, *way, Options) {
	t.Helper()
	o := migrated(t, testservers.SharedCassandra(t))
	w := &way{answered: make(chan struct{})}
	o.dialer = w
	return opened(t, o), w, o
}

func TestAWriteWhoseAnswerIsLostIsAnsweredTruly(t *testing.T) {
	t.Parallel()
	s, w, counted := lossy(t)
	o := counted
	o.dialer, o.Registry = nil, nil
	other := opened(t, o)
	replaced := func(times int) func() {
		return func() {
			for range times {
				if _, err := other.Update(t.Context(), some("a", "book")); err != nil {
					t.Error(err)
				}
			}
		}
	}
	gone := func() {
		if err := other.Delete(t.Context(), "a", ""); err != nil {
			t.Error(err)
		}
	}
	tests := []struct {
		name      string
		mishap    mishap
		meanwhile func()
		want      error
	}{
		{"made", losesAnswer, func() {}, nil},
		{"made, then replaced", losesAnswer, replaced(1), nil},
		{"made, then deleted", losesAnswer, gone, nil},
		{"made, then replaced often", losesAnswer, replaced(remembered - 1), nil},
		{"made, then replaced too often", losesAnswer, replaced(remembered + 1), errUnknown},
		{"not made", losesRequest, func() {}, nil},
		{"not made, then replaced", losesRequest, replaced(1), product.ErrConflict},
		{"not made, then deleted", losesRequest, gone, product.ErrNotFound},
		{"not made, then replaced often", losesRequest, replaced(remembered - 1), product.ErrConflict},
		{"not made, then replaced too often", losesRequest, replaced(remembered + 1), errUnknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := s.Delete(t.Context(), "a", ""); err != nil && !errors.Is(err, product.ErrNotFound) {
				t.Fatal(err)
			}
			p := create(t, s, some("a", "book"))
			w.happens(tt.mishap, 2, tt.meanwhile) // the first statement of an update reads
			_, err := s.Update(t.Context(), p)
			switch {
			case tt.want == errUnknown:
				if err == nil || !strings.Contains(err.Error(), errUnknown.Error()) || remote.Settled(err) || errors.Is(err, product.ErrBusy) || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, want that nobody knows", err)
				}
			case !errors.Is(err, tt.want):
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	for outcome, want := range map[string]float64{"made": 5, "not_made": 3, "unknown": 2} {
		if got := sample(t, counted, "store_doubtful_writes_total", fmt.Sprintf("outcome=%q", outcome)); got != want {
			t.Errorf("%v writes counted as %s, want %v", got, outcome, want)
		}
	}
}

// A node that hangs has requests in its sockets. When it wakes up it obeys them, long
// after another node was asked instead.
func TestARequestThatAFrozenNodeObeysLateChangesNothing(t *testing.T) {
	t.Parallel()
	s, w, _ := lossy(t)
	create(t, s, some("warm", "book")) // statements are prepared: from here on there is one request for each
	w.happens(keepsRequest, 3, nil)    // behind the two entries
	p := create(t, s, some("a", "book"))
	if w.arrive == nil {
		t.Fatal("no request was kept")
	}
	if err := s.Delete(t.Context(), "a", p.Version); err != nil {
		t.Fatal(err)
	}
	if err := w.arrive(); err != nil {
		t.Fatal(err)
	}
	<-w.answered
	if got, err := s.Get(t.Context(), "a"); !errors.Is(err, product.ErrNotFound) {
		t.Errorf("the deleted product is back: %v, %v", got, err)
	}
	if diff := cmp.Diff([]string{"warm"}, ids(t, s, "")); diff != "" {
		t.Errorf("listing (-want +got):\n%s", diff)
	}
}

func TestAMarkerEndsByItself(t *testing.T) {
	t.Parallel()
	s := opened(t, migrated(t, testservers.SharedCassandra(t)))
	p := create(t, s, some("a", "book"))
	if err := s.Delete(t.Context(), "a", p.Version); err != nil {
		t.Fatal(err)
	}
	var version, past int
	if err := s.session.Query("SELECT TTL(version), TTL(past) FROM product WHERE id = 'a'").Scan(&version, &past); err != nil {
		t.Fatal(err)
	}
	day := int(memory / time.Second)
	if version < day-60 || version > day || past < day-60 || past > day {
		t.Errorf("the marker stays for %d and %d s, want about %d", version, past, day)
	}
	create(t, s, p)
	var forever *int
	if err := s.session.Query("SELECT TTL(version) FROM product WHERE id = 'a'").Scan(&forever); err != nil || forever != nil {
		t.Errorf("a product made anew stays for %v, %v; want for ever", forever, err)
	}
}
