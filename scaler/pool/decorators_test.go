package pool

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
	"flyball/scaler/pool/pooltest"
)

var terms = rules.Terms{Names: true, Victims: true}

func env() Env { return Env{}.withDefaults() }

// answers is the members' side of the questions, by address.
type answers struct {
	mu    sync.Mutex
	no    map[string]bool
	hangs map[string]bool
	asked map[string]int
}

func newAnswers() *answers {
	return &answers{no: map[string]bool{}, hangs: map[string]bool{}, asked: map[string]int{}}
}

var errNo = errors.New("not ready")

func (a *answers) ask(ctx context.Context, addr string) error {
	a.mu.Lock()
	a.asked[addr]++
	hangs, no := a.hangs[addr], a.no[addr]
	a.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	if no {
		return errNo
	}
	return nil
}

func (a *answers) set(addr string, no, hangs bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.no[addr], a.hangs[addr] = no, hangs
}

func asking(p scaler.Pool, a *answers, state string) *ready {
	r := newReady(p, Config{}.withDefaults().Ready, state, env())
	r.ask = a.ask
	return r
}

func TestDecoratorsKeepTheContract(t *testing.T) {
	for name, decorate := range map[string]func(*testing.T, scaler.Pool) scaler.Pool{
		"retry": func(_ *testing.T, p scaler.Pool) scaler.Pool { return retry{p} },
		"count": func(_ *testing.T, p scaler.Pool) scaler.Pool {
			return NewMetrics(prometheus.NewRegistry()).count("web", p)
		},
		"ready": func(t *testing.T, p scaler.Pool) scaler.Pool {
			return asking(p, newAnswers(), filepath.Join(t.TempDir(), "ready.state"))
		},
		"drift": func(t *testing.T, p scaler.Pool) scaler.Pool {
			return newDrift(p, "web", filepath.Join(t.TempDir(), "drift.state"), env())
		},
		"dry run": func(_ *testing.T, p scaler.Pool) scaler.Pool { return dryRun{p, slog.New(slog.DiscardHandler)} },
	} {
		t.Run(name, func(t *testing.T) {
			pooltest.Run(t, func(t *testing.T) pooltest.Harness {
				f := pooltest.NewFake(time.Now, terms)
				return pooltest.Harness{
					Pool:     decorate(t, f),
					Again:    func(t *testing.T) scaler.Pool { return decorate(t, f) },
					Kill:     func(_ *testing.T, m rules.Member) { f.Kill(m.ID) },
					Stubborn: func(*testing.T) { f.Set(func(k *pooltest.Knobs) { k.Stubborn = true }) },
					Refused:  "no/name",
					DryRun:   name == "dry run",
				}
			})
		})
	}
}

// booting is a fake whose members never become ready by themselves.
func booting() *pooltest.Fake {
	f := pooltest.NewFake(time.Now, terms)
	f.Set(func(k *pooltest.Knobs) { k.NeverReady = true })
	return f
}

func TestAMemberThatTheProviderCallsReadyBootsUntilItSaysSoItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAnswers()
		f := pooltest.NewFake(time.Now, terms) // whose members are ready by themselves, as active machines of a cloud
		r := asking(f, a, filepath.Join(t.TempDir(), "ready.state"))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		pooltest.Look(t, r) // the first look is over
		addr := pooltest.Grow(t, r, "web-1")[0].Addr
		a.set(addr, true, false)
		time.Sleep(time.Minute) // of the bubble
		if raw := pooltest.Look(t, f)[0]; raw.State != rules.Ready {
			t.Fatalf("the provider says %s", raw.State)
		}
		if m := pooltest.Look(t, r)[0]; m.State != rules.Booting {
			t.Errorf("a member that never answered is %s", m.State)
		}
		a.set(addr, false, false)
		time.Sleep(2 * time.Second)
		if m := pooltest.Look(t, r)[0]; m.State != rules.Ready {
			t.Errorf("a member that answers is %s", m.State)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestMemberIsWhatItSaysOfItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAnswers()
		r := asking(booting(), a, filepath.Join(t.TempDir(), "ready.state"))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		pooltest.Look(t, r) // the first look is over
		addr := pooltest.Grow(t, r, "web-1")[0].Addr
		a.set(addr, true, false)
		start := time.Now()
		for _, tt := range []struct {
			at    time.Duration
			no    bool
			want  rules.State
			since time.Duration
		}{
			{1500 * time.Millisecond, false, rules.Booting, 0},
			{2500 * time.Millisecond, true, rules.Ready, 2 * time.Second},
			{4500 * time.Millisecond, true, rules.Ready, 2 * time.Second}, // failed twice
			{5500 * time.Millisecond, false, rules.Unhealthy, 5 * time.Second},
			{6500 * time.Millisecond, false, rules.Ready, 6 * time.Second},
		} {
			time.Sleep(tt.at - time.Since(start)) // of the bubble
			m := pooltest.Look(t, r)[0]
			if m.State != tt.want || tt.want != rules.Booting && m.Since.Sub(start) != tt.since {
				t.Errorf("after %s: %s since %s, want %s since %s", tt.at, m.State, m.Since.Sub(start), tt.want, tt.since)
			}
			a.set(addr, tt.no, false)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestFirstLookAsksAndKnowsSinceWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := filepath.Join(t.TempDir(), "ready.state")
		f, a := booting(), newAnswers()
		pooltest.Grow(t, f, "web-1", "web-2", "web-3")
		first := pooltest.Look(t, asking(f, a, state))
		time.Sleep(time.Hour) // of the bubble
		a.set(first[1].Addr, true, false)
		a.set(first[2].Addr, false, true)
		start := time.Now()
		again := pooltest.Look(t, asking(f, a, state))
		for i, m := range again {
			if m.State != rules.Ready || !m.Since.Equal(first[i].Since) {
				t.Errorf("%s is %s since %s, want ready since %s: one failure is none", m.Name, m.State, m.Since, first[i].Since)
			}
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("the first look took %s, want at most the timeout of a question", took)
		}
	})
}

func TestSlowMemberDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a := booting(), newAnswers()
		ms := pooltest.Grow(t, f, "web-1", "web-2")
		r := asking(f, a, filepath.Join(t.TempDir(), "ready.state"))
		r.cfg.Timeout = 10 * time.Second
		pooltest.Look(t, r)
		a.set(ms[0].Addr, false, true)
		ctx, cancel := context.WithTimeout(t.Context(), 9500*time.Millisecond)
		defer cancel()
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
		if slow, quick := a.asked[ms[0].Addr], a.asked[ms[1].Addr]; slow != 2 || quick != 10 {
			t.Errorf("asked %d and %d times, want 2 and 10", slow, quick)
		}
		if m := pooltest.Look(t, r)[0]; m.State != rules.Ready {
			t.Errorf("a question that was broken off made the member %s", m.State)
		}
	})
}

func TestAMemberThatHangsDoesNotMakeTheFirstLookFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a := booting(), newAnswers()
		ms := pooltest.Grow(t, f, "web-1", "web-2")
		r := asking(f, a, filepath.Join(t.TempDir(), "ready.state"))
		r.cfg.Timeout = time.Minute
		a.set(ms[0].Addr, false, true)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		seen, _, err := r.Look(ctx)
		if err != nil || len(seen) != 2 || seen[1].State != rules.Ready {
			t.Errorf("members are %v, %v", seen, err)
		}
	})
}

func TestAMemberThatWasNeverHeardOfBootsSinceItIsKnownAndNotSinceItsBirth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a := pooltest.NewFake(time.Now, terms), newAnswers()
		ms := pooltest.Grow(t, f, "web-1")
		a.set(ms[0].Addr, true, false)
		time.Sleep(time.Hour) // of the bubble
		m := pooltest.Look(t, asking(f, a, filepath.Join(t.TempDir(), "ready.state")))[0]
		if m.State != rules.Booting || time.Since(m.Since) > time.Second {
			t.Errorf("%s is %s since %s, of an hour ago", m.Name, m.State, m.Since)
		}
	})
}

// hanging is a provider whose look after a step does not end by itself.
type hanging struct {
	scaler.Pool
	hangs atomic.Bool
}

func (h *hanging) Look(ctx context.Context) ([]rules.Member, rules.Terms, error) {
	if h.hangs.Load() {
		<-ctx.Done()
		return nil, rules.Terms{}, ctx.Err()
	}
	return h.Pool.Look(ctx)
}

func TestAProviderThatHangsAfterAStepDelaysNoQuestionAndIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a := booting(), newAnswers()
		ms := pooltest.Grow(t, f, "web-1")
		h := &hanging{Pool: f}
		r := asking(h, a, filepath.Join(t.TempDir(), "ready.state"))
		pooltest.Look(t, r)
		h.hangs.Store(true)
		if err := r.Grow(t.Context(), journal.Step{ID: "s", Verb: journal.Grow, Names: []string{"web-2"}, To: 2}); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(8*time.Second, func() { h.hangs.Store(false) })
		ctx, cancel := context.WithTimeout(t.Context(), 20500*time.Millisecond)
		defer cancel()
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
		if n := a.asked[ms[0].Addr]; n != 21 {
			t.Errorf("web-1 was asked %d times in 20 s and at first, want 21", n)
		}
		if got := pooltest.Look(t, r); len(got) != 2 || got[1].State != rules.Ready {
			t.Errorf("members are %v: the new one was not asked", got)
		}
	})
}

func TestLookIsRepeatedAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := pooltest.NewFake(time.Now, terms)
		for _, tt := range []struct {
			err   error
			calls int
		}{{syscall.ECONNRESET, 3}, {errors.New("permission denied"), 1}} {
			f.Set(func(k *pooltest.Knobs) { k.LookErr, k.GrowErr = tt.err, tt.err })
			before := len(f.Calls())
			if _, _, err := (retry{f}).Look(t.Context()); !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
			if n := len(f.Calls()) - before; n != tt.calls {
				t.Errorf("%v: %d looks, want %d", tt.err, n, tt.calls)
			}
			if err := (retry{f}).Grow(t.Context(), journal.Step{Names: []string{"a"}}); !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
			if n := len(f.Calls()) - before; n != tt.calls+1 {
				t.Errorf("%v: Grow was repeated", tt.err)
			}
		}
	})
}

func TestCallsAreCounted(t *testing.T) {
	m := NewMetrics(prometheus.NewRegistry())
	f := pooltest.NewFake(time.Now, terms)
	p := m.count("web", f)
	pooltest.Grow(t, p, "web-1")
	f.Set(func(k *pooltest.Knobs) { k.RemoveErr = errNo })
	if err := p.Remove(t.Context(), journal.Step{}); !errors.Is(err, errNo) {
		t.Errorf("got %v, want %v", err, errNo)
	}
	for _, tt := range []struct {
		verb, outcome string
		want          float64
	}{{verbLook, "ok", 1}, {verbGrow, "ok", 1}, {verbRemove, "failed", 1}, {verbGrow, "failed", 0}} {
		if got := testutil.ToFloat64(m.calls.WithLabelValues("web", tt.verb, tt.outcome)); got != tt.want {
			t.Errorf("%s %s was counted %v times, want %v", tt.verb, tt.outcome, got, tt.want)
		}
	}
	m.Forget("web")
	if n := testutil.CollectAndCount(m.calls); n != 0 {
		t.Errorf("%d series are left", n)
	}
}
