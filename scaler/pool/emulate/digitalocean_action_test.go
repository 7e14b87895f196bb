package emulate_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"flyball/scaler/pool/emulate"
)

func TestADropletDoesOneThingAtATime(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
		ctx, do := context.Background(), c.c.DropletActions
		m, resp := c.create("web-1")
		if _, _, err := do.PowerOn(ctx, m.ID); status(err) != http.StatusUnprocessableEntity {
			c.Errorf("an action while it is made: %v", err)
		}
		time.Sleep(time.Minute)
		if _, _, err := do.PowerOn(ctx, m.ID); status(err) != http.StatusUnprocessableEntity {
			c.Errorf("it is on, and is powered on: %v", err)
		}
		off, _, err := do.PowerOff(ctx, m.ID)
		if err != nil {
			c.Fatal(err)
		}
		if _, _, err := do.Reboot(ctx, m.ID); status(err) != http.StatusUnprocessableEntity {
			c.Errorf("a reboot while it is powered off: %v", err)
		}
		if _, _, err := do.EnableIPv6(ctx, m.ID); status(err) != http.StatusUnprocessableEntity {
			c.Errorf("an action that is not known: %v", err)
		}
		time.Sleep(10 * time.Second)
		if _, _, err := do.Shutdown(ctx, m.ID); status(err) != http.StatusUnprocessableEntity {
			c.Errorf("it is off, and is shut down: %v", err)
		}
		if a, _, err := do.Get(ctx, m.ID, off.ID); err != nil || a.Status != godo.ActionCompleted {
			c.Errorf("its action is %v, %v", a, err)
		}
		other := c.do.AddStranger("web-2")
		if _, _, err := do.Get(ctx, other, off.ID); status(err) != http.StatusNotFound {
			c.Errorf("another Droplet has its action: %v", err)
		}
		as, _, err := c.c.Droplets.Actions(ctx, m.ID, nil)
		if err != nil || len(as) != 2 || as[0].ID != off.ID || as[1].ID != resp.Links.Actions[0].ID {
			c.Errorf("its actions are %v, %v", as, err)
		}
		rest, _, err := c.c.Droplets.ListAssociatedResourcesForDeletion(ctx, m.ID)
		if err != nil || len(rest.Volumes) != 0 {
			c.Errorf("what outlives it is %v, %v", rest, err)
		}
	})
}

func TestADropletThatIsPoweredOffByHandWhileItIsMadeCanBeDeleted(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
		m, resp := c.create("web-1")
		time.Sleep(5 * time.Second)
		c.do.PowerOff("web-1")
		time.Sleep(time.Second)
		if a, _, err := c.c.DropletActions.Get(context.Background(), m.ID, resp.Links.Actions[0].ID); err != nil || a.Status == godo.ActionInProgress {
			c.Errorf("its making is %v, %v", a, err)
		}
		if _, err := c.c.Droplets.Delete(context.Background(), m.ID); err != nil {
			c.Error(err)
		}
	})
}

func TestADropletThatIsOffCostsAsMuchAndOneThatIsGoneNothingMore(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
		c.do.AddStranger("web-1")
		time.Sleep(time.Hour)
		c.do.PowerOff("web-1")
		time.Sleep(time.Hour)
		if b := c.do.Bill(); b.Time != 2*time.Hour || b.USD != 2*0.00595 {
			c.Errorf("two hours cost %+v", b)
		}
		c.do.Destroy("web-1")
		time.Sleep(time.Hour)
		b := c.do.Bill()
		time.Sleep(time.Hour)
		if later := c.do.Bill(); later != b || b.Machines != 1 || b.Time > 2*time.Hour+10*time.Second {
			c.Errorf("in the end it cost %+v, and %+v", b, later)
		}
		if c.do.Destroy("web-1") || c.do.Untag("web-1", "web") {
			c.Error("it is there still")
		}
	})
}
