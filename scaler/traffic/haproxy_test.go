package traffic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flyball/deploy/testservers"
	"flyball/rules"
)

// haproxyConfig is what a user writes, with two backends for two pools.
const haproxyConfig = `
global
    server-state-file {{.Dir}}/state
defaults
    mode http
    timeout connect 1s
    timeout client 30s
    timeout server 30s
    timeout queue 5s
    timeout http-keep-alive 2s
    option idle-close-on-response
    retries 3
    option redispatch
    load-server-state-from-file global
    default-server check inter 200ms fastinter 50ms fall 2 rise 1
frontend app
    bind 127.0.0.1:{{port "app"}}
    default_backend be_app
frontend two
    bind 127.0.0.1:{{port "two"}}
    default_backend be_two
backend be_app
    server-template web 1-4 localhost:1 disabled
backend be_two
    server-template web 1-4 localhost:1 disabled
`

// newHAProxy is a client of a real HAProxy's backend.
func newHAProxy(t *testing.T, server *testservers.HAProxy, backend string) *HAProxy {
	t.Helper()
	return NewHAProxy(HAProxyConfig{
		Socket: server.Socket(), Backend: backend,
		State: filepath.Join(server.Dir(), "state"), Table: filepath.Join(t.TempDir(), "haproxy.json"),
	})
}

// again is the client that a Flyball started anew makes.
func (h *HAProxy) again() *HAProxy { return NewHAProxy(h.cfg) }

// running keeps HAProxy as wanted until the test ends.
func (h *HAProxy) running(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := h.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// namedMembers are members that answer with their names, each on an address of its own.
func namedMembers(t *testing.T, names ...string) []rules.Member {
	t.Helper()
	var ms []rules.Member
	for i, name := range names {
		ms = append(ms, startMember(t, name, fmt.Sprintf("127.0.0.%d:0", i+2), func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, name)
		}))
	}
	return ms
}

func startMember(t *testing.T, name, addr string, f http.HandlerFunc) rules.Member {
	t.Helper()
	l := must[net.Listener](t)(net.Listen("tcp", addr))
	s := &http.Server{Handler: f}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() { _ = s.Close(); wg.Wait() })
	return rules.Member{ID: rules.MemberID("id-" + name), Name: name, Addr: l.Addr().String(), State: rules.Ready}
}

// answering asks at an address until each of the names has answered and nobody
// else does.
func answering(t *testing.T, addr string, names ...string) {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	until(t, fmt.Sprintf("answers of %v alone", names), func() bool {
		got := map[string]bool{}
		for range 3 * max(len(names), 1) {
			res, err := c.Get("http://" + addr)
			if err != nil {
				t.Fatal(err)
			}
			body := must[[]byte](t)(io.ReadAll(res.Body))
			_ = res.Body.Close()
			got[strings.TrimSpace(string(body))] = true
		}
		for _, n := range names {
			if !got[n] {
				return false
			}
		}
		return len(got) == max(len(names), 1)
	})
}

// slotsOf is what HAProxy has in a backend, the vacant slots left out.
func slotsOf(t *testing.T, h *HAProxy) map[string]string {
	t.Helper()
	b, err := h.runtime.Backend(t.Context(), h.cfg.Backend)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range b.Servers {
		if vacant(s) && s.Maint() {
			continue
		}
		state := "ready"
		if s.Drain() {
			state = "drain"
		}
		if s.Maint() {
			state = "maint"
		}
		got[s.Name] = s.Addr.String() + " " + state
	}
	return got
}

func wantSlots(t *testing.T, h *HAProxy, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, slotsOf(t, h)); diff != "" {
		t.Errorf("slots (-want +got):\n%s", diff)
	}
}

