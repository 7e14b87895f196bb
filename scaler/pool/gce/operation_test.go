package gce

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flyball/rules"
	"flyball/scaler"
)

// A twist answers requests otherwise than the cloud behind it, once it is on.
type twist struct {
	cloud http.RoundTripper
	mu    sync.Mutex
	on    func(r *http.Request) (status int, body string) // status 0: as the cloud does
}

func (w *twist) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	on := w.on
	w.mu.Unlock()
	if on != nil {
		if status, body := on(r); status != 0 {
			return &http.Response{
				StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r,
			}, nil
		}
	}
	return bearer{w.cloud}.RoundTrip(r)
}

func (w *twist) set(on func(r *http.Request) (int, string)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.on = on
}

// operations answers what is asked about operations.
func operations(body string) func(*http.Request) (int, string) {
	return func(r *http.Request) (int, string) {
		if strings.Contains(r.URL.Path, "/operations/") {
			return http.StatusOK, body
		}
		return 0, ""
	}
}

const (
	runs   = `{"name":"operation-1","status":"RUNNING"}`
	failed = `{"name":"operation-1","status":"DONE","error":{"errors":[{"code":"%s","message":"it cannot be"}]}}`
)

func inTwist(t *testing.T, f func(c *cloud, w *twist)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(t, zonalGroup())
		w := &twist{cloud: c.gce.Transport()}
		p, err := New("web", c.conf, Env{Transport: w})
		if err != nil {
			t.Fatal(err)
		}
		c.pool = p
		f(c, w)
	})
}

func TestAGrowthThatFailsInItsOperationFails(t *testing.T) {
	inTwist(t, func(c *cloud, w *twist) {
		w.set(operations(fmt.Sprintf(failed, "QUOTA_EXCEEDED")))
		if err := c.grow("web-1"); !errors.Is(err, scaler.ErrNoCapacity) || !strings.Contains(err.Error(), "it cannot be") {
			t.Errorf("Grow: %v", err)
		}
	})
}

func TestAGrowthThatFailsLaterIsToldByTheNextAndOnce(t *testing.T) {
	inTwist(t, func(c *cloud, w *twist) {
		w.set(operations(runs))
		began := time.Now()
		if err := c.grow("web-1"); err != nil || time.Since(began) > operationWait+time.Second {
			t.Fatalf("Grow took %s: %v", time.Since(began), err)
		}
		w.set(operations(fmt.Sprintf(failed, "RESOURCE_POOL_EXHAUSTED")))
		time.Sleep(time.Minute)
		c.look()
		if err := c.grow("web-2"); !errors.Is(err, scaler.ErrNoCapacity) {
			t.Errorf("Grow after one that failed: %v", err)
		}
		w.set(nil)
		c.ready("web-2")
	})
}

func TestMembersWhoseEndFailedAreMembersAsBefore(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("late %v", late), func(t *testing.T) {
			inTwist(t, func(c *cloud, w *twist) {
				ms := c.ready("web-1")
				refuse := func(answer string) {
					w.set(func(r *http.Request) (int, string) {
						if strings.HasSuffix(r.URL.Path, "/deleteInstances") {
							return http.StatusOK, runs
						}
						return operations(answer)(r)
					})
				}
				if refuse(runs); !late {
					refuse(fmt.Sprintf(failed, "RESOURCE_IN_USE"))
				}
				if err := c.remove(ms...); (err == nil) != late {
					t.Errorf("Remove: %v", err)
				}
				if after, _ := c.look(); late && after[0].State != rules.Leaving {
					t.Errorf("asked to end, and %+v", after[0])
				}
				refuse(fmt.Sprintf(failed, "RESOURCE_IN_USE"))
				time.Sleep(time.Minute)
				c.look()
				time.Sleep(time.Minute)
				if after, _ := c.look(); after[0] != ms[0] {
					t.Errorf("the member was %+v and is %+v", ms[0], after[0])
				}
			})
		})
	}
}

func TestATokenThatIsRefusedIsFetchedAnew(t *testing.T) {
	g := &fakeGoogle{}
	refused := &twist{cloud: g}
	conf := config()
	conf.CredentialsFile = t.TempDir() + "/key.json"
	writeKey(t, conf.CredentialsFile, "flyball@shop-12345.test")
	refused.set(func(r *http.Request) (int, string) {
		if r.Header.Get("Authorization") == "Bearer token-1" {
			return http.StatusUnauthorized, "{}"
		}
		if r.URL.Host != "tokens.test" {
			g.seen = append(g.seen, r.Header.Get("Authorization"))
			return http.StatusOK, "{}"
		}
		return 0, ""
	})
	c := &http.Client{Transport: newSigner(refused, refused, conf.withDefaults())}
	for range 3 {
		if err := get(t, c); err != nil {
			t.Fatal(err)
		}
	}
	if want := "Bearer token-2 Bearer token-2"; strings.Join(g.seen, " ") != want {
		t.Errorf("the API took %v, want %s", g.seen, want)
	}
}
