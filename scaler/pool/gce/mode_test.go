package gce

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"flyball/rules"
	"flyball/scaler/journal"
	"flyball/scaler/pool/emulate"
)

// scaled is a group with an autoscaler of Google's.
func scaled(g emulate.ComputeGroup, size int, a emulate.ComputeAutoscaler) emulate.ComputeGroup {
	g.Size, g.Autoscaler = size, &a
	return g
}

func declare(mode string) func(*Config) { return func(c *Config) { c.Mode = mode } }

func TestAGroupThatSomebodyElseResizesIsNotActedOn(t *testing.T) {
	for _, tt := range []struct {
		mode, native string // native "": there is no autoscaler
		fights       string // part of the drift; "": none
	}{
		{modeDirect, "", ""},
		{modeDirect, "OFF", ""},
		{modeDirect, "ON", "set its mode to OFF"},
		{modeDirect, "ONLY_SCALE_OUT", "set its mode to OFF"},
		{modeOnlyScaleOut, "ONLY_SCALE_OUT", ""},
		{modeOnlyScaleOut, "ON", "would end members, too"},
		{modeOnlyScaleOut, "OFF", "nobody would add members"},
		{modeOnlyScaleOut, "", "nobody would add members"},
		{modeFloor, "ON", ""},
		{modeFloor, "ONLY_SCALE_OUT", ""},
		{modeFloor, "OFF", "would mean nothing"},
		{modeFloor, "", "would mean nothing"},
	} {
		t.Run(tt.mode+" with "+tt.native, func(t *testing.T) {
			g := zonalGroup()
			if g.Size = 2; tt.native != "" {
				g = scaled(g, 2, emulate.ComputeAutoscaler{Mode: tt.native, Min: 2})
			}
			inBubble(t, g, func(c *cloud) {
				ms, terms := c.look()
				if (terms.Drift == "") != (tt.fights == "") || !strings.Contains(terms.Drift, tt.fights) {
					t.Errorf("the drift is %q, want %q", terms.Drift, tt.fights)
				}
				if tt.fights == "" {
					return
				}
				asked := c.asked("POST", "")
				grow, remove := c.grow("web-1"), c.remove(ms[0])
				if !errors.Is(grow, ErrDrift) || !errors.Is(remove, ErrDrift) || !strings.Contains(grow.Error(), tt.fights) {
					t.Errorf("Grow: %v\nRemove: %v", grow, remove)
				}
				if n := c.asked("POST", "createInstances") + c.asked("POST", "deleteInstances") + c.asked("PATCH", ""); n > 0 {
					t.Errorf("of %d requests %d were to change a group that fights", asked, n)
				}
			}, declare(tt.mode))
		})
	}
}

func TestOnlyScaleOutEndsChosenMembersAndMakesNone(t *testing.T) {
	for name, g := range places() {
		t.Run(name, func(t *testing.T) {
			inBubble(t, scaled(g, 4, emulate.ComputeAutoscaler{Mode: "ONLY_SCALE_OUT", Min: 1}), func(c *cloud) {
				c.gce.SetLoad("web", 1)
				time.Sleep(20 * time.Minute) // that long Google's autoscaler thinks of earlier load
				ms, terms := c.look()
				if terms.Names || !terms.Victims || terms.Most != 4 {
					t.Errorf("the terms are %+v", terms)
				}
				if err := c.grow("web-1"); !errors.Is(err, ErrDrift) || c.asked("POST", "createInstances") > 0 {
					t.Errorf("Grow: %v", err)
				}
				if err := c.remove(ms[1], ms[2]); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Minute)
				if got, want := c.names(), ms[0].Name+" "+ms[3].Name; got != want {
					t.Errorf("members are %s, want %s", got, want)
				}
				c.gce.SetLoad("web", 2.9)
				time.Sleep(5 * time.Minute)
				if after, terms := c.look(); len(after) != 5 || terms.Most != 5 || terms.Advice != 5 {
					t.Errorf("after Google added: %d members, %+v", len(after), terms)
				}
			}, declare(modeOnlyScaleOut))
		})
	}
}

