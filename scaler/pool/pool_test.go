package pool

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flyball/rules"
	"flyball/scaler/journal"
	"flyball/scaler/pool/pooltest"
	"flyball/scaler/pool/process"
	"flyball/scaler/traffic"
)

// TestMain lets the test binary be what flyball is: gate, balancer; and a member.
func TestMain(m *testing.M) {
	process.Gate()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	switch {
	case len(os.Args) > 1 && os.Args[1] == "balance":
		var c traffic.ServerConfig
		fs := flag.NewFlagSet("balance", flag.ExitOnError)
		fs.StringVar(&c.Listen, "listen", "", "")
		fs.StringVar(&c.Control, "control", "", "")
		fs.StringVar(&c.Check.HTTP, "ready", "", "")
		_ = fs.Parse(os.Args[2:]) // exits by itself
		if err := traffic.Serve(ctx, c); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	case len(os.Args) > 2 && os.Args[1] == "member":
		s := &http.Server{Addr: os.Args[2], Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "hello")
		})}
		go func() {
			<-ctx.Done()
			_ = s.Close() // the hard way: nobody may send any more
		}()
		_ = s.ListenAndServe()
	default:
		os.Exit(m.Run())
	}
}

func testConfig(t *testing.T) Config {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return Config{
		Process: &process.Config{Command: []string{exe, "member", "{addr}"}, Ports: "21900-21909"},
		Ready:   Ready{HTTP: "/readyz", Interval: 20 * time.Millisecond},
		Traffic: &traffic.Config{Balance: l.Addr().String()},
	}
}

// hands is a pool at work, as one Flyball has it.
type hands struct {
	*Pool
	stop func()
}

func begin(t *testing.T, c Config, dir string) hands {
	t.Helper()
	p, err := New("web", c, Env{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	return hands{p, sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})}
}

// replace adds a member and takes the oldest away, as the loop does.
func (h hands) replace(t *testing.T, n int) {
	t.Helper()
	u := h.Unit()
	name := fmt.Sprintf("web-%02d", n)
	ms := pooltest.Grow(t, u.Pool, name)
	pooltest.Until(t, name, func() bool {
		ms = pooltest.Look(t, u.Pool)
		return ms[len(ms)-1].State == rules.Ready
	})
	if err := u.Traffic.Admit(t.Context(), ms); err != nil {
		t.Fatal(err)
	}
	if len(ms) < 3 {
		return
	}
	old := ms[0]
	if err := u.Traffic.Withdraw(t.Context(), ms[:1]); err != nil {
		t.Fatal(err)
	}
	pooltest.Until(t, "no open request", func() bool {
		open, err := u.Traffic.Open(t.Context())
		n, known := open[old.ID]
		return err == nil && known && n == 0
	})
	if err := u.Pool.Remove(t.Context(), journal.Step{Victims: []rules.MemberID{old.ID}}); err != nil {
		t.Fatal(err)
	}
	pooltest.Until(t, "the end of "+old.Name, func() bool { return len(pooltest.Look(t, u.Pool)) == 2 })
}

func TestNoRequestIsLostWhileMembersAreReplacedAndFlyballRestarts(t *testing.T) {
	c, dir := testConfig(t), t.TempDir()
	h := begin(t, c, dir)
	t.Cleanup(func() {
		h.stop()
		if err := h.Sweep(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	h.replace(t, 1)
	h.replace(t, 2)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var sent atomic.Int64
	defer func() { cancel(); wg.Wait() }()
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := hello(c.Traffic.Balance); err != nil {
					t.Error(err)
				}
				sent.Add(1)
			}
		})
	}
	for n := 3; n < 13; n++ {
		h.replace(t, n)
		if n%5 == 0 {
			before := pooltest.Look(t, h.Unit().Pool)
			h.stop()
			h = begin(t, c, dir)
			after := pooltest.Look(t, h.Unit().Pool)
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("members before and after a restart (-want +got):\n%s", diff)
			}
		}
	}
	cancel()
	wg.Wait()
	t.Logf("%d requests", sent.Load())
}

