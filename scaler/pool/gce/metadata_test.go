package gce

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// own is a machine of Google's whose metadata tell tokens.
type own struct {
	status int
	hangs  bool
	mu     sync.Mutex
	issued int
	seen   []string // authorisations at the API
}

func (o *own) RoundTrip(r *http.Request) (*http.Response, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	answer := func(status int, body string) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Header: http.Header{"Metadata-Flavor": {"Google"}, "Content-Type": {"application/json"}},
			Body: io.NopCloser(strings.NewReader(body)), Request: r,
		}, nil
	}
	switch {
	case r.URL.Host != metadataHost:
		o.seen = append(o.seen, r.Header.Get("Authorization"))
		return answer(http.StatusNotFound, "{}")
	case r.Header.Get("Metadata-Flavor") != "Google" || !strings.Contains(r.URL.RawQuery, "auth%2Fcompute"):
		return answer(http.StatusForbidden, "")
	case o.hangs:
		<-r.Context().Done()
		return nil, r.Context().Err()
	case o.status != http.StatusOK:
		return answer(o.status, "no")
	}
	o.issued++
	return answer(http.StatusOK, `{"access_token":"ya29.own","expires_in":3599,"token_type":"Bearer"}`)
}

// alone has no credentials but the machine's.
func alone(t *testing.T) {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
	t.Setenv("GCE_METADATA_HOST", "")
}

func TestTheMachinesOwnTokenIsTakenForAnHour(t *testing.T) {
	alone(t)
	synctest.Test(t, func(t *testing.T) {
		o := &own{status: http.StatusOK}
		p, err := New("web", config(), Env{Transport: o})
		if err != nil {
			t.Fatal(err)
		}
		for range 150 {
			_, _, _ = p.Look(t.Context()) // there is no group
			time.Sleep(time.Minute)
		}
		if o.issued != 3 || o.seen[0] != "Bearer ya29.own" {
			t.Errorf("%d tokens were fetched in two hours and a half, and the API saw %q", o.issued, o.seen[0])
		}
	})
}

func TestAMachineWithoutATokenIsSaidSoInTime(t *testing.T) {
	alone(t)
	for name, o := range map[string]*own{
		"no service account": {status: http.StatusNotFound}, "in trouble": {status: http.StatusServiceUnavailable}, "hangs": {hangs: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, err := New("web", config(), Env{Transport: o})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				began := time.Now()
				var who *credentialsError
				_, _, err = p.Look(ctx)
				if wrong := !errors.As(err, &who); wrong != o.hangs || time.Since(began) > 5*time.Second || len(o.seen) > 0 {
					t.Errorf("after %s: %v; the API was asked %d times", time.Since(began), err, len(o.seen))
				}
			})
		})
	}
}

func TestAKeyOfTheUsersComesBeforeTheMachines(t *testing.T) {
	alone(t)
	elsewhere := filepath.Join(t.TempDir(), "key.json")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", elsewhere)
	o := &own{status: http.StatusOK}
	look := func() error {
		p, err := New("web", config(), Env{Transport: o})
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = p.Look(t.Context())
		return err
	}
	var who *credentialsError
	if err := look(); !errors.As(err, &who) || o.issued > 0 {
		t.Errorf("a key that is not there: %v", err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
	file := filepath.Join(os.Getenv("HOME"), ".config", "gcloud", "application_default_credentials.json")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := look(); !errors.As(err, &who) || o.issued > 0 {
		t.Errorf("a key that is none: %v", err)
	}
}
