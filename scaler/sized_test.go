package scaler_test

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
	"flyball/scaler/pool/pooltest"
)

// A crowd sends a load to a fake's ready members, and is never told to spare one.
type crowd struct {
	*pooltest.Traffic
	fake      *pooltest.Fake
	load      atomic.Int64
	withdrawn atomic.Int64
}

func (c *crowd) Withdraw(ctx context.Context, ms []rules.Member) error {
	c.withdrawn.Add(int64(len(ms)))
	return c.Traffic.Withdraw(ctx, ms)
}

// Query answers each ready member's share.
func (c *crowd) Query(ctx context.Context, _ rules.Query, at time.Time) (rules.Reading, error) {
	ms, _, err := c.fake.Look(ctx)
	ms = slices.DeleteFunc(ms, func(m rules.Member) bool { return m.State != rules.Ready })
	if err != nil || len(ms) == 0 {
		return rules.Reading{}, rules.ErrNoData
	}
	r := rules.Reading{Seen: map[string]time.Time{}, Newest: at}
	for _, m := range ms {
		r.Points = append(r.Points, rules.Point{Member: m.Name, Value: float64(c.load.Load()) / float64(len(ms))})
		r.Seen[m.Name] = at
	}
	return r, nil
}

// sizedRule wants ten of the load for each of 1 to 9 members.
func sizedRule() rules.Scale {
	return rules.Scale{
		Pool: "web", Rule: "web.scale.yaml:2", Mode: rules.Act, Min: 1, Max: 9,
		Signals: []rules.Signal{{Name: "requests", Query: rules.PromQL{Pool: "web", Expr: "requests"}, Scope: rules.PerMember, Share: 10}},
		Out:     rules.Pace{Limit: rules.Limit{LargerOf: []rules.Amount{{Members: 9}}, Every: time.Minute}},
		In:      rules.Pace{Window: time.Minute, Limit: rules.Limit{LargerOf: []rules.Amount{{Members: 2}}, Every: time.Minute}},
		Warmup:  20 * time.Second, Missing: rules.Missing{Coverage: 0.8, Stale: 15 * time.Second, Hold: time.Minute},
	}
}

// runSized runs a Scaler over a provider that takes a size and nothing else; act
// has it for a while.
func runSized(t *testing.T, terms rules.Terms, act func(c *crowd, steps func() []journal.Step)) {
	synctest.Test(t, func(t *testing.T) {
		f := pooltest.NewFake(time.Now, terms)
		f.Set(func(k *pooltest.Knobs) { k.Boot, k.Leaves = 30*time.Second, 5*time.Minute })
		c := &crowd{Traffic: pooltest.NewTraffic(time.Now), fake: f}
		j, steps := scaler.InMemory()
		s := scaler.New(scaler.Options{
			Querier: c, Journal: j, Roster: scaler.NewRoster(), Registerer: prometheus.NewRegistry(),
			Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
		s.Apply(map[string]scaler.Unit{"web": {Pool: f, Traffic: c, Drain: time.Minute}}, []rules.Scale{sizedRule()})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		act(c, steps)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestAProviderThatTakesASizeIsToldItAndNobodyIsWithdrawn(t *testing.T) {
	for name, terms := range map[string]rules.Terms{"it cuts off": {}, "it drains": {Drains: true}} {
		t.Run(name, func(t *testing.T) {
			runSized(t, terms, func(c *crowd, steps func() []journal.Step) {
				c.load.Store(75)
				time.Sleep(10 * time.Minute)
				if n := c.fake.Living(); n != 8 {
					t.Fatalf("%d live, want 8", n)
				}
				begun := len(steps())
				c.load.Store(15)
				time.Sleep(30 * time.Minute)
				if n := c.fake.Living(); n != 2 {
					t.Errorf("%d live, want 2", n)
				}
				var sizes []int
				for _, s := range steps()[begun:] {
					sizes = append(sizes, s.To)
					if s.Verb != journal.Remove || len(s.Victims)+len(s.Names) > 0 {
						t.Errorf("step %+v", s)
					}
				}
				if len(sizes) != 3 || sizes[0] != 6 || sizes[1] != 4 || sizes[2] != 2 || c.withdrawn.Load() > 0 {
					t.Errorf("it was told the sizes %v, and %d members were withdrawn", sizes, c.withdrawn.Load())
				}
			})
		})
	}
}

// The provider mends its own: to ask for it would end somebody else.
func TestAProviderThatTakesASizeReplacesItsDeadItself(t *testing.T) {
	runSized(t, rules.Terms{}, func(c *crowd, steps func() []journal.Step) {
		c.load.Store(35)
		time.Sleep(10 * time.Minute)
		begun := len(steps())
		ms := pooltest.Look(t, c.fake)
		c.fake.Kill(ms[0].ID)
		time.Sleep(5 * time.Minute)
		for _, s := range steps()[begun:] {
			t.Errorf("step %+v", s)
		}
	})
}
