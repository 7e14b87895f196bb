package emulate_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digitalocean/godo"

	"flyball/scaler/pool/emulate"
)

// telling is a world that writes down what it tells.
type telling struct {
	*emulate.World
	lines []string
}

func newTelling(o emulate.Options) *telling {
	w := &telling{}
	o.Tell = func(_ time.Time, line string) { w.lines = append(w.lines, line) }
	w.World = emulate.NewWorld(o)
	return w
}

// holds checks what was told since it was asked last, and in ten minutes from now.
func (w *telling) holds(t *testing.T, do *emulate.DigitalOcean, what, want string) {
	t.Helper()
	do.Droplets() // lets happen what is due
	time.Sleep(10 * time.Minute)
	do.Droplets()
	got := strings.Join(w.lines, "\n")
	w.lines = nil
	if got != want {
		t.Errorf("%s: it tells\n%s\nnot\n%s", what, got, want)
	}
}

func TestWhatHappensToMachinesIsToldInLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTelling(emulate.Options{Seed: 1, Machines: &programs{}})
		do := emulate.NewDigitalOcean(w.World, emulate.DigitalOceanOptions{DropletLimit: 2})
		c := cloud{t, w.World, do, client(t, do, "secret")}
		m, _ := c.create("web-1")
		tell := func(what, want string) { t.Helper(); w.holds(t, do, what, want) }
		ctx := context.Background()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}
		act := func(do func(context.Context, int) (*godo.Action, *godo.Response, error), id int) {
			t.Helper()
			_, _, err := do(ctx, id)
			must(err)
		}
		tell("made", "machine web-1 is made\nmachine web-1 serves at 127.0.0.7")
		act(c.c.DropletActions.Shutdown, m.ID)
		tell("shutdown", "machine web-1 is asked to end\nmachine web-1 has ended")
		act(c.c.DropletActions.PowerOn, m.ID)
		tell("started", "machine web-1 is started\nmachine web-1 serves at 127.0.0.7")
		_, err := c.c.Droplets.Delete(ctx, m.ID)
		must(err)
		tell("deleted", "machine web-1 is gone")
		w.Plant(emulate.Fault{Name: "never_ready", Times: 1})
		c.create("web-2")
		tell("never ready", "fault never_ready befalls web-2\nmachine web-2 is made\nmachine web-2 is up at 127.128.0.1, and its program never answers")
		w.Plant(emulate.Fault{Name: "error_500", Times: 1})
		_, _, err = c.c.Account.Get(ctx)
		tell("refused by a fault", "fault error_500 befalls GET /v2/account")
		if status(err) != http.StatusInternalServerError {
			t.Error(err)
		}
		w.Plant(emulate.Fault{Name: "deaf"})
		m, _ = c.create("web-3")
		time.Sleep(time.Minute)
		act(c.c.DropletActions.Shutdown, m.ID)
		tell("deaf", "fault deaf befalls web-3\nmachine web-3 is made\nmachine web-3 serves at 127.0.0.7\nmachine web-3 is asked to end, and does not obey")
		_, _, err = c.c.Droplets.Create(ctx, web("web-4"))
		tell("limit", "POST /v2/droplets is refused with 422")
		if status(err) != http.StatusUnprocessableEntity {
			t.Error(err)
		}
	})
}

func TestWhyAMachineIsNotMadeIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTelling(emulate.Options{Seed: 1, Machines: &programs{fail: errors.New("no such program")}})
		c := emulate.NewCompute(w.World, emulate.ComputeOptions{Quotas: map[string]float64{"INSTANCES": 1}})
		c.AddByHand("web", "web-1")
		time.Sleep(time.Minute)
		c.Instances()
		c.AddByHand("web", "web-2")
		time.Sleep(20 * time.Second)
		c.Instances()
		got := strings.Join(w.lines, "\n")
		for _, want := range []string{"machine web-1 does not boot: no such program", "machine web-2 is not made: QUOTA_EXCEEDED: Quota 'INSTANCES' exceeded."} {
			if strings.Count(got, want) != 1 {
				t.Errorf("%q is not told once:\n%s", want, got)
			}
		}
	})
}
