package gce

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"flyball/rules"
)

// on is a machine with metadata, beside a cloud.
type on struct {
	cloud  http.RoundTripper
	id     func() string
	asked  int
	flavor string
	status int
	err    error
}

func (o *on) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != metadataHost {
		return bearer{o.cloud}.RoundTrip(r)
	}
	o.asked++
	if r.Header.Get("Metadata-Flavor") != "Google" {
		return nil, errors.New("the question is not Google's")
	}
	if o.err != nil {
		return nil, o.err
	}
	return &http.Response{
		StatusCode: o.status, Header: http.Header{"Metadata-Flavor": {o.flavor}}, Body: io.NopCloser(strings.NewReader(o.id())), Request: r,
	}, nil
}

func TestTheMemberThatFlyballRunsOnIsNeverEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(t, zonalGroup())
		var ms []rules.Member
		m := &on{cloud: c.gce.Transport(), flavor: "Google", status: http.StatusOK, id: func() string { return string(ms[0].ID) + "\n" }}
		p, err := New("web", c.conf, Env{Transport: m})
		if err != nil {
			t.Fatal(err)
		}
		c.pool = p
		ms = c.ready("web-1", "web-2")
		p.cfg.Endpoint = defaultEndpoint // as if the instances were Google's own
		if err := c.remove(ms...); !errors.Is(err, ErrSelf) || !strings.Contains(fmt.Sprint(err), "end web-1") {
			t.Errorf("Remove: %v", err)
		}
		time.Sleep(time.Minute)
		if left, _ := c.look(); len(left) != 1 || !left[0].Kept {
			t.Errorf("members are %+v, want one that is kept", left)
		}
		if got := c.names(); got != "web-1" || m.asked != 1 {
			t.Errorf("members are %s, and the machine was asked %d times who it is", got, m.asked)
		}
		if f := find(t, p.Preflight(t.Context(), 10), "where Flyball runs"); f.OK || !strings.Contains(f.Text, "web-1") {
			t.Errorf("found %+v", f)
		}
	})
}

func TestWhereFlyballRunsIsAskedUntilItIsKnown(t *testing.T) {
	none := func() string { return "" }
	for name, tt := range map[string]struct {
		first on
		asked int // within five minutes of looks
		kept  bool
	}{
		"no network yet":       {on{err: fmt.Errorf("dial: %w", syscall.ENETUNREACH)}, 2, true},
		"a slow machine":       {on{err: context.DeadlineExceeded}, 2, true},
		"one in trouble":       {on{status: http.StatusServiceUnavailable, flavor: "Google", id: none}, 2, true},
		"no metadata there":    {on{err: fmt.Errorf("dial: %w", syscall.ECONNREFUSED)}, 1, false},
		"another cloud":        {on{status: http.StatusOK, id: func() string { return "42" }}, 1, false},
		"no such thing":        {on{status: http.StatusNotFound, flavor: "Google", id: none}, 1, false},
		"another cloud's word": {on{status: http.StatusUnauthorized, id: none}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCloud(t, zonalGroup())
				m := &tt.first
				m.cloud = c.gce.Transport()
				p, err := New("web", c.conf, Env{Transport: m})
				if err != nil {
					t.Fatal(err)
				}
				c.pool = p
				ms := c.ready("web-1")
				p.cfg.Endpoint = defaultEndpoint // as if the instances were Google's own
				for i := range 300 {
					time.Sleep(time.Second)
					ms, _ = c.look()
					if i == 0 {
						if ms[0].Kept {
							t.Error("it is kept though nobody said so")
						}
						m.err, m.status, m.flavor, m.id = nil, http.StatusOK, "Google", func() string { return string(ms[0].ID) }
					}
				}
				if m.asked != tt.asked || ms[0].Kept != tt.kept {
					t.Errorf("asked %d times, want %d; kept %v, want %v", m.asked, tt.asked, ms[0].Kept, tt.kept)
				}
			})
		})
	}
}

func TestNoProxyIsAskedWhereFlyballRuns(t *testing.T) {
	p, err := New("web", config(), Env{})
	if err != nil {
		t.Fatal(err)
	}
	if tr, is := p.metadata.(*http.Transport); !is || tr.Proxy != nil {
		t.Errorf("metadata are asked through %+v", p.metadata)
	}
}

func TestAMachineThatIsNotGooglesIsNoInstance(t *testing.T) {
	for name, m := range map[string]*on{
		"another cloud": {status: http.StatusOK, id: func() string { return "42" }},
		"nonsense":      {status: http.StatusOK, flavor: "Google", id: func() string { return "forty-two" }},
	} {
		if id, _ := readSelf(t.Context(), m); id != 0 {
			t.Errorf("%s: the instance is %d", name, id)
		}
	}
	if id, sure := readSelf(t.Context(), &on{status: http.StatusOK, flavor: "Google", id: func() string { return "42" }}); id != 42 || !sure {
		t.Errorf("the instance is %d, sure %v", id, sure)
	}
}
