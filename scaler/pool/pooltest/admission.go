package pooltest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"flyball/rules"
	"flyball/scaler"
)

// TrafficHarness is one traffic that knows nobody, and the means to disturb it.
type TrafficHarness struct {
	Traffic scaler.Traffic
	// Again returns the traffic as a new program would find it, after a restart.
	Again func(t *testing.T) scaler.Traffic
	// Members are three members that take requests.
	Members []rules.Member
	// Served lists who gets requests now, sorted.
	Served func(t *testing.T) []rules.MemberID
	// Busy makes a request be in progress at a member that gets requests alone; it
	// lasts until the function that it returns is called.
	Busy func(t *testing.T, m rules.Member) (end func())
}

// RunTraffic tests the contract of [scaler.Traffic]; make returns a new one.
func RunTraffic(t *testing.T, make func(t *testing.T) TrafficHarness) {
	t.Helper()
	for _, c := range []struct {
		name string
		f    func(*testing.T, TrafficHarness)
	}{
		{"knows nobody at first", knowsNobody},
		{"admits and withdraws", admitsAndWithdraws},
		{"does nothing twice", changesNothingTwice},
		{"counts a withdrawn member's requests to the end", countsToTheEnd},
		{"takes a member back", takesBack},
		{"withdraws who was never in", withdrawsStrangers},
		{"knows its members after a restart", knowsWhoIsIn},
		{"is safe for concurrent use", admitsAtOnce},
		{"ends with its context", endsWithItsContext},
	} {
		t.Run(c.name, func(t *testing.T) { c.f(t, make(t)) })
	}
}

func admit(t *testing.T, tr scaler.Traffic, ms ...rules.Member) {
	t.Helper()
	if err := tr.Admit(t.Context(), ms); err != nil {
		t.Fatalf("Admit(%v): %v", namesOf(ms), err)
	}
}

func withdraw(t *testing.T, tr scaler.Traffic, ms ...rules.Member) {
	t.Helper()
	if err := tr.Withdraw(t.Context(), ms); err != nil {
		t.Fatalf("Withdraw(%v): %v", namesOf(ms), err)
	}
}

// wantOpen waits for counts: a client may have its answer a moment before the
// request is counted as ended.
func wantOpen(t *testing.T, tr scaler.Traffic, want map[rules.MemberID]int) {
	t.Helper()
	Until(t, fmt.Sprintf("open requests of %v", want), func() bool {
		open, err := tr.Open(t.Context())
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		return maps.Equal(open, want)
	})
}

func (h TrafficHarness) wantServed(t *testing.T, ms ...rules.Member) {
	t.Helper()
	var want []rules.MemberID
	for _, m := range ms {
		want = append(want, m.ID)
	}
	Until(t, "requests for those in rotation alone", func() bool { return slices.Equal(h.Served(t), want) })
}

func knowsNobody(t *testing.T, h TrafficHarness) {
	wantOpen(t, h.Traffic, map[rules.MemberID]int{})
}

func admitsAndWithdraws(t *testing.T, h TrafficHarness) {
	a, b, c := h.Members[0], h.Members[1], h.Members[2]
	admit(t, h.Traffic, a, b)
	h.wantServed(t, a, b)
	wantOpen(t, h.Traffic, map[rules.MemberID]int{a.ID: 0, b.ID: 0})
	admit(t, h.Traffic, c)
	h.wantServed(t, a, b, c)
	withdraw(t, h.Traffic, a, b)
	h.wantServed(t, c)
	wantOpen(t, h.Traffic, map[rules.MemberID]int{a.ID: 0, b.ID: 0, c.ID: 0})
}

func changesNothingTwice(t *testing.T, h TrafficHarness) {
	a, b := h.Members[0], h.Members[1]
	for range 3 {
		admit(t, h.Traffic, a, b)
		admit(t, h.Traffic)
	}
	for range 3 {
		withdraw(t, h.Traffic, a)
		withdraw(t, h.Traffic)
	}
	h.wantServed(t, b)
	wantOpen(t, h.Traffic, map[rules.MemberID]int{a.ID: 0, b.ID: 0})
}

func countsToTheEnd(t *testing.T, h TrafficHarness) {
	a, b := h.Members[0], h.Members[1]
	admit(t, h.Traffic, a)
	end := h.Busy(t, a)
	wantOpen(t, h.Traffic, map[rules.MemberID]int{a.ID: 1})
	admit(t, h.Traffic, b)
	withdraw(t, h.Traffic, a)
	h.wantServed(t, b)
	wantOpen(t, h.Traffic, map[rules.MemberID]int{a.ID: 1, b.ID: 0})
	end()
	Until(t, "the end of the request", func() bool {
		open, err := h.Traffic.Open(t.Context())
		n, known := open[a.ID]
		return err == nil && known && n == 0
	})
}

func takesBack(t *testing.T, h TrafficHarness) {
	a, b := h.Members[0], h.Members[1]
	admit(t, h.Traffic, a)
	end := h.Busy(t, a)
	defer end()
	admit(t, h.Traffic, b)
	withdraw(t, h.Traffic, a)
	admit(t, h.Traffic, a)
	wantOpen(t, h.Traffic, map[rules.MemberID]int{a.ID: 1, b.ID: 0})
}

func withdrawsStrangers(t *testing.T, h TrafficHarness) {
	a, b := h.Members[0], h.Members[1]
	admit(t, h.Traffic, a)
	withdraw(t, h.Traffic, b)
	wantOpen(t, h.Traffic, map[rules.MemberID]int{a.ID: 0, b.ID: 0})
	withdraw(t, h.Traffic, rules.Member{ID: "dead", Name: "dead", State: rules.Dead}) // has no address any more
	withdraw(t, h.Traffic, rules.Member{ID: "former", Name: "former", Addr: a.Addr})  // a has its address now
	h.wantServed(t, a)
}

func knowsWhoIsIn(t *testing.T, h TrafficHarness) {
	a, b := h.Members[0], h.Members[1]
	admit(t, h.Traffic, a, b)
	withdraw(t, h.Traffic, a)
	h.Traffic = h.Again(t)
	h.wantServed(t, b)
	wantOpen(t, h.Traffic, map[rules.MemberID]int{a.ID: 0, b.ID: 0})
	withdraw(t, h.Traffic, b)
	admit(t, h.Traffic, a)
	h.wantServed(t, a)
}

func admitsAtOnce(t *testing.T, h TrafficHarness) {
	var wg sync.WaitGroup
	for _, m := range h.Members {
		wg.Go(func() {
			for range 4 {
				err := errors.Join(h.Traffic.Withdraw(t.Context(), []rules.Member{m}), h.Traffic.Admit(t.Context(), []rules.Member{m}))
				if _, openErr := h.Traffic.Open(t.Context()); err != nil || openErr != nil {
					t.Error(err, openErr)
				}
			}
		})
	}
	wg.Wait()
	h.wantServed(t, h.Members...)
}

func endsWithItsContext(t *testing.T, h TrafficHarness) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := h.Traffic.Open(ctx)
	for verb, err := range map[string]error{
		"Open":     err,
		"Admit":    h.Traffic.Admit(ctx, h.Members),
		"Withdraw": h.Traffic.Withdraw(ctx, h.Members),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s after the end of its context: %v", verb, err)
		}
	}
}
