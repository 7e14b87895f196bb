package gce

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flyball/scaler/journal"
)

// A hole answers nothing: what is asked ends with its context.
type hole struct{ asked atomic.Int64 }

func (h *hole) RoundTrip(r *http.Request) (*http.Response, error) {
	h.asked.Add(1)
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestEveryCallEndsWhateverItsCallerWaitsFor(t *testing.T) {
	for name, conf := range map[string]func(*Config){
		"the API":    func(c *Config) { c.Endpoint = "http://compute.test" },
		"its tokens": func(c *Config) { c.CredentialsFile = t.TempDir() + "/key.json" },
		"a region":   func(c *Config) { c.Endpoint, c.Zone, c.Region = "http://compute.test", "", "europe-west3" },
	} {
		t.Run(name, func(t *testing.T) {
			c := config()
			conf(&c)
			if c.CredentialsFile != "" {
				writeKey(t, c.CredentialsFile, "flyball@shop-12345.test")
			}
			synctest.Test(t, func(t *testing.T) {
				black := &hole{}
				p, err := New("web", c, Env{Transport: black})
				if err != nil {
					t.Fatal(err)
				}
				ctx := context.WithoutCancel(t.Context())
				for what, call := range map[string]func() error{
					"Look": func() error { _, _, err := p.Look(ctx); return err },
					"Grow": func() error { return p.Grow(ctx, journal.Step{ID: "s", Verb: journal.Grow, Names: []string{"web-1"}}) },
					"Preflight": func() error {
						p.Preflight(ctx, 1)
						return context.DeadlineExceeded
					},
				} {
					began := time.Now()
					if err := call(); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 30*time.Second {
						t.Errorf("%s took %s: %v", what, time.Since(began), err)
					}
				}
				if black.asked.Load() == 0 {
					t.Error("nothing was asked")
				}
			})
		})
	}
}

// A misleader sends everybody elsewhere.
type misleader struct {
	tokens *fakeGoogle
	status int
	seen   []string // hosts that were asked, with whether they were shown a secret
}

func (m *misleader) RoundTrip(r *http.Request) (*http.Response, error) {
	if m.tokens != nil && r.URL.Host == "tokens.test" {
		return m.tokens.RoundTrip(r)
	}
	if r.URL.Host == "elsewhere.test" {
		m.seen = append(m.seen, r.Method+" "+r.Header.Get("Authorization"))
	}
	return &http.Response{
		StatusCode: m.status, Header: http.Header{"Location": {"https://elsewhere.test/x"}}, Body: io.NopCloser(strings.NewReader("")), Request: r,
	}, nil
}

func TestNoRedirectIsFollowedWithTokenOrKey(t *testing.T) {
	conf := config()
	conf.CredentialsFile = t.TempDir() + "/key.json"
	writeKey(t, conf.CredentialsFile, "flyball@shop-12345.test")
	for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect} {
		for of, tokens := range map[string]*fakeGoogle{"the API": {}, "the server of tokens": nil} {
			m := &misleader{tokens: tokens, status: status}
			p, err := New("web", conf, Env{Transport: m})
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := p.Look(t.Context()); err == nil || len(m.seen) > 0 {
				t.Errorf("%d of %s: elsewhere was asked %q, %v", status, of, m.seen, err)
			}
		}
	}
}
