package gce

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
	"flyball/scaler/pool/emulate"
)

func zonalGroup() emulate.ComputeGroup    { return places()["zonal"] }
func regionalGroup() emulate.ComputeGroup { return places()["regional"] }

func TestAGrowthWhoseAnswerWasLostIsNotDoneTwice(t *testing.T) {
	for _, fault := range []string{"lost_before", "lost_after", "duplicate", "error_503"} {
		t.Run(fault, func(t *testing.T) {
			inBubble(t, zonalGroup(), func(c *cloud) {
				c.world.Plant(emulate.Fault{Name: fault, On: "POST ", Times: 1})
				step := c.step(journal.Grow, "web-1", "web-2")
				err := c.pool.Grow(c.Context(), step)
				if (err != nil) != (fault != "duplicate") {
					t.Errorf("Grow: %v", err)
				}
				c.pool = c.again() // a crash: the step is done again
				if err := c.pool.Grow(c.Context(), step); err != nil {
					t.Errorf("Grow, repeated: %v", err)
				}
				time.Sleep(2 * time.Minute)
				if got := c.names(); got != "web-1 web-2" || c.gce.Target("web") != 2 {
					t.Errorf("members are %s, the target is %d", got, c.gce.Target("web"))
				}
			})
		})
	}
}

func TestWhatIsSoldOutIsHandedBackAndGrowthWaits(t *testing.T) {
	inBubble(t, zonalGroup(), func(c *cloud) {
		c.ready("web-1")
		c.world.Plant(emulate.Fault{Name: "sold_out", On: "web-3"})
		if err := c.grow("web-2", "web-3"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if ms, _ := c.look(); len(ms) != 3 || ms[1].Addr == "" || ms[2].State != rules.Booting || !strings.Contains(ms[2].Note, "ZONE_RESOURCE_POOL_EXHAUSTED") {
			t.Fatalf("what could be made is not there, or what could not is not told: %+v", ms)
		}
		asked := c.asked("POST", "createInstances")
		if err := c.grow("web-4"); !errors.Is(err, scaler.ErrNoCapacity) || c.asked("POST", "createInstances") != asked {
			t.Errorf("growth where nothing is left: %v", err)
		}
		time.Sleep(5 * time.Minute)
		ms, _ := c.look()
		if len(ms) != 3 || ms[2].State != rules.Dead || !strings.Contains(ms[2].Note, "not made within 5m0s") {
			t.Fatalf("what was not made in time is %+v", ms)
		}
		if err := c.remove(ms[2]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := c.names(); got != "web-1 web-2" || c.gce.Target("web") != 2 {
			t.Errorf("after handing back members are %s, the target is %d", got, c.gce.Target("web"))
		}
		c.world.Heal()
		c.ready("web-4")
	})
}

func TestOneZoneThatIsSoldOutDoesNotStopGrowthInTheOthers(t *testing.T) {
	inBubble(t, regionalGroup(), func(c *cloud) {
		c.world.Plant(emulate.Fault{Name: "sold_out", On: "zones/europe-west3-a"})
		if err := c.grow("web-1", "web-2", "web-3"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if err := c.grow("web-4", "web-5"); err != nil {
			t.Errorf("growth with two zones of three: %v", err)
		}
		time.Sleep(time.Minute)
		run := 0
		ms, _ := c.look()
		for _, m := range ms {
			if m.Addr != "" {
				run++
			}
		}
		if run != 3 { // each zone has its share, and the third waits for its own
			t.Errorf("%d of %+v run, want 3", run, ms)
		}
		c.world.Plant(emulate.Fault{Name: "sold_out"})
		if err := c.grow("web-6", "web-7", "web-8"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if err := c.grow("web-9"); !errors.Is(err, scaler.ErrNoCapacity) {
			t.Errorf("growth without a zone: %v", err)
		}
	})
}

func TestAUsedUpQuotaBoundsThePoolWhileItLasts(t *testing.T) {
	inBubble(t, regionalGroup(), func(c *cloud) {
		c.gce.SetQuota("INSTANCES", 2)
		if err := c.grow("web-1", "web-2", "web-3"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		ms, terms := c.look()
		if len(ms) != 3 || terms.Most != 3 {
			t.Errorf("members are %+v and at most %d", ms, terms.Most)
		}
		if err := c.grow("web-4"); !errors.Is(err, scaler.ErrNoCapacity) || !strings.Contains(err.Error(), "ask for a higher quota") {
			t.Errorf("growth beyond the quota: %v", err)
		}
		c.gce.SetQuota("INSTANCES", 100)
		time.Sleep(10 * time.Minute)
		if _, terms := c.look(); terms.Most != mostRegional {
			t.Errorf("with a higher quota at most %d", terms.Most)
		}
	})
}

func TestAListThatLacksMembersIsNotBelieved(t *testing.T) {
	inBubble(t, zonalGroup(), func(c *cloud) {
		c.ready("web-1", "web-2", "web-3", "web-4")
		c.world.Plant(emulate.Fault{Name: "partial_list"})
		time.Sleep(time.Minute)
		_, _, err := c.pool.Look(c.Context())
		if !errors.Is(err, errPartial) || !strings.Contains(err.Error(), "it lacks 2 of the group's 4 members") {
			t.Errorf("half a list: %v", err)
		}
		if err := c.grow("web-5"); !errors.Is(err, errPartial) {
			t.Errorf("growth by half a list: %v", err)
		}
		c.world.Heal()
		if got := c.names(); got != "web-1 web-2 web-3 web-4" {
			t.Errorf("members are %s", got)
		}
	})
}

func TestAListThatLagsMakesNobodyTwiceAndEndsNobodyTwice(t *testing.T) {
	inBubble(t, zonalGroup(), func(c *cloud) {
		c.world.Plant(emulate.Fault{Name: "list_lag"})
		if err := c.grow("web-1", "web-2"); err != nil {
			t.Fatal(err)
		}
		if got := c.names(); got != "" {
			t.Fatalf("the list does not lag: %s", got)
		}
		if err := c.grow("web-1", "web-2"); err == nil {
			t.Error("Google took a name twice")
		}
		time.Sleep(time.Minute)
		ms, _ := c.look()
		if len(ms) != 2 || c.gce.Target("web") != 2 {
			t.Fatalf("members are %+v", ms)
		}
		if err := c.remove(ms[0]); err != nil {
			t.Fatal(err)
		}
		for range 60 {
			time.Sleep(time.Second)
			ms, _ := c.look()
			if len(ms) == 2 && ms[0].State != rules.Leaving {
				t.Fatalf("a member that was asked to end is %+v", ms[0])
			}
			if err := c.remove(ms[:len(ms)-1]...); err != nil {
				t.Fatal(err)
			}
		}
		if got := c.names(); got != "web-2" || c.gce.Target("web") != 1 {
			t.Errorf("members are %s, the target is %d", got, c.gce.Target("web"))
		}
	})
}

func TestTooManyRequestsAreFollowedByNoneUntilTheNextMinute(t *testing.T) {
	inBubble(t, zonalGroup(), func(c *cloud) {
		c.ready("web-1")
		c.world.Plant(emulate.Fault{Name: "too_many", Times: 1})
		time.Sleep(25 * time.Second)
		if _, _, err := c.pool.Look(c.Context()); !errors.Is(err, errThrottled) {
			t.Fatalf("Look: %v", err)
		}
		asked := len(c.world.Requests())
		for range 20 {
			if _, _, err := c.pool.Look(c.Context()); !errors.Is(err, errThrottled) {
				t.Fatalf("Look: %v", err)
			}
			time.Sleep(time.Second)
		}
		if n := len(c.world.Requests()); n != asked {
			t.Errorf("asked %d times while there were no requests left", n-asked)
		}
		time.Sleep(time.Minute)
		if got := c.names(); got != "web-1" {
			t.Errorf("members are %s", got)
		}
	})
}

func TestMembersThatWereAcceptedAndAreGoneAreNoMembers(t *testing.T) {
	inBubble(t, zonalGroup(), func(c *cloud) {
		c.world.Plant(emulate.Fault{Name: "accepted_then_gone", On: "web-2"})
		if err := c.grow("web-1", "web-2"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		if got := c.names(); got != "web-1" {
			t.Errorf("members are %s", got)
		}
		c.world.Heal()
		c.ready("web-2")
	})
}

func TestAStormOfErrorsShowsNothingAndLosesNobody(t *testing.T) {
	inBubble(t, zonalGroup(), func(c *cloud) {
		before := c.ready("web-1", "web-2")
		c.world.Plant(emulate.Fault{Name: "error_500"})
		time.Sleep(time.Minute)
		if _, _, err := c.pool.Look(c.Context()); err == nil || !strings.Contains(err.Error(), "500") {
			t.Errorf("Look: %v", err)
		}
		if err := c.remove(before[0]); err == nil {
			t.Error("Remove by an unknown list")
		}
		c.world.Heal()
		if after, _ := c.look(); len(after) != 2 || after[0] != before[0] {
			t.Errorf("members were %+v and are %+v", before, after)
		}
	})
}

func TestASlowAnswerEndsWithTheLook(t *testing.T) {
	inBubble(t, zonalGroup(), func(c *cloud) {
		c.world.Plant(emulate.Fault{Name: "slow"})
		began := time.Now()
		ctx, cancel := context.WithTimeout(c.Context(), 5*time.Second)
		defer cancel()
		if _, _, err := c.pool.Look(ctx); err == nil || time.Since(began) > 5*time.Second {
			t.Errorf("Look took %s: %v", time.Since(began), err)
		}
	})
}

func TestAnOperationThatTakesLongIsFollowedByLooks(t *testing.T) {
	inBubble(t, zonalGroup(), func(c *cloud) {
		c.world.Plant(emulate.Fault{Name: "error_503", On: "GET /compute/v1/projects/shop-12345/zones/europe-west3-a/operations"})
		c.gce.AddByHand("web", "web-9")
		if err := c.grow("web-1"); err != nil {
			t.Fatal(err)
		}
		if n := len(c.pool.followed()); n != 1 {
			t.Fatalf("%d operations are followed", n)
		}
		time.Sleep(2 * time.Minute)
		c.look()
		c.world.Heal()
		time.Sleep(time.Minute)
		if got := c.names(); got != "web-1 web-9" || len(c.pool.followed()) != 0 {
			t.Errorf("members are %s, and %d operations are followed", got, len(c.pool.followed()))
		}
	})
}

func TestAMemberThatCannotBeMadeCountsOnceAsAFailedGrowth(t *testing.T) {
	inBubble(t, zonalGroup(), func(c *cloud) {
		c.gce.DeleteTemplate("web")
		if err := c.grow("web-1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Minute)
		ms, _ := c.look()
		if len(ms) != 1 || ms[0].State != rules.Dead || !strings.Contains(ms[0].Note, "global/instanceTemplates/web") {
			t.Fatalf("without a template members are %+v", ms)
		}
		if err := c.grow("web-2"); err == nil || errors.Is(err, scaler.ErrNoCapacity) || !strings.Contains(err.Error(), "make web-1") {
			t.Errorf("Grow: %v", err)
		}
		c.gce.AddTemplate(emulate.ComputeTemplate{Name: "web"})
		if err := c.grow("web-2"); err != nil {
			t.Errorf("Grow, told of the failure: %v", err)
		}
	})
}
