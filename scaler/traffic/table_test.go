package traffic

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flyball/rules"
)

func tableOf(ids ...string) *table {
	t := newTable(Check{}, 2)
	for i, id := range ids {
		t.change(Change{Admit: []Member{{ID: rules.MemberID(id), Addr: "127.0.0.1:" + string(rune('1'+i))}}})
	}
	return t
}

func picks(t *testing.T, tb *table, n int) []*backend {
	t.Helper()
	var bs []*backend
	for range n {
		b, err := tb.acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		bs = append(bs, b)
	}
	return bs
}

func names(bs []*backend) string {
	var ids []string
	for _, b := range bs {
		ids = append(ids, string(b.id))
	}
	return strings.Join(ids, "")
}

func TestTiesRotate(t *testing.T) {
	tb := tableOf("a", "b", "c")
	got := ""
	for range 6 {
		bs := picks(t, tb, 1)
		got += names(bs)
		tb.release(bs[0])
	}
	if got != "abcabc" {
		t.Errorf("picked %s, want abcabc", got)
	}
}

func TestFewestInProgressIsPicked(t *testing.T) {
	tb := tableOf("a", "b")
	bs := picks(t, tb, 3) // a b a
	tb.release(bs[0])
	tb.release(bs[2])
	if got := names(picks(t, tb, 1)); got != "a" {
		t.Errorf("picked %s, want a: b has one in progress", got)
	}
}

func TestWithdrawnMemberKeepsItsCountAndGetsNoMore(t *testing.T) {
	tb := tableOf("a", "b")
	a := picks(t, tb, 1)[0]
	tb.change(Change{Withdraw: []Member{{ID: "a", Addr: a.addr}}})
	if got := names(picks(t, tb, 3)); got != "bbb" {
		t.Errorf("picked %s, want bbb", got)
	}
	if got := tb.openRequests()["a"]; got != 1 {
		t.Errorf("a has %d open requests, want 1", got)
	}
	tb.release(a)
	if got := tb.openRequests()["a"]; got != 0 {
		t.Errorf("a has %d open requests, want 0", got)
	}
}

func TestAddressBelongsToOneMember(t *testing.T) {
	tb := tableOf("old")
	old := picks(t, tb, 1)[0]
	tb.change(Change{Admit: []Member{{ID: "new", Addr: old.addr}}})
	if got := names(picks(t, tb, 2)); got != "newnew" {
		t.Errorf("picked %s, want new twice", got)
	}
	open := tb.openRequests()
	if open["old"] != 1 || open["new"] != 2 {
		t.Errorf("open requests %v, want old 1 and new 2", open)
	}
	tb.release(old)
	if _, known := tb.openRequests()["old"]; known {
		t.Error("the displaced member is still known after its last request")
	}
}

func TestQueueIsBoundedAndServedWhenAMemberComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTable(Check{}, 2)
		got := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := tb.acquire(t.Context())
				got <- err
			}()
		}
		synctest.Wait()
		if _, err := tb.acquire(t.Context()); !errors.Is(err, errQueueFull) {
			t.Errorf("third waiter got %v, want %v", err, errQueueFull)
		}
		tb.change(Change{Admit: []Member{{ID: "a", Addr: "127.0.0.1:1"}}})
		for range 2 {
			if err := <-got; err != nil {
				t.Errorf("waiter got %v", err)
			}
		}
		if n := tb.queued(); n != 0 {
			t.Errorf("%d still wait", n)
		}
	})
}

func TestWaitEndsWithItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := newTable(Check{}, 2).acquire(ctx); !errors.Is(err, errNoMember) {
			t.Errorf("got %v, want %v", err, errNoMember)
		}
	})
}

func TestChecks(t *testing.T) {
	for _, tt := range []struct {
		name string
		said []verdict
		up   bool
	}{
		{"answers", []verdict{answers}, true},
		{"says no", []verdict{denies}, false},
		{"is gone", []verdict{refuses}, false},
		{"slow twice", []verdict{slow, slow}, true},
		{"slow thrice", []verdict{slow, slow, slow}, false},
		{"slow with an answer between", []verdict{slow, slow, answers, slow, slow}, true},
		{"comes back", []verdict{refuses, answers}, true},
		{"slow after no", []verdict{denies, slow}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tb := tableOf("a")
			for _, v := range tt.said {
				tb.probed(tb.backends[0], v, time.Unix(0, 0))
			}
			if got := tb.backends[0].up; got != tt.up {
				t.Errorf("up is %v, want %v", got, tt.up)
			}
		})
	}
}

func TestMemberThatIsGoneIsForgotten(t *testing.T) {
	now := time.Unix(1e9, 0)
	tb := tableOf("in", "out", "busy")
	busy := tb.find("busy")
	busy.open = 1
	tb.change(Change{Withdraw: []Member{{ID: "out"}, {ID: "busy"}}})
	for _, b := range tb.backends {
		tb.probed(b, refuses, now)
	}
	for _, tt := range []struct {
		after time.Duration
		want  string
	}{{59 * time.Second, "busyinout"}, {time.Minute, "busyin"}, {time.Hour, "busy"}} {
		tb.forget(now.Add(tt.after))
		if got := names(tb.backends); got != tt.want {
			t.Errorf("after %s the table is %s, want %s", tt.after, got, tt.want)
		}
	}
}
