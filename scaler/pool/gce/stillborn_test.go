package gce

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
)

// unmade lets requests for members be answered by an operation that makes none, and
// that answers as given.
func unmade(operation string) func(*http.Request) (int, string) {
	return func(r *http.Request) (int, string) {
		if strings.HasSuffix(r.URL.Path, "/createInstances") {
			return http.StatusOK, runs
		}
		return operations(operation)(r)
	}
}

// lost grows the pool by names, and lets the operation fail after the growth.
func (c *cloud) lost(w *twist, code string, names ...string) {
	c.Helper()
	w.set(unmade(runs))
	if err := c.grow(names...); err != nil {
		c.Fatal(err)
	}
	w.set(unmade(fmt.Sprintf(failed, code)))
	time.Sleep(10 * time.Second)
	c.look()
	w.set(nil)
}

func TestMembersWhoseOperationFailsLaterAreDeadUntilRemoved(t *testing.T) {
	inTwist(t, func(c *cloud, w *twist) {
		c.ready("web-1")
		c.lost(w, "RESOURCE_NOT_FOUND", "web-2", "web-3")
		ms, _ := c.look()
		if len(ms) != 3 || ms[1].State != rules.Dead || ms[1].ID != "name/web-2" || ms[2].State != rules.Dead || !strings.Contains(ms[1].Note, "it cannot be") {
			t.Fatalf("after the operation failed members are %+v", ms)
		}
		if err := c.grow("web-2"); !errors.Is(err, ErrEnded) {
			t.Errorf("the name of one that is dead was asked for again: %v", err)
		}
		if err := c.remove(ms[1], ms[2]); err != nil {
			t.Fatal(err)
		}
		if got := c.names(); got != "web-1" {
			t.Errorf("after removal members are %s", got)
		}
	})
}

func TestAMemberThatComesThoughItsOperationFailedLives(t *testing.T) {
	inTwist(t, func(c *cloud, w *twist) {
		c.lost(w, "RESOURCE_NOT_FOUND", "web-1")
		c.gce.AddByHand("web", "web-1")
		time.Sleep(2 * time.Minute)
		if ms, _ := c.look(); len(ms) != 1 || ms[0].State != rules.Booting || ms[0].Addr == "" {
			t.Errorf("members are %+v", ms)
		}
	})
}

func TestNoNameIsListedDeadForEver(t *testing.T) {
	inTwist(t, func(c *cloud, w *twist) {
		c.lost(w, "RESOURCE_NOT_FOUND", "web-1")
		left := false
		for range 300 { // judgements of a rule that is paused
			time.Sleep(5 * time.Second)
			ms, _ := c.look()
			left = left || len(ms) == 1 && ms[0].State == rules.Leaving
		}
		if got := c.names(); got != "" || !left {
			t.Errorf("members are %q; listed as leaving before, so that nobody is missed: %v", got, left)
		}
	})
}

func TestAFailureThatWasNotToldInTimeIsForgotten(t *testing.T) {
	inTwist(t, func(c *cloud, w *twist) {
		c.lost(w, "QUOTA_EXCEEDED", "web-1")
		time.Sleep(10 * time.Minute)
		if err := c.grow("web-2"); err != nil {
			t.Errorf("ten minutes later: %v", err)
		}
	})
}

// memory is a journal that keeps what the loop has to find again.
type memory struct {
	mu    sync.Mutex
	saved []byte
	steps []journal.Step
	ends  []journal.Outcome
}

func (j *memory) save(m rules.Memory) {
	raw, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	j.saved = raw
}

func (j *memory) Tick(_ time.Time, ts []journal.Tick) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, t := range ts {
		j.save(t.After)
	}
	return nil
}

func (j *memory) Begin(s journal.Step, t *journal.Tick) (journal.Seq, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.steps = append(j.steps, s)
	j.save(t.After)
	return journal.Seq(len(j.steps)), nil
}

func (j *memory) End(_ journal.Seq, o journal.Outcome) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ends = append(j.ends, o)
	if o.After != nil {
		j.save(*o.After)
	}
	return nil
}

func (j *memory) Pending() ([]journal.Entry, error) { return nil, nil }

func (j *memory) Memory(string) (m rules.Memory, known bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.saved == nil {
		return m, false, nil
	}
	return m, true, json.Unmarshal(j.saved, &m)
}

func (j *memory) Orders() (map[string]journal.Standing, error) { return nil, nil }

func (j *memory) SetOrder(string, string, *rules.Order, time.Time) error { return nil }

// lacks counts the growths that failed for want of a quota.
func (j *memory) lacks() (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, o := range j.ends {
		if !o.OK && strings.Contains(o.Err, "QUOTA_EXCEEDED") {
			n++
		}
	}
	return n
}

// nobody asks no metrics: the rule has no signal.
type nobody struct{}

func (nobody) Query(context.Context, rules.Query, time.Time) (rules.Reading, error) {
	return rules.Reading{}, rules.ErrNoData
}

// judged drives the pool by the loop itself, by a rule that wants n members.
func (c *cloud) judged(n int, during func(j *memory)) {
	c.Helper()
	j := &memory{}
	s := scaler.New(scaler.Options{Querier: nobody{}, Journal: j, Roster: scaler.NewRoster(), Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	rule := rules.Scale{
		Pool: "web", Mode: rules.Act, Min: n, Max: n, Warmup: 20 * time.Second,
		Out: rules.Pace{Limit: rules.Limit{LargerOf: []rules.Amount{{Members: 4}}, Every: time.Minute}},
		In:  rules.Pace{Limit: rules.Limit{LargerOf: []rules.Amount{{Members: 4}}, Every: time.Minute}},
	}
	s.Apply(map[string]scaler.Unit{"web": {Pool: c.pool}}, []rules.Scale{rule})
	ctx, cancel := context.WithCancel(c.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Run(ctx) }) // ends without an error
	during(j)
	cancel()
	wg.Wait()
}

// running counts the members that run.
func (c *cloud) running() (n int) {
	for _, i := range c.gce.Instances() {
		if i.Status == "RUNNING" {
			n++
		}
	}
	return n
}

func TestTheLoopReplacesMembersWhoseOperationFailedLaterAtASteadyWish(t *testing.T) {
	for _, code := range []string{"RESOURCE_NOT_FOUND", "QUOTA_EXCEEDED"} {
		t.Run(code, func(t *testing.T) {
			inTwist(t, func(c *cloud, w *twist) {
				w.set(unmade(runs))
				c.judged(3, func(j *memory) {
					time.Sleep(8 * time.Second)
					w.set(unmade(fmt.Sprintf(failed, code)))
					time.Sleep(5 * time.Second)
					w.set(nil)
					within := 2 * time.Minute
					if lacks := code == "QUOTA_EXCEEDED"; lacks {
						time.Sleep(time.Minute)
						if n := j.lacks(); n != 1 || c.running() != 0 {
							t.Errorf("%d growths were told of the lack, and %d members run; want the provider to be left alone", n, c.running())
						}
						within += 5 * time.Minute
					}
					time.Sleep(within)
					if n := c.running(); n != 3 {
						t.Errorf("%d members run, want 3: %+v", n, j.steps)
					}
				})
				time.Sleep(5 * time.Second)
				if ms, _ := c.look(); slices.ContainsFunc(ms, func(m rules.Member) bool { return m.State == rules.Dead }) || len(ms) != 3 {
					t.Errorf("members are %+v", ms)
				}
			})
		})
	}
}