func do(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestMembersFillSlotsAndLeaveThem(t *testing.T) {
	server := testservers.StartHAProxy(t, haproxyConfig)
	h := newHAProxy(t, server, "be_app")
	ms := namedMembers(t, "a", "b", "c")
	do(t, h.Admit(t.Context(), ms[:2]))
	do(t, h.Admit(t.Context(), ms)) // those already there stay
	wantSlots(t, h, map[string]string{"web1": ms[0].Addr + " ready", "web2": ms[1].Addr + " ready", "web3": ms[2].Addr + " ready"})
	answering(t, server.Addr("app"), "a", "b", "c")

	do(t, h.Withdraw(t.Context(), ms[1:2]))
	do(t, h.Withdraw(t.Context(), ms[1:2]))
	wantSlots(t, h, map[string]string{"web1": ms[0].Addr + " ready", "web2": ms[1].Addr + " drain", "web3": ms[2].Addr + " ready"})
	answering(t, server.Addr("app"), "a", "c")
	open := must[map[rules.MemberID]int](t)(h.Open(t.Context()))
	if diff := cmp.Diff(map[rules.MemberID]int{"id-a": 0, "id-b": 0, "id-c": 0}, open); diff != "" {
		t.Errorf("open requests (-want +got):\n%s", diff)
	}
	wantSlots(t, h, map[string]string{"web1": ms[0].Addr + " ready", "web2": ms[1].Addr + " maint", "web3": ms[2].Addr + " ready"})

	do(t, h.Admit(t.Context(), ms[1:2]))
	answering(t, server.Addr("app"), "a", "b", "c")
	do(t, h.Stop(t.Context()))
	wantSlots(t, h, map[string]string{})
	if open := must[map[rules.MemberID]int](t)(h.Open(t.Context())); len(open) != 0 {
		t.Errorf("after the end there are %v", open)
	}
}

func TestAMemberThatWasNeverInHasNothingOpen(t *testing.T) {
	server := testservers.StartHAProxy(t, haproxyConfig)
	h := newHAProxy(t, server, "be_app")
	ms := namedMembers(t, "a")
	unborn := rules.Member{ID: "id-unborn", Name: "unborn"}
	do(t, h.Withdraw(t.Context(), append(ms, unborn)))
	open := must[map[rules.MemberID]int](t)(h.Open(t.Context()))
	if diff := cmp.Diff(map[rules.MemberID]int{"id-a": 0, "id-unborn": 0}, open); diff != "" {
		t.Errorf("open requests (-want +got):\n%s", diff)
	}
	wantSlots(t, h, map[string]string{})
}

func TestMembersAreThereAfterHAProxyWasKilled(t *testing.T) {
	for _, tt := range []struct {
		name string
		lose func(h *HAProxy) error // what is lost beside HAProxy's memory
	}{
		{"by HAProxy's own file", func(*HAProxy) error { return nil }},
		{"by Flyball's table", func(h *HAProxy) error { return os.Remove(h.cfg.State) }},
		{"by their addresses", func(h *HAProxy) error { return os.Remove(h.cfg.Table) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := testservers.StartHAProxy(t, haproxyConfig)
			h := newHAProxy(t, server, "be_app")
			ms := namedMembers(t, "a", "b", "c")
			do(t, h.Admit(t.Context(), ms))
			do(t, h.Withdraw(t.Context(), ms[:1]))
			want := slotsOf(t, h)

			server.Kill(t) // and Flyball, too
			do(t, tt.lose(h))
			server.Restart(t)
			h = h.again()
			do(t, h.Admit(t.Context(), ms[1:])) // as a loop does after its start
			if tt.name == "by Flyball's table" {
				delete(want, "web1") // was out and without requests: there is nothing to drain
			}
			wantSlots(t, h, want)
			answering(t, server.Addr("app"), "b", "c")
		})
	}
}

func TestRunMendsWhatAReloadForgot(t *testing.T) {
	server := testservers.StartHAProxy(t, strings.Replace(haproxyConfig, "load-server-state-from-file global", "", 1))
	h := newHAProxy(t, server, "be_app")
	ms := namedMembers(t, "a", "b", "c")
	do(t, h.Admit(t.Context(), ms))
	do(t, h.Withdraw(t.Context(), ms[2:]))
	h.running(t)
	server.Reload(t)
	want := map[string]string{"web1": ms[0].Addr + " ready", "web2": ms[1].Addr + " ready"}
	until(t, "two members", func() bool { return cmp.Equal(slotsOf(t, h), want) })
	answering(t, server.Addr("app"), "a", "b")
}

func TestAMemberThatIsGoneIsNotBroughtBack(t *testing.T) {
	server := testservers.StartHAProxy(t, haproxyConfig)
	h := newHAProxy(t, server, "be_app")
	now := time.Now()
	h.cfg.Now = func() time.Time { return now }
	ss, ms := busyMembers(t, 2)
	do(t, h.Admit(t.Context(), ms))
	before := must[[]byte](t)(os.ReadFile(h.cfg.State))
	do(t, h.Withdraw(t.Context(), ms[:1]))
	do(t, h.mend(t.Context()))
	ss[0].end()
	now = now.Add(forgetWithdrawn)
	do(t, h.mend(t.Context())) // finds it gone
	do(t, h.mend(t.Context())) // frees its slot
	want := map[string]string{"web2": ms[1].Addr + " ready"}
	wantSlots(t, h, want)

	do(t, os.WriteFile(h.cfg.State, before, 0o600)) // as one that HAProxy began to read long ago
	server.Reload(t)
	if got := slotsOf(t, h); len(got) != 2 {
		t.Fatalf("after a reload with an old file the slots are %v, want both members", got)
	}
	do(t, h.mend(t.Context()))
	wantSlots(t, h, want)
}

func TestTheStateFileFollowsHAProxy(t *testing.T) {
	server := testservers.StartHAProxy(t, haproxyConfig)
	h := newHAProxy(t, server, "be_app")
	do(t, h.Admit(t.Context(), namedMembers(t, "a")))
	h.running(t)
	server.Runtime(t, "set server be_two/web4 weight 7") // by somebody else
	until(t, "the weight", func() bool {
		raw := must[[]byte](t)(os.ReadFile(h.cfg.State))
		return lasting(string(raw)) == lasting(must[string](t)(h.runtime.Dump(t.Context())))
	})
}

func TestTwoPoolsShareAStateFile(t *testing.T) {
	server := testservers.StartHAProxy(t, haproxyConfig)
	one, two := newHAProxy(t, server, "be_app"), newHAProxy(t, server, "be_two")
	ms := namedMembers(t, "a", "b", "c", "d")
	var wg sync.WaitGroup
	for _, h := range []*HAProxy{one, two} {
		h.running(t)
		wg.Go(func() {
			for range 5 {
				for _, m := range ms {
					if err := errors.Join(h.Admit(t.Context(), []rules.Member{m}), h.Withdraw(t.Context(), []rules.Member{m}), h.Admit(t.Context(), []rules.Member{m})); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	all := map[string]string{}
	for i, m := range ms {
		all[fmt.Sprintf("web%d", i+1)] = m.Addr + " ready"
	}
	wantSlots(t, one, all)
	wantSlots(t, two, all)
	server.Kill(t)
	server.Restart(t)
	wantSlots(t, one, all)
	wantSlots(t, two, all)
	answering(t, server.Addr("app"), "a", "b", "c", "d")
	answering(t, server.Addr("two"), "a", "b", "c", "d")
}

func TestMembersComeAndGoAtOnce(t *testing.T) {
	server := testservers.StartHAProxy(t, haproxyConfig)
	h := newHAProxy(t, server, "be_app")
	ms := namedMembers(t, "a", "b", "c", "d")
	var wg sync.WaitGroup
	for _, m := range ms {
		wg.Go(func() {
			for range 5 {
				err := errors.Join(h.Withdraw(t.Context(), []rules.Member{m}), h.Admit(t.Context(), []rules.Member{m}))
				if _, openErr := h.Open(t.Context()); errors.Join(err, openErr) != nil {
					t.Error(err, openErr)
				}
			}
		})
	}
	wg.Wait()
	answering(t, server.Addr("app"), "a", "b", "c", "d")
}

func TestAFullTemplateSaysSoAndServesTheOthers(t *testing.T) {
	server := testservers.StartHAProxy(t, haproxyConfig)
	h := newHAProxy(t, server, "be_app")
	ms := namedMembers(t, "a", "b", "c", "d", "e")
	err := h.Admit(t.Context(), ms)
	if err == nil || !strings.Contains(err.Error(), "backend be_app has no slot for e") || !strings.Contains(err.Error(), "4 servers") {
		t.Errorf("got %v, want the backend, the member and the number of slots", err)
	}
	answering(t, server.Addr("app"), "a", "b", "c", "d")
	open := must[map[rules.MemberID]int](t)(h.Open(t.Context()))
	if _, known := open["id-e"]; known || len(open) != 4 {
		t.Errorf("open requests of %v, want those of all but e", open)
	}

	do(t, h.Withdraw(t.Context(), ms[1:2])) // who is out and has nothing open makes room
	answering(t, server.Addr("app"), "a", "c", "d", "e")
	wantSlots(t, h, map[string]string{
		"web1": ms[0].Addr + " ready", "web2": ms[4].Addr + " ready", "web3": ms[2].Addr + " ready", "web4": ms[3].Addr + " ready",
	})
}

func TestWhatHAProxyRefusesIsSaid(t *testing.T) {
	server := testservers.StartHAProxy(t, haproxyConfig+`
backend be_addr
    server-template web 1-4 127.0.0.1:1 disabled
backend be_none
    server one localhost:8080 disabled
    server two 127.0.0.1:8080 disabled
backend be_bare
frontend cli
    bind 127.0.0.1:{{port "bad"}}
    http-request return status 503 content-type application/json string '{}' if { path_beg /x }
global
    stats socket {{.Dir}}/user.sock mode 600 level user
    stats socket {{.Dir}}/operator.sock mode 600 level operator
`)
	m := namedMembers(t, "a")[0]
	elsewhere := func(socket string) func(c *HAProxyConfig) {
		return func(c *HAProxyConfig) { c.Socket = filepath.Join(server.Dir(), socket) }
	}
	for _, tt := range []struct {
		name   string
		change func(c *HAProxyConfig)
		want   string
	}{
		{"no such backend", func(c *HAProxyConfig) { c.Backend = "be_nobody" }, "no backend has that name"},
		{"slots with addresses", func(c *HAProxyConfig) { c.Backend = "be_addr" }, "with the name localhost"},
		{"servers that are the user's", func(c *HAProxyConfig) { c.Backend = "be_none" }, "server-template web 1-20"},
		{"no servers", func(c *HAProxyConfig) { c.Backend = "be_bare" }, "server-template web 1-20"},
		{"level user", elsewhere("user.sock"), "level admin"},
		{"level operator", elsewhere("operator.sock"), "level admin"},
		{"nobody there", elsewhere("nobody.sock"), "nobody.sock"},
		{"no folder for the state", func(c *HAProxyConfig) { c.State = filepath.Join(server.Dir(), "no", "state") }, "forget at a reload"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHAProxy(t, server, "be_app")
			tt.change(&h.cfg)
			h = h.again()
			err := h.Admit(t.Context(), []rules.Member{m})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
	h := newHAProxy(t, server, "be_app")
	if err := h.Admit(t.Context(), []rules.Member{{ID: "x", Name: "x", Addr: "web.example:80"}}); err == nil || !strings.Contains(err.Error(), "no IP address") {
		t.Errorf("a name for an address: %v", err)
	}
}

func TestAServerOfTheUsersIsLeftAlone(t *testing.T) {
	server := testservers.StartHAProxy(t, strings.Replace(haproxyConfig, "\nbackend be_app\n",
		"\nbackend be_app\n    server old 127.0.0.9:8080 disabled\n    server other localhost:8080 disabled\n", 1))
	h := newHAProxy(t, server, "be_app")
	ms := namedMembers(t, "a", "b")
	server.Runtime(t, "set server be_app/web1 addr 127.0.0.99 port 80") // somebody else's member
	do(t, h.Admit(t.Context(), ms))
	do(t, h.Withdraw(t.Context(), ms[:1]))
	wantSlots(t, h, map[string]string{
		"old": "127.0.0.9:8080 maint", "other": "127.0.0.1:8080 maint", "web1": "127.0.0.99:80 maint",
		"web2": ms[0].Addr + " drain", "web3": ms[1].Addr + " ready",
	})
}

func TestAMemberThatHAProxyItselfFindsIllIsSaid(t *testing.T) {
	server := testservers.StartHAProxy(t, strings.Replace(haproxyConfig, "\nbackend be_app\n", "\nbackend be_app\n    option httpchk GET /readyz\n", 1))
	h := newHAProxy(t, server, "be_app")
	m := startMember(t, "a", "127.0.0.2:0", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	do(t, h.Withdraw(t.Context(), []rules.Member{m}))
	_ = h.Admit(t.Context(), []rules.Member{m}) // HAProxy gives it a moment
	until(t, "HAProxy's own no", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		err := h.Admit(ctx, []rules.Member{m})
		return err != nil && strings.Contains(err.Error(), "HAProxy sends nothing to a in be_app/web1") && strings.Contains(err.Error(), "L7STS")
	})
}

func TestAFrozenHAProxyCostsNoMoreThanTheContext(t *testing.T) {
	server := testservers.StartHAProxy(t, haproxyConfig)
	h := newHAProxy(t, server, "be_app")
	ms := namedMembers(t, "a")
	h.running(t)
	do(t, h.Admit(t.Context(), ms))
	server.Freeze(t)
	for name, f := range map[string]func(context.Context) error{
		"Admit":    func(ctx context.Context) error { return h.Admit(ctx, ms) },
		"Withdraw": func(ctx context.Context) error { return h.Withdraw(ctx, ms) },
		"Open":     func(ctx context.Context) error { _, err := h.Open(ctx); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		began := time.Now()
		if err := f(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 3*time.Second {
			t.Errorf("%s after %s: %v, want the end of its context", name, time.Since(began), err)
		}
		cancel()
	}
	server.Thaw(t)
	do(t, h.Admit(t.Context(), ms))
	answering(t, server.Addr("app"), "a")
}

// Around a reload of Flyball's configuration two clients have the same backend for
// a moment.
func TestWhatOneClientWithdrewAnotherDoesNotLetInAgain(t *testing.T) {
	server := testservers.StartHAProxy(t, haproxyConfig)
	old := newHAProxy(t, server, "be_app")
	ms := namedMembers(t, "a", "b")
	if err := old.Admit(t.Context(), ms); err != nil {
		t.Fatal(err)
	}
	next := old.again()
	if _, err := next.Open(t.Context()); err != nil { // it knows them as they are now
		t.Fatal(err)
	}
	if err := old.Withdraw(t.Context(), ms[:1]); err != nil {
		t.Fatal(err)
	}
	if _, err := next.Open(t.Context()); err != nil { // it makes HAProxy be as wanted
		t.Fatal(err)
	}
	b, err := next.runtime.Backend(t.Context(), "be_app")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range b.Servers {
		if out := s.Drain() || s.Maint(); s.Addr.String() == ms[0].Addr && !out || s.Addr.String() == ms[1].Addr && out {
			t.Errorf("%s at %s: %+v", s.Name, s.Addr, s)
		}
	}
}
