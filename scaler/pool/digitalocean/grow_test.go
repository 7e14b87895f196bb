package digitalocean

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/pool/emulate"
)

// names are those of members from the first to the last number.
func names(from, to int) []string {
	var out []string
	for i := from; i <= to; i++ {
		out = append(out, fmt.Sprintf("web-%d", i))
	}
	return out
}

// Failure mode 1.
func TestACreateWhoseAnswerWasLostIsFoundAgainAndNotDoubled(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		t.Run(fmt.Sprintf("restarted %t", restarted), func(t *testing.T) {
			inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
				t := c.t
				p := c.pool("web")
				c.world.Plant(emulate.Fault{Name: "lost_after", On: "POST /v2/droplets", Times: 1})
				if err := c.tryGrow(p, names(1, 3)...); !errors.Is(err, errDoubt) {
					t.Fatalf("a lost answer is %v", err)
				}
				if restarted {
					time.Sleep(3 * time.Second) // the tags come
					c.restart()
					p = c.pool("web")
				}
				c.ready(p, names(1, 3)...)
				if n := len(c.do.Droplets()); n != 3 {
					t.Errorf("there are %d Droplets, want 3", n)
				}
			})
		})
	}
}

func TestACreateThatNeverArrivedIsAskedForAgainOnceListsCannotLag(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.pool("web")
		c.world.Plant(emulate.Fault{Name: "lost_before", On: "POST /v2/droplets", Times: 1})
		if err := c.tryGrow(p, "web-1"); !errors.Is(err, errDoubt) {
			t.Fatalf("a lost request is %v", err)
		}
		if err := c.tryGrow(p, "web-1"); !errors.Is(err, errDoubt) {
			t.Fatalf("it is asked for again at once: %v", err)
		}
		time.Sleep(doubtTime)
		c.ready(p, "web-1")
	})
}

func TestADropletThatWasMadeTwiceIsToldAndTheYoungerRemoved(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.pool("web")
		c.world.Plant(emulate.Fault{Name: "duplicate", On: "POST /v2/droplets", Times: 1})
		c.grow(p, "web-1")
		time.Sleep(2 * time.Second)
		ms := c.look(p)
		if len(ms) != 2 || ms[0].State != rules.Booting || ms[1].State != rules.Leaving || !strings.Contains(ms[1].Note, "made twice") {
			t.Fatalf("members are %+v, want an elder that boots and a younger that leaves", ms)
		}
		time.Sleep(time.Minute)
		if again := c.look(p); !again[1].Since.Equal(ms[1].Since) {
			t.Errorf("the younger leaves since %s, and a minute later since %s: it would never be late", ms[1].Since, again[1].Since)
		}
		c.until("the younger is gone", func() bool {
			if err := c.remove(p, ms[1].ID); err != nil {
				t.Fatal(err)
			}
			left := c.look(p)
			return len(left) == 1 && left[0].ID == ms[0].ID
		})
	})
}

// Failure mode 2.
func TestOfAChunkOfWhichHalfIsNotMadeTheOthersAreMembersAndTheRestIsMadeAgain(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.pool("web")
		c.world.Plant(emulate.Fault{Name: "half_create", Times: 1})
		c.grow(p, names(1, 6)...)
		if ms := c.look(p); len(ms) != 6 {
			t.Errorf("what was accepted is not counted: %s", states(ms))
		}
		c.until("half is noticed to be missing", func() bool { return states(c.look(p)) == "web-1 ready, web-3 ready, web-5 ready" })
		time.Sleep(mostLeft) // the offer was refused
		if ms := c.ready(p, names(1, 6)...); len(ms) != 6 {
			t.Errorf("members are %s", states(ms))
		}
	})
}

// Failure mode 3.
func TestADropletThatIsAcceptedAndThenNotFoundIsNoticed(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		c.config.Droplets.Sizes = []string{"s-1vcpu-1gb", "s-1vcpu-2gb"}
		p := c.pool("web")
		c.world.Plant(emulate.Fault{Name: "accepted_then_gone", Times: 1})
		c.grow(p, "web-1")
		began := time.Now()
		c.until("it is noticed", func() bool { return len(c.look(p)) == 0 })
		if took := time.Since(began); took > time.Minute {
			t.Errorf("it took %s", took)
		}
		if m := c.ready(p, "web-2")[0]; !strings.Contains(m.Note, "s-1vcpu-2gb") {
			t.Errorf("the size that failed is tried again at once: %s", m.Note)
		}
	})
}

