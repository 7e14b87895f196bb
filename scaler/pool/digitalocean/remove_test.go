package digitalocean

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flyball/rules"
	"flyball/scaler/pool/emulate"
)

// gone waits until a member is gone.
func (c *cloud) gone(p *Pool, id rules.MemberID) {
	c.t.Helper()
	c.until("the member is gone", func() bool {
		return !slices.ContainsFunc(c.look(p), func(m rules.Member) bool { return m.ID == id })
	})
}

// Failure mode 9.
func TestAPendingEventIsWaitedFor(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.pool("web")
		m := c.ready(p, "web-1")[0]
		c.world.Plant(emulate.Fault{Name: "pending_event", Times: 5})
		began := time.Now()
		if err := c.remove(p, m.ID); err != nil {
			t.Fatalf("something else is under way in the Droplet: %v", err)
		}
		c.gone(p, m.ID)
		if n := c.world.Befallen("pending_event"); n != 5 {
			t.Errorf("it was asked %d times while it could not be, want 5", n)
		}
		if n := c.asked(began, "POST /v2/droplets/") + c.asked(began, "DELETE /v2/droplets/"); n > 20 {
			t.Errorf("%d requests for one end", n)
		}
	})
}

// Failure mode 10.
func TestADeletedDropletThatIsStillListedLeavesAndIsNoCapacity(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.pool("web")
		m := c.ready(p, "web-1", "web-2")[0]
		c.world.Plant(emulate.Fault{Name: "list_lag"})
		if err := c.remove(p, m.ID); err != nil {
			t.Fatal(err)
		}
		for range 120 {
			if ms := c.look(p); len(ms) == 2 && ms[0].State != rules.Leaving {
				t.Fatalf("members are %s", states(ms))
			}
			time.Sleep(time.Second)
		}
		if ms := c.look(p); len(ms) != 1 || ms[0].Name != "web-2" {
			t.Errorf("members are %s", states(ms))
		}
	})
}

func TestMembersThatAListLacksAreAskedAboutBeforeTheyAreTakenForGone(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.pool("web")
		c.ready(p, names(1, 6)...)
		time.Sleep(time.Minute)
		c.world.Plant(emulate.Fault{Name: "partial_list"})
		for range 10 {
			time.Sleep(restAge)
			if ms := c.look(p); len(ms) != 6 {
				t.Fatalf("members are %s", states(ms))
			}
		}
		c.do.Destroy("web-2")
		time.Sleep(time.Minute)
		if ms := c.look(p); len(ms) != 5 {
			t.Errorf("after web-2 was destroyed members are %s", states(ms))
		}
		c.world.Heal()
		time.Sleep(time.Minute)
		if ms := c.look(p); len(ms) != 5 {
			t.Errorf("members are %s", states(ms))
		}
	})
}

// Failure mode 11.
func TestWhatAHumanDoesIsSeenAndNeverPutRightByForce(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.pool("web")
		ms := c.ready(p, names(1, 4)...)
		stranger := c.do.AddStranger("web-9", "flyball-web")
		other := c.do.AddStranger("db", "flyball-web", "flyball")
		c.do.Untag("web-2", "flyball-web")
		c.do.PowerOff("web-3")
		c.do.Destroy("web-4")
		time.Sleep(time.Minute)
		if got := states(c.look(p)); got != "web-1 ready, web-3 dead" {
			t.Errorf("members are %s", got)
		}
		began := time.Now()
		ids := []rules.MemberID{rules.MemberID(strconv.Itoa(stranger)), rules.MemberID(strconv.Itoa(other)), ms[1].ID}
		if err := c.remove(p, ids...); err != nil {
			t.Errorf("Remove of those that are no members: %v", err)
		}
		time.Sleep(time.Minute)
		c.look(p)
		if n := c.asked(began, "DELETE") + c.asked(began, "POST"); n > 0 {
			t.Errorf("%d requests change a Droplet that is no member", n)
		}
		if err := c.tryGrow(p, "web-9"); !errors.Is(err, ErrTaken) {
			c.restart()
			if err = c.tryGrow(c.pool("web"), "web-9"); !errors.Is(err, ErrTaken) {
				t.Errorf("a name that is taken is %v", err)
			}
		}
	})
}

// Failure mode 21.
func TestTheDropletThatFlyballRunsOnIsNeverEnded(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.pool("web")
		ms := c.ready(p, "web-1", "web-2")
		c.self, _ = strconv.Atoi(string(ms[0].ID))
		if err := c.remove(p, ms[0].ID, ms[1].ID); !errors.Is(err, ErrSelf) {
			t.Errorf("it is asked to end: %v", err)
		}
		c.gone(p, ms[1].ID)
		if left := c.look(p); len(left) != 1 || left[0].State != rules.Ready || !left[0].Kept || !strings.Contains(left[0].Note, "Flyball runs on it") {
			t.Errorf("members are %+v", left)
		}
	})
}