func hello(addr string) error {
	res, err := http.Post("http://"+addr+"/", "text/plain", strings.NewReader("x"))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != "hello" {
		return fmt.Errorf("got %s %q, %v", res.Status, body, err)
	}
	return nil
}

func TestDryRunStartsNothing(t *testing.T) {
	c := testConfig(t)
	c.DryRun = true
	h := begin(t, c, t.TempDir())
	defer h.stop()
	u := h.Unit()
	if ms := pooltest.Grow(t, u.Pool, "web-1"); len(ms) != 0 || !u.DryRun {
		t.Errorf("members %v, dry run %v", ms, u.DryRun)
	}
	if err := u.Traffic.Admit(t.Context(), []rules.Member{{ID: "a", Addr: "127.0.0.1:1"}}); err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", c.Traffic.Balance); err == nil {
		_ = conn.Close()
		t.Error("a balancer was started")
	}
}

func TestConfigNamesItsMistakes(t *testing.T) {
	good := func() Config {
		return Config{Process: &process.Config{Command: []string{"app", "{port}"}, Ports: "20000-20009"}}
	}
	for _, tt := range []struct {
		name string
		c    func(*Config)
		want []string
	}{
		{"nothing wrong", func(*Config) {}, nil},
		{"no provider", func(c *Config) { c.Process = nil }, []string{"$.p"}},
		{"no command", func(c *Config) { c.Process.Command = nil }, []string{"$.p.process.command"}},
		{"placeholder", func(c *Config) { c.Process.Command = []string{"app", "{prot}"} }, []string{"$.p.process.command[1]"}},
		{"no placeholder", func(c *Config) { c.Process.Command = []string{"app", `{"a": 1}`, "{}", "${HOME}"} }, nil},
		{"ports", func(c *Config) { c.Process.Ports = "20009-20000" }, []string{"$.p.process.ports"}},
		{"no ports", func(c *Config) { c.Process.Ports = "" }, []string{"$.p.process.ports"}},
		{"folder", func(c *Config) { c.Process.Dir = "/nowhere" }, []string{"$.p.process.dir"}},
		{"variable", func(c *Config) { c.Process.Env = map[string]string{"FLYBALL_IS_NOT_SET": ""} }, []string{"$.p.process.env.FLYBALL_IS_NOT_SET"}},
		{"grace", func(c *Config) { c.Process.Grace = 10 }, []string{"$.p.process.grace"}},
		{"ready", func(c *Config) { c.Ready = Ready{HTTP: "readyz", TCP: true, Port: -1, Failures: -1} }, []string{"$.p.ready.http", "$.p.ready.tcp", "$.p.ready.port", "$.p.ready.failures"}},
		{"interval", func(c *Config) { c.Ready.Interval = 1 }, []string{"$.p.ready.interval"}},
		{"traffic", func(c *Config) { c.Traffic = &traffic.Config{} }, []string{"$.p.traffic"}},
		{"drain", func(c *Config) { c.Drain = -1 }, []string{"$.p.drain"}},
		{"metrics", func(c *Config) { c.Metrics = "metrics" }, []string{"$.p.metrics"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := good()
			tt.c(&c)
			if diff := cmp.Diff(tt.want, paths(c.Validate("$.p"))); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func paths(fs []rules.Fault) []string {
	var ps []string
	for _, f := range fs {
		ps = append(ps, f.Path)
	}
	return ps
}

func TestPoolsThatWantTheSameAreNamed(t *testing.T) {
	pool := func(ports process.Ports, balance string) Config {
		return Config{Process: &process.Config{Ports: ports}, Traffic: &traffic.Config{Balance: balance}}
	}
	got := paths(Conflicts("$.pools", map[string]Config{
		"a": pool("20000-20009", "127.0.0.1:1"),
		"b": pool("20009-20010", "127.0.0.1:2"),
		"c": pool("20011-20012", "127.0.0.1:1"),
	}))
	if diff := cmp.Diff([]string{"$.pools.b.process.ports", "$.pools.c.traffic.balance"}, got); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}
