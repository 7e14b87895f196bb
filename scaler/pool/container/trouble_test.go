package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"flyball/deploy/testservers"
	"flyball/rules"
	"flyball/scaler/pool/pooltest"
)

func TestAnswersThatAreLostDoubleNobody(t *testing.T) {
	for _, tt := range []struct{ method, suffix string }{
		{"POST", "/containers/create"}, {"POST", "/start"}, {"POST", "/kill"}, {"DELETE", ""},
	} {
		t.Run(tt.method+tt.suffix, func(t *testing.T) {
			r, socket := startRelay(t)
			p := testPool(t, func(c *Config) { c.Socket = socket })
			r.set(losing(tt.method, tt.suffix))
			if err := p.Grow(t.Context(), step("web-1")); err != nil {
				t.Errorf("Grow: %v", err)
			}
			ms := pooltest.Look(t, p)
			if len(ms) != 1 || len(containersOf(t, p)) != 1 {
				t.Fatalf("members %v, containers %v", ms, containersOf(t, p))
			}
			awaitService(t, ms[0])
			_ = p.Remove(t.Context(), removal(ms...)) // may fail: its answer is lost
			r.set(nil)
			pooltest.Until(t, "the end", func() bool {
				remove(t, p, ms...)
				return len(pooltest.Look(t, p)) == 0
			})
			if left := containersOf(t, p); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// late has the engine make a container only when whoever asked for it has given up.
func late(asked, made chan<- struct{}) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if !strings.HasSuffix(r.URL.Path, "/containers/create") {
			pass.ServeHTTP(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body) // else the end of the connection is not seen
		close(asked)
		<-r.Context().Done()
		again := r.Clone(context.WithoutCancel(r.Context()))
		again.Body = io.NopCloser(bytes.NewReader(body))
		pass.ServeHTTP(&deaf{header: http.Header{}}, again)
		close(made)
	}
}

func TestAContainerThatCameLateIsFoundByItsNameOrUndone(t *testing.T) {
	for name, again := range map[string]bool{"step done again": true, "step given up": false} {
		t.Run(name, func(t *testing.T) {
			r, socket := startRelay(t)
			p := testPool(t, func(c *Config) { c.Socket = socket })
			asked, made := make(chan struct{}), make(chan struct{})
			r.set(late(asked, made))
			ctx, cancel := context.WithCancel(t.Context())
			failed := make(chan error, 1)
			go func() { failed <- p.Grow(ctx, step("web-1")) }()
			<-asked
			cancel()
			if err := <-failed; !errors.Is(err, context.Canceled) {
				t.Fatalf("Grow: %v", err)
			}
			<-made
			r.set(nil)
			if there := containersOf(t, p); len(there) != 1 || !strings.Contains(there[0], "created") {
				t.Fatalf("on the engine there is %v", there)
			}
			if again {
				awaitService(t, pooltest.Grow(t, p, "web-1")[0])
				return
			}
			if ms := pooltest.Look(t, p); len(ms) != 0 || len(containersOf(t, p)) != 0 {
				t.Errorf("members %v, containers %v", ms, containersOf(t, p))
			}
		})
	}
}

func TestALookWhileAStepIsUnderWayUndoesNothing(t *testing.T) {
	r, socket := startRelay(t)
	p := testPool(t, func(c *Config) { c.Socket = socket })
	asked, looked := make(chan struct{}), make(chan struct{})
	r.set(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if strings.HasSuffix(r.URL.Path, "/start") {
			close(asked)
			<-looked
		}
		pass.ServeHTTP(w, r)
	})
	failed := make(chan error, 1)
	go func() { failed <- p.Grow(t.Context(), step("web-1")) }()
	<-asked
	ms := pooltest.Look(t, p)
	close(looked)
	if len(ms) != 1 || ms[0].State != rules.Booting || ms[0].Name != "web-1" {
		t.Errorf("between make and start the members are %+v", ms)
	}
	if err := <-failed; err != nil {
		t.Errorf("Grow: %v", err)
	}
	if now := pooltest.Look(t, p); len(now) != 1 || now[0].ID != ms[0].ID {
		t.Errorf("after the step the members are %+v", now)
	}
}

func TestADeadMemberThatSomebodyStartsLivesAndCanDieAgain(t *testing.T) {
	p := testPool(t, nil)
	m := pooltest.Grow(t, p, "web-1")[0]
	for _, sig := range []string{"KILL", "QUIT"} {
		testservers.SharedPodman(t).Run(t, "kill", "-s", sig, string(m.ID))
		var dead rules.Member
		pooltest.Until(t, "death", func() bool { dead = pooltest.Look(t, p)[0]; return dead.State == rules.Dead })
		if want := map[string]string{"KILL": "ended by signal 9", "QUIT": "ended with status 2"}[sig]; !strings.HasPrefix(dead.Note, want) {
			t.Errorf("after %s: %q, want %q", sig, dead.Note, want)
		}
		testservers.SharedPodman(t).Run(t, "start", string(m.ID))
		if now := pooltest.Look(t, p)[0]; now.State != rules.Booting || now.ID != m.ID {
			t.Errorf("started by hand: %+v", now)
		}
		awaitService(t, pooltest.Look(t, p)[0])
	}
}

func TestALookAtRestIsOneCall(t *testing.T) {
	r, socket := startRelay(t)
	p := testPool(t, func(c *Config) { c.Socket = socket })
	ms := pooltest.Grow(t, p, "web-1", "web-2", "web-3")
	kill(t, p, ms[2])
	pooltest.Until(t, "death", func() bool { return pooltest.Look(t, p)[2].State == rules.Dead })
	r.taken()
	for range 3 {
		pooltest.Look(t, p)
	}
	if calls := r.taken(); len(calls) != 3 || slices.ContainsFunc(calls, func(c string) bool { return !strings.HasSuffix(c, "/containers/json") }) {
		t.Errorf("three looks made the calls %v", calls)
	}
}

func TestAFrozenEngineIsAnErrorInTime(t *testing.T) {
	p, engine := testPool(t, nil), testservers.SharedPodman(t)
	m := pooltest.Grow(t, p, "web-1")[0]
	engine.Freeze(t)
	t.Cleanup(func() { engine.Thaw(t) })
	for verb, call := range map[string]func(context.Context) error{
		"Look":   func(ctx context.Context) error { _, _, err := p.Look(ctx); return err },
		"Grow":   func(ctx context.Context) error { return p.Grow(ctx, step("web-2")) },
		"Remove": func(ctx context.Context) error { return p.Remove(ctx, removal(m)) },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		began := time.Now()
		err := call(ctx)
		cancel()
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > 2*time.Second {
			t.Errorf("%s: %v after %s", verb, err, took)
		}
	}
	engine.Thaw(t)
	pooltest.Until(t, "an answer", func() bool { _, _, err := p.Look(t.Context()); return err == nil })
	if ms := pooltest.Look(t, p); len(ms) != 1 || ms[0].ID != m.ID || ms[0].State != rules.Booting {
		t.Errorf("after the thaw: %+v", ms)
	}
}

func TestMembersOutliveTheirEngine(t *testing.T) {
	p, engine := testPool(t, nil), testservers.SharedPodman(t)
	before := pooltest.Grow(t, p, "web-1", "web-2")
	engine.Kill(t)
	_, _, err := p.Look(t.Context())
	if err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(p.cfg.Socket, "unix://")) || strings.Contains(err.Error(), "http:") {
		t.Errorf("without an engine: %v", err)
	}
	awaitService(t, before[0])
	engine.Restart(t)
	after := pooltest.Grow(t, p, "web-1", "web-2", "web-3")
	if len(after) != 3 || after[0].ID != before[0].ID || after[1].ID != before[1].ID || after[0].Addr != before[0].Addr {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

func TestAMemberIsToldOnceAndKilledAfterItsGrace(t *testing.T) {
	p := testPool(t, func(c *Config) { c.Env["STUBBORN"] = "1"; c.Grace = time.Hour })
	m := pooltest.Grow(t, p, "web-1")[0]
	awaitService(t, m)
	for range 3 {
		remove(t, p, m)
	}
	again := newPool(t, p.cfg, p.dir) // a restart remembers
	remove(t, again, m)
	pooltest.Until(t, "the wish", func() bool { n, err := get(m, "/wishes"); return err == nil && n != "0" })
	if n, err := get(m, "/wishes"); n != "1" {
		t.Errorf("asked %s times, %v", n, err)
	}
	again.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	remove(t, again, m)
	pooltest.Until(t, "the end", func() bool { return len(pooltest.Look(t, again)) == 0 })
}

func TestAPausedMemberCanBeEnded(t *testing.T) {
	p := testPool(t, func(c *Config) { c.Env["STUBBORN"] = "1" })
	m := pooltest.Grow(t, p, "web-1")[0]
	testservers.SharedPodman(t).Run(t, "pause", string(m.ID))
	if ms := pooltest.Look(t, p); len(ms) != 1 || ms[0].State != rules.Booting || !strings.Contains(ms[0].Note, "paused") {
		t.Errorf("paused: %+v", ms)
	}
	pooltest.Until(t, "the end", func() bool {
		remove(t, p, m)
		return len(pooltest.Look(t, p)) == 0
	})
}

func TestFiftyMembersAreMadeAndEndedInOneStepEach(t *testing.T) {
	p := testPool(t, func(c *Config) { c.Memory, c.CPUs = 64e6, 0.5 })
	var names []string
	for i := range 50 {
		names = append(names, fmt.Sprintf("web-%d", i+1))
	}
	var took []time.Duration
	lap := time.Now()
	timed := func() { took, lap = append(took, time.Since(lap).Round(time.Millisecond)), time.Now() }
	if err := p.Grow(t.Context(), step(names...)); err != nil {
		t.Fatal(err)
	}
	timed()
	ms := pooltest.Look(t, p)
	timed()
	if len(ms) != 50 {
		t.Errorf("%d members, want 50", len(ms))
	}
	remove(t, p, ms...)
	timed()
	pooltest.Until(t, "the end of all", func() bool { return len(pooltest.Look(t, p)) == 0 })
	timed()
	t.Logf("50 members: grown in %s, looked at in %s, asked to end in %s, gone after %s more", took[0], took[1], took[2], took[3])
}