// Failure mode 27.
func TestInAStormOfFailuresNobodyIsEndedAndNobodyDoubled(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.pool("web")
		ms := c.ready(p, "web-1", "web-2")
		c.world.Plant(emulate.Fault{Name: "error_503"})
		time.Sleep(restAge)
		if _, _, err := p.Look(t.Context()); err == nil || !strings.Contains(err.Error(), "503") {
			t.Errorf("Look: %v", err)
		}
		began := time.Now()
		if err := c.remove(p, ms[0].ID); err == nil {
			t.Error("Remove does not say that it failed")
		}
		if err := c.tryGrow(p, "web-3"); err == nil {
			t.Error("Grow does not say that it failed")
		}
		if n := c.asked(began, "POST /v2/droplets"); n > 1 {
			t.Errorf("what makes Droplets was asked %d times", n)
		}
		c.world.Heal()
		time.Sleep(doubtTime)
		if got := states(c.look(p)); got != "web-1 ready, web-2 ready" {
			t.Errorf("members are %s", got)
		}
		c.ready(p, "web-3")
		if n := len(c.do.Droplets()); n != 3 {
			t.Errorf("there are %d Droplets, want 3", n)
		}
	})
}

func TestAMemberThatLeavesIsLeavingAfterARestartWithoutAnyFile(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.pool("web")
		m := c.ready(p, "web-1", "web-2")[0]
		c.world.Plant(emulate.Fault{Name: "error_503", On: "POST /v2/droplets/"}) // the shutdown does not arrive
		if err := c.remove(p, m.ID); err == nil {
			t.Error("Remove does not say that it failed")
		}
		c.restart()
		p = c.pool("web")
		if got := states(c.look(p)); got != "web-1 leaving, web-2 ready" {
			t.Fatalf("after a restart members are %s", got)
		}
		c.world.Heal()
		c.gone(p, m.ID)
		c.ready(p, "web-2")
	})
}

func TestAMemberIsShutDownPoweredOffAndDeletedInThisOrder(t *testing.T) {
	for _, tt := range []struct {
		deaf bool
		want string
	}{
		{false, "POST tags, POST resources, POST actions, DELETE "},
		{true, "POST tags, POST resources, POST actions, POST actions, DELETE "},
	} {
		inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
			t := c.t
			p := c.pool("web")
			if tt.deaf {
				c.world.Plant(emulate.Fault{Name: "deaf"})
			}
			m := c.ready(p, "web-1")[0]
			began := time.Now()
			if err := c.remove(p, m.ID); err != nil {
				t.Fatal(err)
			}
			c.gone(p, m.ID)
			took := time.Since(began)
			var did []string
			for _, r := range c.world.Requests() {
				if what := r.URL[strings.LastIndex(r.URL, "/")+1:]; !r.At.Before(began) && r.Method != "GET" && r.Status < 300 {
					did = append(did, r.Method+" "+strings.TrimLeft(what, "0123456789"))
				}
			}
			if got := strings.Join(did, ", "); got != tt.want || tt.deaf == (took < 15*time.Second) {
				t.Errorf("deaf %t: it took %s and was %s", tt.deaf, took, got)
			}
			if n := c.asked(began, "DELETE /v2/droplets?"); n > 0 {
				t.Error("Droplets are deleted by their tag")
			}
		})
	}
}

func TestAMemberThatIsGoneBeforeItsTurnToEndIsLeftAlone(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.pool("web")
		var ids []rules.MemberID
		for _, m := range c.ready(p, names(1, 20)...) {
			ids = append(ids, m.ID)
		}
		last := ids[len(ids)-1]
		c.world.Plant(emulate.Fault{Name: "slow", On: "POST /v2/droplets/"})
		began, done := time.Now(), make(chan error, 1)
		go func() { done <- c.remove(p, ids...) }() // eight at a time, ten seconds each
		time.Sleep(time.Second)
		c.do.Destroy("web-9") // of which it is the turn after 20 s
		c.until("the list lacks it", func() bool { return len(c.look(p)) < len(ids) })
		if err := <-done; err != nil {
			t.Errorf("Remove: %v", err)
		}
		if n := c.asked(began, "POST /v2/droplets/"+string(last)+"/"); n > 0 {
			t.Errorf("it was asked %d times to end after it was gone", n)
		}
	})
}

// denying answers some requests by itself, with a status, as a token without a scope gets it.
type denying struct {
	http.RoundTripper
	method, suffix string
	status         int
	asked          atomic.Int64
}

func (d *denying) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != d.method || !strings.HasSuffix(r.URL.Path, d.suffix) {
		return d.RoundTripper.RoundTrip(r)
	}
	d.asked.Add(1)
	body := io.NopCloser(strings.NewReader(`{"id":"forbidden","message":"You are missing the required permission."}`))
	return &http.Response{StatusCode: d.status, Header: http.Header{}, Body: body, Request: r}, nil
}

// said counts the warnings about members that end.
type said struct {
	slog.Handler
	warnings *atomic.Int64
}

func (s said) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn && strings.Contains(r.Message, "end") {
		s.warnings.Add(1)
	}
	return s.Handler.Handle(ctx, r)
}

