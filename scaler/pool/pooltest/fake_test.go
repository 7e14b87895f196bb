package pooltest

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
)

func TestFakeKeepsTheContract(t *testing.T) {
	Run(t, func(*testing.T) Harness {
		f := NewFake(time.Now, rules.Terms{Names: true, Victims: true})
		return Harness{
			Pool:     f,
			Again:    func(*testing.T) scaler.Pool { return f },
			Kill:     func(_ *testing.T, m rules.Member) { f.Kill(m.ID) },
			Stubborn: func(*testing.T) { f.Set(func(k *Knobs) { k.Stubborn = true; k.Grace = time.Millisecond }) },
			Refused:  "no/name",
		}
	})
}

func TestFakeKeepsWhatFitsOfTheContract(t *testing.T) {
	for _, tt := range []struct {
		name  string
		terms rules.Terms
	}{
		{"takes a size", rules.Terms{}},
		{"takes a size and victims", rules.Terms{Victims: true}},
		{"takes names and a size", rules.Terms{Names: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			RunInBubbles(t, func(*testing.T) Harness {
				f := NewFake(time.Now, tt.terms)
				f.Set(func(k *Knobs) {
					k.Boot, k.Lists, k.Leaves, k.Delay = time.Minute, 5*time.Second, time.Minute, time.Second
				})
				return Harness{
					Pool:   f,
					Again:  func(*testing.T) scaler.Pool { return f },
					Settle: func(*testing.T) { time.Sleep(10 * time.Minute) },
					Pace:   time.Second,
				}
			})
		})
	}
}

func TestFakeIsAsOldAsItsClock(t *testing.T) {
	now := time.Unix(1e9, 0)
	f := NewFake(func() time.Time { return now }, rules.Terms{Names: true, Victims: true})
	f.Set(func(k *Knobs) {
		k.Boot, k.Lists, k.CrashAfter, k.Leaves = 10*time.Second, 2*time.Second, time.Minute, 5*time.Second
	})
	if err := f.Grow(t.Context(), growth("a")); err != nil {
		t.Fatal(err)
	}
	start := now
	state := func(after time.Duration) rules.State {
		now = start.Add(after)
		ms := Look(t, f)
		if len(ms) == 0 {
			return ""
		}
		return ms[0].State
	}
	for _, tt := range []struct {
		after time.Duration
		want  rules.State
	}{
		{0, ""}, {2 * time.Second, rules.Booting}, {10 * time.Second, rules.Ready}, {time.Minute, rules.Dead},
	} {
		if got := state(tt.after); got != tt.want {
			t.Errorf("after %s the member is %q, want %q", tt.after, got, tt.want)
		}
	}
}

func TestFakeLosesAnswers(t *testing.T) {
	lost := errors.New("timed out")
	f := NewFake(time.Now, rules.Terms{Names: true, Victims: true})
	f.Set(func(k *Knobs) { k.GrowLost = lost })
	for range 2 {
		if err := f.Grow(t.Context(), growth("a")); !errors.Is(err, lost) {
			t.Errorf("got %v, want %v", err, lost)
		}
	}
	if f.Living() != 1 || f.Made("a") != 1 {
		t.Errorf("%d live, a was made %d times; want 1 and 1", f.Living(), f.Made("a"))
	}
	if n := len(f.Calls()); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
}

func TestFakeThatTakesNoNamesTakesASize(t *testing.T) {
	f := NewFake(time.Now, rules.Terms{})
	for _, to := range []int{3, 3, 1} {
		var err error
		if to < f.Living() {
			err = f.Remove(t.Context(), journal.Step{To: to})
		} else {
			err = f.Grow(t.Context(), journal.Step{To: to})
		}
		if err != nil || f.Living() != to {
			t.Errorf("%d live, %v; want %d", f.Living(), err, to)
		}
	}
}

func TestDelayIsOfTheBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFake(time.Now, rules.Terms{Names: true})
		f.Set(func(k *Knobs) { k.Delay = time.Hour })
		start := time.Now()
		Look(t, f)
		if took := time.Since(start); took != time.Hour {
			t.Errorf("took %s, want 1h", took)
		}
	})
}

func TestTrafficKeepsTheContract(t *testing.T) {
	RunTraffic(t, func(*testing.T) TrafficHarness {
		tr := NewTraffic(time.Now)
		return TrafficHarness{
			Traffic: tr,
			Again:   func(*testing.T) scaler.Traffic { return tr },
			Members: []rules.Member{{ID: "a", Name: "a", Addr: "127.0.0.1:1"}, {ID: "b", Name: "b", Addr: "127.0.0.1:2"}, {ID: "c", Name: "c", Addr: "127.0.0.1:3"}},
			Served:  func(*testing.T) []rules.MemberID { return tr.In() },
			Busy: func(_ *testing.T, m rules.Member) func() {
				tr.Set(func(k *TrafficKnobs) { k.Drains = time.Hour })
				tr.Load(m.ID, 1)
				return func() { tr.Load(m.ID, 0) }
			},
		}
	})
}

func TestTrafficDrains(t *testing.T) {
	now := time.Unix(1e9, 0)
	tr := NewTraffic(func() time.Time { return now })
	tr.Set(func(k *TrafficKnobs) { k.Drains = 5 * time.Second })
	ms := []rules.Member{{ID: "a"}}
	if err := errors.Join(tr.Admit(t.Context(), ms), tr.Withdraw(t.Context(), ms)); err != nil {
		t.Fatal(err)
	}
	tr.Load("a", 3)
	for _, tt := range []struct {
		after time.Duration
		want  int
	}{{4 * time.Second, 3}, {time.Second, 0}} {
		now = now.Add(tt.after)
		open, err := tr.Open(t.Context())
		if err != nil || open["a"] != tt.want || len(tr.In()) != 0 {
			t.Errorf("%d open requests, %v, in rotation %v; want %d and nobody", open["a"], err, tr.In(), tt.want)
		}
	}
}
