package digitalocean

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"flyball/scaler/pool/emulate"
)

func TestAtRestTwentyPoolsOf200DropletsAskLessThan300TimesAnHour(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{DropletLimit: 1000}, func(c *cloud) {
		t := c.t
		pools := map[string]*Pool{}
		for i := range 20 {
			name := fmt.Sprintf("pool%d", i)
			pools[name] = c.pool(name)
			for n := range 10 {
				c.do.AddStranger(fmt.Sprintf("%s-%d", name, n), "flyball", "flyball-"+name)
			}
		}
		began := time.Now()
		for time.Since(began) < time.Hour {
			for name, p := range pools {
				ms, _, err := p.Look(t.Context())
				if err != nil || len(ms) != 10 {
					t.Fatalf("pool %s has %d members, %v", name, len(ms), err)
				}
			}
			time.Sleep(5 * time.Second)
		}
		n, lists := len(c.world.Requests()), c.asked(began, "GET /v2/droplets?")
		t.Logf("%d requests in an hour, %d of them lists", n, lists)
		if n >= 300 || lists < 200 {
			t.Errorf("%d requests in an hour, %d of them lists", n, lists)
		}
	})
}

func TestOfOneTokenThereIsAtMostOneListAJudgementHoweverManyPoolsLook(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{DropletLimit: 100}, func(c *cloud) {
		t := c.t
		a, b := c.pool("web"), c.pool("api")
		c.grow(a, names(1, 3)...)
		began := time.Now()
		const judged = 60
		for range judged {
			done := make(chan error)
			for range 5 {
				for _, p := range []*Pool{a, b} {
					go func() {
						_, _, err := p.Look(t.Context())
						done <- err
					}()
				}
			}
			for range 10 {
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Second)
		}
		if n := c.asked(began, "GET /v2/droplets?"); n > judged {
			t.Errorf("%d lists in %d judgements", n, judged)
		}
	})
}

// Failure mode 5.
func TestTheAPIIsLeftAloneAsLongAsItSays(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.pool("web")
		c.look(p)
		c.world.Plant(emulate.Fault{Name: "too_many", Times: 1})
		time.Sleep(restAge)
		began := time.Now()
		for time.Since(began) < 29*time.Second {
			c.look(p) // what was known shortly before is good enough
			if err := c.tryGrow(p, "web-1"); !errors.Is(err, errSpent) {
				t.Fatalf("Grow: %v", err)
			}
			time.Sleep(time.Second)
		}
		if n := c.asked(began, ""); n != 1 {
			t.Errorf("%d requests in the 30 s that it wants to be left alone", n)
		}
		time.Sleep(2 * time.Second)
		c.ready(p, "web-1")
	})
}

func TestTheLastCallsOfAnHourAreKeptForGrowth(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{HourLimit: 200}, func(c *cloud) {
		t := c.t
		p := c.pool("web")
		c.ready(p, "web-1")
		a, err := c.accounts.of(c.config.withDefaults("web"))
		if err != nil {
			t.Fatal(err)
		}
		for err = nil; err == nil; {
			_, _, err = a.read.Account.Get(t.Context())
		}
		if !errors.Is(err, errSpent) || a.budget.left() < 200/reserveShare {
			t.Fatalf("reads go on until %d calls are left: %v", a.budget.left(), err)
		}
		c.grow(p, "web-2")
		if n := len(c.do.Droplets()); n != 2 {
			t.Errorf("there are %d Droplets, want 2", n)
		}
	})
}

func TestWithFewCallsLeftTheListIsReadMoreRarely(t *testing.T) {
	now := time.Unix(1e9, 0)
	b := newBudget(func() time.Time { return now })
	last := b.age(1, false)
	if last != restAge || b.age(1, true) != busyAge || b.age(100, false) <= restAge {
		t.Errorf("ages are %s, %s and %s", last, b.age(1, true), b.age(100, false))
	}
	for _, left := range []int{2000, 1000, 600, 0} {
		b.learn(&http.Response{StatusCode: 200, Header: http.Header{"Ratelimit-Remaining": {fmt.Sprint(left)}}})
		if age := b.age(1, false); age < last || age > time.Minute {
			t.Errorf("with %d calls left the list is read each %s, with more each %s", left, age, last)
		} else {
			last = age
		}
	}
	if last != time.Minute {
		t.Errorf("with no calls left the list is read each %s", last)
	}
}

func TestNoSecretIsInAURLALogOrAnError(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		var log bytes.Buffer
		c.accounts = NewAccounts(Options{Transport: c.do.Transport(), Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		p := c.pool("web")
		ms := c.ready(p, "web-1")
		c.world.Plant(emulate.Fault{Name: "error_500", On: "POST"})
		said := fmt.Sprint(c.tryGrow(p, "web-2"), c.remove(p, ms[0].ID))
		if err := os.WriteFile(c.config.TokenFile, []byte("dop_v1_another\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(restAge)
		_, _, err := p.Look(t.Context())
		if said += fmt.Sprint(err); !strings.Contains(said, "token is not valid") {
			t.Errorf("a token that is not valid is %v", err)
		}
		for _, r := range c.world.Requests() {
			said += r.URL + "\n"
		}
		if said += log.String(); strings.Contains(said, "dop_v1") || !strings.Contains(said, "asked DigitalOcean") {
			t.Error("a secret is in a URL, a log or an error")
		}
	})
}

func TestATokenIsReadAnewWhenItsFileChanges(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		write := func(text string) {
			if err := os.WriteFile(c.config.TokenFile, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		p := c.pool("web")
		for _, tt := range []struct{ text, want string }{
			{"wrong", "401"}, {"two words", "has to hold it alone"}, {"", "has to hold it alone"}, {secret, ""},
		} {
			write(tt.text)
			_, _, err := p.Look(t.Context())
			if got := fmt.Sprint(err); tt.want == "" && err != nil || !strings.Contains(got, tt.want) {
				t.Errorf("with %q in the file: %v, want %q", tt.text, err, tt.want)
			}
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "30", "-1", "1e9", "Wed, 21 Oct 2026 07:28:00 GMT", "999999999999"} {
		f.Add(s, s)
	}
	now := time.Unix(1790000000, 0)
	f.Fuzz(func(t *testing.T, after, reset string) {
		d := wait(http.Header{"Retry-After": {after}, "Ratelimit-Reset": {reset}}, now)
		if d < time.Second || d > time.Hour {
			t.Errorf("left alone for %s", d)
		}
	})
}

func FuzzNumbered(f *testing.F) {
	for _, s := range []string{"web-1", "web-01", "web-", "web--1", "web-99999999999999999999", "api-1"} {
		f.Add("web", s)
	}
	f.Fuzz(func(t *testing.T, pool, name string) {
		if numbered(pool, name) != (strings.HasPrefix(name, pool+"-") && isNumber(name[len(pool)+1:])) {
			t.Errorf("%q of pool %q", name, pool)
		}
	})
}

// isNumber says by hand what a member's number looks like.
func isNumber(s string) bool {
	return s != "" && len(s) < 19 && strings.Trim(s, "0123456789") == "" && (s == "0" || s[0] != '0')
}