func (s said) WithAttrs(as []slog.Attr) slog.Handler {
	return said{s.Handler.WithAttrs(as), s.warnings}
}

// stubborn is a pool whose requests to end members some denies, and what it warned of.
func (c *cloud) stubborn(deny *denying) (*Pool, *atomic.Int64) {
	c.t.Helper()
	var warnings atomic.Int64
	accounts := c.accounts
	if deny != nil {
		deny.RoundTripper = c.do.Transport()
		accounts = NewAccounts(Options{Transport: deny, Log: c.log()})
	}
	p, err := New("web", c.config, Env{Accounts: accounts, Log: slog.New(said{c.log().Handler(), &warnings}), Self: func() int { return 0 }})
	if err != nil {
		c.t.Fatal(err)
	}
	return p, &warnings
}

func TestWhoMayNotBeShutDownIsDeletedAllTheSame(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		deny := &denying{method: http.MethodPost, suffix: "/actions", status: http.StatusForbidden}
		p, warnings := c.stubborn(deny)
		var ids []rules.MemberID
		for _, m := range c.ready(p, names(1, 10)...) {
			ids = append(ids, m.ID)
		}
		began := time.Now()
		if err := c.remove(p, ids...); err == nil || !strings.Contains(err.Error(), "droplet:update") {
			t.Errorf("Remove: %v, want the scope that the token lacks", err)
		}
		time.Sleep(c.config.Droplets.Grace - time.Second)
		for _, m := range c.look(p) {
			if !strings.Contains(m.Note, "to be shut down: DigitalOcean answers 403") || !strings.Contains(m.Note, "droplet:update") {
				t.Errorf("the note of one that may not be shut down is %q", m.Note)
			}
		}
		c.until("they are gone", func() bool { return len(c.look(p)) == 0 })
		if took := time.Since(began); took < 2*c.config.Droplets.Grace {
			t.Errorf("they were gone after %s, before their grace was over twice", took)
		}
		if n := deny.asked.Load(); n > 100 {
			t.Errorf("what is denied was asked %d times for ten members", n)
		}
		if n := warnings.Load(); n > 30 {
			t.Errorf("there are %d warnings about the end of ten members", n)
		}
	})
}

func TestWhoCannotBeEndedIsTriedSeldomForEverAndSaid(t *testing.T) {
	for name, tt := range map[string]struct {
		deny     *denying
		fault    string
		note     string
		warnings int64
	}{
		"something is always under way": {nil, "pending_event", "to be deleted: DigitalOcean answers 422: Droplet already has a pending event.", 4},
		"the token may not delete":      {&denying{method: http.MethodDelete, status: http.StatusForbidden}, "", "droplet:delete", 1},
		"its deletion comes to nothing": {&denying{method: http.MethodDelete, status: http.StatusNoContent}, "", "and it is still there", 1},
		"its deletion fails":            {&denying{method: http.MethodDelete, status: http.StatusInternalServerError}, "", "answers 500", 1},
	} {
		t.Run(name, func(t *testing.T) {
			inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
				t := c.t
				p, warnings := c.stubborn(tt.deny)
				m := c.ready(p, "web-1", "web-2")[0]
				for _, on := range []string{"POST /v2/droplets/", "DELETE /v2/droplets/"} {
					if tt.fault != "" {
						c.world.Plant(emulate.Fault{Name: tt.fault, On: on})
					}
				}
				_ = c.remove(p, m.ID)
				first := c.tries(p, tt.deny, 10*time.Minute)
				began := time.Now()
				if n := c.tries(p, tt.deny, time.Hour); n < 25 || n > 40 || first > 30 {
					t.Errorf("it was tried %d times within an hour, and %d times in the ten minutes before; want about every two minutes", n, first)
				}
				if n := c.asked(began, "GET /v2/droplets?"); n > 400 {
					t.Errorf("the list was read %d times within an hour", n)
				}
				if ms := c.look(p); states(ms) != "web-1 leaving, web-2 ready" || !strings.Contains(ms[0].Note, tt.note) || !strings.Contains(ms[0].Note, "again at ") {
					t.Errorf("members are %s, %q; want why it does not go", states(ms), ms[0].Note)
				}
				if n := warnings.Load(); n != tt.warnings {
					t.Errorf("there are %d warnings about it, want %d", n, tt.warnings)
				}
				if tt.fault != "" {
					c.world.Heal()
					c.gone(p, m.ID)
				}
			})
		})
	}
}

// tries looks each second for some time, and counts the calls that are to end somebody.
func (c *cloud) tries(p *Pool, deny *denying, within time.Duration) int {
	c.t.Helper()
	began, denied := time.Now(), int64(0)
	if deny != nil {
		denied = deny.asked.Load()
	}
	for time.Since(began) < within {
		c.look(p)
		time.Sleep(time.Second)
	}
	n := c.asked(began, "POST /v2/droplets/") + c.asked(began, "DELETE /v2/droplets/")
	if deny != nil {
		n += int(deny.asked.Load() - denied)
	}
	return n
}
