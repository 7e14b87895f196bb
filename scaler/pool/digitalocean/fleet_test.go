package digitalocean

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flyball/scaler/pool/emulate"
)

// slowly answers each page of a list after a time.
type slowly struct {
	http.RoundTripper
	pause time.Duration
}

func (s *slowly) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/droplets") {
		if err := pause(r.Context(), s.pause); err != nil {
			return nil, err
		}
	}
	return s.RoundTripper.RoundTrip(r)
}

// slowCloud has an account of five pages, and a pool of one member.
func slowCloud(t *testing.T, f func(c *cloud, s *slowly, p *Pool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(t, emulate.DigitalOceanOptions{DropletLimit: 2000})
		for i := range 900 {
			c.do.AddStranger(fmt.Sprint("db", i))
		}
		c.do.AddStranger("web-1", "flyball", "flyball-web")
		s := &slowly{RoundTripper: c.do.Transport()}
		c.accounts = NewAccounts(Options{Transport: s, Log: c.log()})
		f(c, s, c.pool("web"))
		time.Sleep(time.Minute) // nothing is read any more
	})
}

// lookWithin looks as the loop does, with its deadline.
func lookWithin(c *cloud, p *Pool) (string, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
	defer cancel()
	ms, _, err := p.Look(ctx)
	return states(ms), err
}

func TestAListThatTakesLongerThanALookIsReadAllTheSame(t *testing.T) {
	slowCloud(t, func(c *cloud, s *slowly, p *Pool) {
		t := c.t
		s.pause = 2 * time.Second // of each of five pages
		began := time.Now()
		var err error
		var got string
		for time.Since(began) < 30*time.Second {
			if got, err = lookWithin(c, p); err == nil {
				break
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
		}
		if err != nil || got != "web-1 ready" {
			t.Fatalf("members are %q after %s, %v", got, time.Since(began), err)
		}
		if n := c.asked(began, "GET /v2/droplets?"); n > 10 {
			t.Errorf("%d pages were read", n)
		}
		began = time.Now()
		for time.Since(began) < 5*time.Minute {
			asked := time.Now()
			if got, err = lookWithin(c, p); err != nil || got != "web-1 ready" || time.Since(asked) > listWait {
				t.Fatalf("members are %q after %s, %v", got, time.Since(asked), err)
			}
			time.Sleep(5 * time.Second)
		}
		if _, at := p.account.fleet.latest(); time.Since(at) > time.Minute {
			t.Errorf("the list is from %s ago", time.Since(at))
		}
	})
}

func TestAnOldListIsGoodForAMinuteAndAHalfWhereNoAnswerComes(t *testing.T) {
	slowCloud(t, func(c *cloud, s *slowly, p *Pool) {
		t := c.t
		if _, err := lookWithin(c, p); err != nil {
			t.Fatal(err)
		}
		read := time.Now()
		s.pause = time.Hour
		for time.Since(read) < 3*time.Minute {
			_, err := lookWithin(c, p)
			if age := time.Since(read); age < oldest && err != nil || age > oldest+5*time.Second && err == nil {
				t.Fatalf("with a list from %s ago a look is %v", age, err)
			}
			time.Sleep(time.Second)
		}
	})
}
