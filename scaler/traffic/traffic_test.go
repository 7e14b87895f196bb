package traffic

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"flyball/deploy/testservers"
	"flyball/rules"
)

// TestMain lets the test binary be the balancer's process, as `flyball balance` is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "balance" {
		os.Exit(balanceMain(os.Args[2:]))
	}
	os.Exit(testservers.Main(m))
}

func balanceMain(args []string) int {
	var c ServerConfig
	fs := flag.NewFlagSet("balance", flag.ExitOnError)
	fs.StringVar(&c.Listen, "listen", "", "")
	fs.StringVar(&c.Control, "control", "", "")
	fs.StringVar(&c.Check.HTTP, "ready", "", "")
	fs.DurationVar(&c.Drain, "drain", 10*time.Second, "")
	_ = fs.Parse(args) // exits by itself
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := Serve(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// newBalancer is a balancer in this process, checked by nobody.
func newBalancer(t *testing.T, c ServerConfig) (*Balancer, *httptest.Server) {
	t.Helper()
	b, err := NewBalancer(c)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(b)
	t.Cleanup(s.Close)
	return b, s
}

func admit(b *Balancer, id, addr string) {
	b.table.change(Change{Admit: []Member{{ID: rules.MemberID(id), Name: id, Addr: addr}}})
}

func withdraw(b *Balancer, id, addr string) {
	b.table.change(Change{Withdraw: []Member{{ID: rules.MemberID(id), Name: id, Addr: addr}}})
}

// member is a real HTTP server of a pool.
func member(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// refusing is an address at which nobody listens.
func refusing(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(nil)
	defer s.Close()
	return s.Listener.Addr().String()
}

// until polls for a condition that other processes bring about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(15 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s did not come about", what)
		}
	}
}

func rule(id, addr string) rules.Member {
	return rules.Member{ID: rules.MemberID(id), Name: id, Addr: addr, State: rules.Ready}
}

func socketIn(t *testing.T) string { return filepath.Join(t.TempDir(), "balance.sock") }

func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestConfigNamesItsMistakes(t *testing.T) {
	for _, tt := range []struct {
		c    Config
		want string
	}{
		{Config{}, "$.x"},
		{Config{Balance: "8080"}, "$.x.balance"},
		{Config{Balance: "127.0.0.1:8080"}, ""},
	} {
		fs, got := tt.c.Validate("$.x"), ""
		if len(fs) > 0 {
			got = fs[0].Path
		}
		if got != tt.want {
			t.Errorf("Validate(%+v) faults %q, want %q", tt.c, got, tt.want)
		}
	}
}

func FuzzTable(f *testing.F) {
	f.Add([]byte(`{"check":{"http":"/readyz"},"members":[{"id":"a","addr":"127.0.0.1:1","admitted":true}]}`))
	f.Add([]byte(`{"members":[{"id":"a","addr":"1"},{"id":"","addr":""}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		tb, err := decodeTable(raw)
		if err != nil {
			return
		}
		table := newTable(Check{}, 1)
		table.replace(tb)
		if got := table.table(); len(got.Members) != len(tb.Members) {
			t.Fatalf("%d members became %d", len(tb.Members), len(got.Members))
		}
	})
}