// Failure mode 4.
func TestBeforeTheDropletLimitTheHeadroomIsAskedForAndTheRestIsSaid(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{DropletLimit: 5}, func(c *cloud) {
		t := c.t
		c.do.AddStranger("db")
		p := c.pool("web")
		_, terms, err := p.Look(t.Context())
		if err != nil || terms.Most != 4 {
			t.Fatalf("terms are %+v, %v; want 4 at most", terms, err)
		}
		c.do.AddStranger("cache") // since the list was read
		err = c.tryGrow(p, names(1, 6)...)
		if !errors.Is(err, scaler.ErrNoCapacity) || !strings.Contains(err.Error(), "may have 5 Droplets") {
			t.Fatalf("the limit is %v", err)
		}
		time.Sleep(5 * time.Second)
		if ms := c.look(p); len(ms) > 4 {
			t.Errorf("members are %s", states(ms))
		}
		c.until("the headroom is used", func() bool {
			_ = c.tryGrow(p, names(1, 3)...)
			time.Sleep(time.Minute)
			return len(c.look(p)) == 3
		})
		c.do.SetDropletLimit(10) // somebody raised it
		c.ready(p, names(1, 4)...)
	})
}

// Failure mode 6.
func TestASizeThatIsSoldOutIsLeftForAWhileAndTheNextIsTaken(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		c.config.Droplets.Sizes, c.config.Droplets.Regions = []string{"s-1vcpu-1gb", "s-1vcpu-2gb"}, []string{"fra1", "ams3"}
		c.do.SellOut("s-1vcpu-1gb", "fra1")
		p := c.pool("web")
		began := time.Now()
		c.grow(p, "web-1")
		c.grow(p, "web-2")
		if n := c.asked(began, "POST /v2/droplets"); n != 3 {
			t.Errorf("%d requests, want 3: the size that is sold out is asked for once", n)
		}
		c.do.SellOut("s-1vcpu-2gb", "fra1")
		c.grow(p, "web-3")
		where := map[string]string{}
		for _, d := range c.do.Droplets() {
			where[d.Name] = d.Size + " " + d.Region
		}
		want := map[string]string{"web-1": "s-1vcpu-2gb fra1", "web-2": "s-1vcpu-2gb fra1", "web-3": "s-1vcpu-1gb ams3"}
		if fmt.Sprint(where) != fmt.Sprint(want) {
			t.Errorf("they are %v, want %v", where, want)
		}
		c.do.Restock("s-1vcpu-1gb", "fra1")
		time.Sleep(firstLeft)
		c.grow(p, "web-4")
		if ds := c.do.Droplets(); ds[3].Region != "fra1" || ds[3].Size != "s-1vcpu-1gb" {
			t.Errorf("what is to be had again is not taken: %+v", ds[3])
		}
	})
}

func TestWhereNothingIsToBeHadNothingIsAskedForFiveToThirtyMinutes(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		c.do.SellOut("s-1vcpu-1gb", "")
		p := c.pool("web")
		var tries []time.Time
		for began := time.Now(); time.Since(began) < 3*time.Hour; time.Sleep(time.Minute) {
			before := c.asked(began, "POST /v2/droplets")
			if err := c.tryGrow(p, "web-1"); !errors.Is(err, scaler.ErrNoCapacity) {
				t.Fatalf("a size that is sold out everywhere is %v", err)
			}
			if c.asked(began, "POST /v2/droplets") > before {
				tries = append(tries, time.Now())
			}
		}
		var pauses []time.Duration
		for i := range tries[1:] {
			pauses = append(pauses, tries[i+1].Sub(tries[i]))
		}
		if len(pauses) < 5 || pauses[0] != 5*time.Minute || pauses[1] != 10*time.Minute || pauses[2] != 20*time.Minute || pauses[4] != 30*time.Minute {
			t.Errorf("it was asked for again after %v", pauses)
		}
	})
}

