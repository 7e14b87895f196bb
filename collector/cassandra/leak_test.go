package cassandra

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// drivers counts the goroutines that run code of the driver or of this package.
func drivers() (int, string) {
	buf := make([]byte, 8<<20)
	var of []string
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if !strings.Contains(g, "testing.tRunner") && (strings.Contains(g, "gocql/gocql") || strings.Contains(g, "flyball/collector/cassandra.")) {
			of = append(of, g)
		}
	}
	return len(of), strings.Join(of, "\n\n")
}

func files(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc here:", err)
	}
	return len(all)
}

func TestAThousandRingsComeAndGoAndLeaveNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("a thousand links take a while")
	}
	c := shared(t)
	leaveNothing(t, 1000, func() {
		r, err := New(of(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range r.contact(t.Context(), c.Hosts()[0]) {
			if v := n.visit(t.Context(), time.Now()); v.err != nil {
				t.Fatal(v.err)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	})
	if n := connections(t, c.Hosts()[0], c.Port()); n > 0 {
		t.Errorf("%d connections are left", n)
	}
}

func TestNodesThatCannotBeReachedLeaveNothing(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, silent, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	port := silent.Addr().(*net.TCPAddr).Port
	for name, host := range map[string]string{"silent": "127.0.0.1", "refused": "127.0.0.2"} {
		t.Run(name, func(t *testing.T) {
			leaveNothing(t, 50, func() {
				r, err := New(Config{Hosts: []string{host}, Port: port, Timeout: 20 * time.Millisecond}, nil)
				if err != nil {
					t.Fatal(err)
				}
				gather(t, r).want(t, 0, "cassandra_up")
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// leaveNothing does something often, and then waits until no more goroutines and
// files are there than before.
func leaveNothing(t *testing.T, times int, do func()) {
	t.Helper()
	goroutines, _ := drivers()
	open := files(t)
	for range times {
		do()
	}
	eventually(t, "all ends", func() error {
		n, stacks := drivers()
		if n > goroutines {
			return fmt.Errorf("%d goroutines, %d before:\n%s", n, goroutines, stacks)
		}
		if n := files(t); n > open {
			return fmt.Errorf("%d files, %d before", n, open)
		}
		return nil
	})
}

func TestAClosedRingConnectsNoMore(t *testing.T) {
	c := shared(t)
	r := watch(t, of(c))
	gather(t, r).want(t, 1, "cassandra_up")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	before := connections(t, c.Hosts()[0], c.Port())
	if got := gather(t, r); len(got) > 0 {
		t.Errorf("a closed ring tells %v", got)
	}
	if n := connections(t, c.Hosts()[0], c.Port()); n > before {
		t.Errorf("a closed ring has %d connections, %d before", n, before)
	}
}

// The driver must not come back by itself: neither to a node that is down, nor
// to others.
func TestALinkThatBrokeIsNotMendedBehindOurBack(t *testing.T) {
	c := shared(t)
	dials := make(chan struct{}, 100)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cut := make(chan struct{})
	serve(t, l, func(conn net.Conn) {
		dials <- struct{}{}
		end := cut
		if len(dials) > 2 {
			end = nil // lives for as long as its two ends
		}
		on, err := net.Dial("tcp", net.JoinHostPort(c.Hosts()[0], itoa(c.Port())))
		if err != nil {
			return
		}
		ended := make(chan struct{}, 2)
		pass := func(to, from net.Conn) {
			_, _ = io.Copy(to, from)
			ended <- struct{}{}
		}
		go pass(on, conn)
		go pass(conn, on)
		select {
		case <-end:
		case <-ended:
		}
		on.Close()
	})
	r := watch(t, Config{Hosts: []string{"127.0.0.1"}, Port: l.Addr().(*net.TCPAddr).Port, Timeout: 5 * time.Second})
	gather(t, r).want(t, 1, "cassandra_up")
	if n := len(dials); n != 2 {
		t.Errorf("a link has %d connections, want 2", n)
	}
	close(cut)
	ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond) // the driver would try every second
	defer cancel()
	<-ctx.Done()
	if n := len(dials); n != 2 {
		t.Errorf("the driver connected %d times by itself", n-2)
	}
	gather(t, r).want(t, 1, "cassandra_up")
}
