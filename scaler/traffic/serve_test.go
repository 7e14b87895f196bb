package traffic

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flyball/rules"
)

// newBalance is a client whose balancer is a real process; it ends with the test.
func newBalance(t *testing.T, control, listen string) *Balance {
	t.Helper()
	exe := must[string](t)(os.Executable())
	b := NewBalance(BalanceConfig{Listen: listen, Control: control, Command: []string{exe, "balance"}})
	t.Cleanup(func() {
		if err := b.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return b
}

// freeAddr is an address that nobody listened at a moment ago.
func freeAddr(t *testing.T) string {
	t.Helper()
	l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	return l.Addr().String()
}

func TestBalancerIsStartedOnceAndKnowsItsMembersAfterItsDeath(t *testing.T) {
	control, listen := socketIn(t), freeAddr(t)
	ms := []rules.Member{rule("web-1", member(t, func(http.ResponseWriter, *http.Request) {})), rule("web-2", refusing(t))}
	var wg sync.WaitGroup
	clients := make([]*Balance, 4)
	for i := range clients {
		clients[i] = newBalance(t, control, listen)
		wg.Go(func() {
			if err := clients[i].Admit(t.Context(), ms); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	b := clients[0]
	if err := b.Withdraw(t.Context(), ms[1:]); err != nil {
		t.Fatal(err)
	}
	first := must[About](t)(b.About(t.Context()))
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "the balancer's death", func() bool {
		// Of those that were started at once, one may have been late and take over.
		a, err := b.About(t.Context())
		return absent(err) || err == nil && a.PID != first.PID
	})

	open := must[map[rules.MemberID]int](t)(b.Open(t.Context())) // starts it anew
	if diff := cmp.Diff(map[rules.MemberID]int{"web-1": 0, "web-2": 0}, open); diff != "" {
		t.Errorf("open requests (-want +got):\n%s", diff)
	}
	var in []string
	for _, m := range must[[]Member](t)(b.Members(t.Context())) {
		if m.Admitted {
			in = append(in, m.Name)
		}
	}
	if diff := cmp.Diff([]string{"web-1"}, in); diff != "" {
		t.Errorf("in rotation (-want +got):\n%s", diff)
	}
	if second := must[About](t)(b.About(t.Context())); second.PID == first.PID {
		t.Error("the balancer that was killed answers")
	}
	res := must[*http.Response](t)(http.Get("http://" + listen))
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("got %d, want 200", res.StatusCode)
	}
}

func TestStopLetsOpenRequestsFinish(t *testing.T) {
	arrived, finish := make(chan bool), make(chan bool)
	listen := freeAddr(t)
	b := newBalance(t, socketIn(t), listen)
	addr := member(t, func(w http.ResponseWriter, _ *http.Request) {
		arrived <- true
		<-finish
		_, _ = io.WriteString(w, "done")
	})
	if err := b.Admit(t.Context(), []rules.Member{rule("web-1", addr)}); err != nil {
		t.Fatal(err)
	}
	got := make(chan string)
	go func() {
		res, err := http.Get("http://" + listen)
		if err != nil {
			got <- err.Error()
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body) // a short body is the failure
		got <- string(body)
	}()
	<-arrived
	stopped := make(chan error)
	go func() { stopped <- b.Stop(t.Context()) }()
	until(t, "the closed listener", func() bool {
		conn, err := net.Dial("tcp", listen)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	close(finish)
	if body := <-got; body != "done" {
		t.Errorf("got %q, want done", body)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestBalancerMovesWithItsConfiguration(t *testing.T) {
	control := socketIn(t)
	from, to := newBalance(t, control, freeAddr(t)), newBalance(t, control, freeAddr(t))
	if err := from.Admit(t.Context(), []rules.Member{rule("web-1", refusing(t))}); err != nil {
		t.Fatal(err)
	}
	if err := to.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := must[About](t)(to.About(t.Context())).Listen; got != to.cfg.Listen {
		t.Errorf("listens on %s, want %s", got, to.cfg.Listen)
	}
	if ms := must[[]Member](t)(to.Members(t.Context())); len(ms) != 1 {
		t.Errorf("members %v, want the one from before", ms)
	}
}

func TestBalancerThatCannotListenIsAnErrorThatSaysWhereToLook(t *testing.T) {
	l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	control := socketIn(t)
	err := newBalance(t, control, l.Addr().String()).Ensure(t.Context())
	if err == nil || !strings.Contains(err.Error(), control+".log") {
		t.Fatalf("got %v, want an error that names the log", err)
	}
	if raw := must[[]byte](t)(os.ReadFile(control + ".log")); !strings.Contains(string(raw), "address already in use") {
		t.Errorf("the log says %q", raw)
	}
}

func TestSocketIsItsUsersAloneAndItsPathMayBeLong(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	control := filepath.Join(dir, "balance.sock")
	b := newBalance(t, control, freeAddr(t))
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if mode := must[os.FileInfo](t)(os.Stat(control)).Mode().Perm(); mode != 0o600 {
		t.Errorf("mode %o, want 600", mode)
	}
	if err := Serve(t.Context(), ServerConfig{Listen: "127.0.0.1:0", Control: control}); err == nil {
		t.Error("a second balancer ran with the same socket")
	}
}

func TestSickMemberGetsNoRequestUntilItIsWell(t *testing.T) {
	var mu sync.Mutex
	code := http.StatusServiceUnavailable
	set := func(c int) { mu.Lock(); defer mu.Unlock(); code = c }
	addr := member(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.WriteHeader(code)
	})
	ctx, cancel := context.WithCancel(t.Context())
	control := socketIn(t)
	b := must[*Balancer](t)(NewBalancer(ServerConfig{Listen: "127.0.0.1:0", Control: control, Check: Check{HTTP: "/readyz"}}))
	done := make(chan error)
	go func() { done <- b.Run(ctx) }()
	admit(b, "a", addr)
	up := func() bool { return b.table.table().Members[0].Up }
	until(t, "down", func() bool { return !up() })
	set(http.StatusOK)
	until(t, "up", up)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRunKeepsABalancerRunning(t *testing.T) {
	b := newBalance(t, socketIn(t), freeAddr(t))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- b.Run(ctx) }()
	pid := func() int {
		a, err := b.About(t.Context())
		if err != nil {
			return 0
		}
		return a.PID
	}
	until(t, "a balancer", func() bool { return pid() != 0 })
	first := pid()
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "another balancer", func() bool { p := pid(); return p != 0 && p != first })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