// Failure mode 7.
func TestADropletThatStaysNewIsDeadAndBlocksNobody(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.pool("web")
		c.world.Plant(emulate.Fault{Name: "failed_boot", On: "web-1"})
		c.grow(p, "web-1", "web-2")
		began := time.Now()
		c.until("web-1 is given up", func() bool { return states(c.look(p)) == "web-1 dead, web-2 ready" })
		if took := time.Since(began); took > c.config.Droplets.withDefaults("web").BootTimeout+time.Minute {
			t.Errorf("it took %s", took)
		}
		time.Sleep(mostLeft)
		c.grow(p, "web-3")
		if err := c.remove(p, c.look(p)[0].ID); err != nil {
			t.Fatal(err)
		}
		c.until("it is replaced and gone", func() bool { return states(c.look(p)) == "web-2 ready, web-3 ready" })
	})
}

// Failure mode 22.
func TestWhatNoDropletCanBeMadeOfIsSaid(t *testing.T) {
	big := filepath.Join(t.TempDir(), "user-data")
	if err := os.WriteFile(big, make([]byte, mostUserData+1), 0o600); err != nil {
		t.Fatal(err)
	}
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		for want, change := range map[string]func(d *Droplets){
			"invalid image":           func(d *Droplets) { d.Image = "no-such-image" },
			"invalid key identifiers": func(d *Droplets) { d.SSHKeys = []string{"1"} },
			"invalid size":            func(d *Droplets) { d.Sizes = []string{"s-none"} },
		} {
			d := *c.config.Droplets
			change(&d)
			config := c.config
			config.Droplets = &d
			p, err := New("web", config, Env{Accounts: c.accounts})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.tryGrow(p, "web-1"); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
		}
		if n := len(c.do.Droplets()); n > 0 {
			t.Errorf("there are %d Droplets", n)
		}
		c.config.Droplets.UserDataFile = big
		if _, err := New("web", c.config, Env{Accounts: c.accounts}); err == nil || !strings.Contains(err.Error(), "65537 bytes") {
			t.Errorf("user data that are too much are %v at load", err)
		}
	})
}

func TestASnapshotIsFoundByItsName(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		c.do.AddImage("web")
		time.Sleep(time.Hour)
		newest := c.do.AddImage("web")
		c.config.Droplets.Image = "web"
		c.ready(c.pool("web"), "web-1")
		if got := c.do.Droplets()[0].Image; got != fmt.Sprint(newest) {
			t.Errorf("it is made of %s, want %d", got, newest)
		}
	})
}

func TestTheVersionIsThatOfTheTemplateAndStaysWithTheMember(t *testing.T) {
	path := filepath.Join(t.TempDir(), "user-data")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("#!/bin/sh\n")
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		c.config.Droplets.UserDataFile = path
		p := c.pool("web")
		old := c.ready(p, "web-1")[0].Version
		write("#!/bin/sh\ntrue\n")
		c.ready(p, "web-2")
		c.restart()
		ms, terms, err := c.pool("web").Look(t.Context())
		if err != nil || old == "" || ms[0].Version != old || ms[1].Version == old || ms[1].Version != terms.Version {
			t.Errorf("members are %+v, terms %+v, %v; the first was of %q", ms, terms, err, old)
		}
		if terms.Price <= 0 || terms.Currency != "USD" {
			t.Errorf("terms have no price: %+v", terms)
		}
	})
}

func TestMembersOfAnotherSizeCostWhatThatCosts(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		c.config.Droplets.Sizes = []string{"s-1vcpu-1gb"}
		c.ready(c.pool("web"), "web-1", "web-2")
		c.config.Droplets.Sizes = []string{"s-1vcpu-2gb"}
		c.restart()
		p := c.pool("web")
		_, before, err := p.Look(t.Context())
		if err != nil || before.Price != 0.01786 || math.Abs(before.Total(2)-2*0.00893) > 1e-9 {
			t.Errorf("two of the old size cost %v and a new one %v, %v", before.Total(2), before.Price, err)
		}
		c.ready(p, "web-3")
		_, after, err := p.Look(t.Context())
		if err != nil || math.Abs(after.Total(3)-2*0.00893-0.01786) > 1e-9 {
			t.Errorf("with one of the new size they cost %v, %v", after.Total(3), err)
		}
	})
}
