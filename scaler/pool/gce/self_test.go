package gce

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
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
}

func (o *on) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != "metadata.google.internal" {
		return bearer{o.cloud}.RoundTrip(r)
	}
	o.asked++
	if r.Header.Get("Metadata-Flavor") != "Google" {
		return nil, errors.New("the question is not Google's")
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Metadata-Flavor": {o.flavor}}, Body: io.NopCloser(strings.NewReader(o.id())), Request: r,
	}, nil
}

func TestTheMemberThatFlyballRunsOnIsNeverEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(t, zonalGroup())
		var ms []rules.Member
		m := &on{cloud: c.gce.Transport(), flavor: "Google", id: func() string { return string(ms[0].ID) + "\n" }}
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

func TestAMachineThatIsNotGooglesIsNoInstance(t *testing.T) {
	for name, m := range map[string]*on{
		"another cloud": {flavor: "", id: func() string { return "42" }},
		"nonsense":      {flavor: "Google", id: func() string { return "forty-two" }},
	} {
		if id := readSelf(t.Context(), m); id != 0 {
			t.Errorf("%s: the instance is %d", name, id)
		}
	}
	if id := readSelf(t.Context(), &on{flavor: "Google", id: func() string { return "42" }}); id != 42 {
		t.Errorf("the instance is %d", id)
	}
}