func TestFloorSetsTheLeastSizeOfGooglesAutoscalerAndTouchesNoMember(t *testing.T) {
	for name, g := range places() {
		t.Run(name, func(t *testing.T) {
			inBubble(t, scaled(g, 1, emulate.ComputeAutoscaler{Min: 1, Max: 6}), func(c *cloud) {
				resize := func(verb journal.Verb, to int) error {
					s := c.step(verb)
					s.To = to
					if verb == journal.Remove {
						return c.pool.Remove(c.Context(), s)
					}
					return c.pool.Grow(c.Context(), s)
				}
				for _, to := range []int{4, 4} {
					if err := resize(journal.Grow, to); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(3 * time.Minute)
				ms, terms := c.look()
				if len(ms) != 4 || terms.Names || terms.Victims || terms.Most != 6 || c.asked("PATCH", "autoscalers") != 1 {
					t.Errorf("%d members, %+v, %d changes of the floor", len(ms), terms, c.asked("PATCH", "autoscalers"))
				}
				if err := resize(journal.Remove, 0); err != nil {
					t.Fatal(err)
				}
				time.Sleep(15 * time.Minute)
				if ms, _ := c.look(); len(ms) != 0 {
					t.Errorf("%d members after the floor was set to 0", len(ms))
				}
				if err := resize(journal.Grow, 7); err == nil || !strings.Contains(err.Error(), "greatest size of 6") {
					t.Errorf("a floor above the ceiling: %v", err)
				}
				if n := c.asked("POST", "createInstances") + c.asked("POST", "deleteInstances"); n > 0 {
					t.Errorf("members were touched by %d requests", n)
				}
			}, declare(modeFloor))
		})
	}
}

func TestGooglesSecondOpinionIsTold(t *testing.T) {
	inBubble(t, scaled(zonalGroup(), 2, emulate.ComputeAutoscaler{Mode: "OFF", Min: 1}), func(c *cloud) {
		c.gce.SetLoad("web", 3)
		time.Sleep(2 * time.Minute)
		c.look()
		time.Sleep(2 * time.Minute)
		_, terms := c.look()
		if terms.Advice != 5 || terms.Drift != "" {
			t.Errorf("the terms are %+v", terms)
		}
		if got := testutil.ToFloat64(c.metrics.recommended.WithLabelValues("web")); got != 5 {
			t.Errorf("the metric says %g", got)
		}
		c.gce.SetAutoscaler("web", nil)
		time.Sleep(time.Minute)
		if _, terms := c.look(); terms.Advice != 0 {
			t.Errorf("without an autoscaler the terms are %+v", terms)
		}
		c.metrics.Forget("web")
		if n, err := testutil.GatherAndCount(c.reg); n != 0 || err != nil {
			t.Errorf("%d series are left of a pool that is forgotten, %v", n, err)
		}
	})
}

func TestMembersThatGoogleMakesAnewAreNewMembers(t *testing.T) {
	g := zonalGroup()
	g.OnFailure = "REPAIR"
	inBubble(t, g, func(c *cloud) {
		before := c.ready("web-1", "web-2")
		c.gce.StopByHand("web-1")
		for range 180 {
			time.Sleep(time.Second)
			if ms, _ := c.look(); len(ms) != 2 || ms[0].State == rules.Dead {
				t.Fatalf("a member that the group repairs is %+v", ms)
			}
		}
		after, _ := c.look()
		if after[0].ID == before[0].ID || after[0].Addr == "" || after[1] != before[1] {
			t.Errorf("members were %+v and are %+v", before, after)
		}
		if err := c.remove(before[0]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := c.names(); got != "web-1 web-2" {
			t.Errorf("the end of one that is no more ended another: %s", got)
		}
	})
}

func TestMembersThatAHumanEndedAreDeadWhereTheGroupDoesNotRepair(t *testing.T) {
	inBubble(t, zonalGroup(), func(c *cloud) {
		c.ready("web-1", "web-2", "web-3")
		c.gce.StopByHand("web-1")
		c.gce.DeleteByHand("web-2")
		time.Sleep(time.Minute)
		ms, _ := c.look()
		if len(ms) != 3 || ms[0].State != rules.Dead || ms[1].State != rules.Dead || ms[2].State != rules.Booting ||
			!strings.Contains(ms[0].Note, "terminated") || !strings.Contains(ms[1].Note, "deleted by somebody else") {
			t.Fatalf("members are %+v", ms)
		}
		if err := c.remove(ms[:2]...); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := c.names(); got != "web-3" || c.gce.Target("web") != 1 {
			t.Errorf("members are %s, the target is %d", got, c.gce.Target("web"))
		}
	})
}

func TestRedistributionIsToldAsSuch(t *testing.T) {
	g := regionalGroup()
	g.Redistribution = "PROACTIVE"
	inBubble(t, g, func(c *cloud) {
		ms := c.ready("web-1", "web-2", "web-3", "web-4", "web-5", "web-6")
		var oneZone []rules.Member
		for _, m := range ms {
			if strings.Contains(m.Note, "europe-west3-a") {
				oneZone = append(oneZone, m)
			}
		}
		if err := c.remove(oneZone...); err != nil {
			t.Fatal(err)
		}
		told := ""
		for range 600 {
			time.Sleep(time.Second)
			ms, terms := c.look()
			if terms.Drift != "" {
				t.Fatalf("redistribution is drift: %s", terms.Drift)
			}
			for _, m := range ms {
				if m.State == rules.Leaving && strings.Contains(m.Note, "to spread its members over the zones") {
					told = m.Name
				}
			}
		}
		after, _ := c.look()
		if told == "" || len(after) != 4 || c.gce.Target("web") != 4 {
			t.Errorf("told of %q, members are %+v", told, after)
		}
	})
}

func TestAFloorThatFailedLaterIsToldByTheNextGrowthAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(t, scaled(zonalGroup(), 2, emulate.ComputeAutoscaler{Mode: "ON", Min: 2, Max: 9}), declare(modeFloor))
		w := &twist{cloud: c.gce.Transport()}
		p, err := New("web", c.conf, Env{Transport: w})
		if err != nil {
			t.Fatal(err)
		}
		c.pool = p
		ms, _ := c.look()
		fails := func(do func() error) {
			t.Helper()
			on := func(answer string) func(*http.Request) (int, string) {
				return func(r *http.Request) (int, string) {
					if r.Method == http.MethodPatch {
						return http.StatusOK, runs
					}
					return operations(answer)(r)
				}
			}
			w.set(on(runs))
			if err := do(); err != nil {
				t.Fatal(err)
			}
			w.set(on(fmt.Sprintf(failed, "BACKEND_ERROR")))
			time.Sleep(10 * time.Second)
			c.look()
			w.set(nil)
		}
		fails(func() error { return c.grow("a", "b", "c", "d") })
		if err := c.grow("a", "b", "c", "d"); err == nil || !strings.Contains(err.Error(), "BACKEND_ERROR") {
			t.Errorf("the growth after one that failed: %v", err)
		}
		if err := c.grow("a", "b", "c", "d"); err != nil {
			t.Errorf("the growth after that: %v", err)
		}
		fails(func() error { return c.remove(ms...) })
		if err := c.grow("a", "b", "c", "d", "e"); err != nil {
			t.Errorf("a growth was told that a removal failed: %v", err)
		}
	})
}
