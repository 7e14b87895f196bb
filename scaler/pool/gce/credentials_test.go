package gce

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// google answers for the server of tokens and for the API.
type fakeGoogle struct {
	mu     sync.Mutex
	issued int
	stuck  bool     // the server of tokens never answers
	refuse bool     // it gives none
	seen   []string // authorisations at the API
}

func (g *fakeGoogle) RoundTrip(r *http.Request) (*http.Response, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	answer := func(status int, body string) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(strings.NewReader(body)), Request: r,
		}, nil
	}
	if r.URL.Host != "tokens.test" {
		g.seen = append(g.seen, r.Header.Get("Authorization"))
		return answer(http.StatusOK, "{}")
	}
	g.issued++
	switch {
	case g.stuck:
		<-r.Context().Done()
		return nil, r.Context().Err()
	case g.refuse:
		return answer(http.StatusBadRequest, `{"error":"invalid_grant","error_description":"the assertion eyJsecret is bad"}`)
	}
	return answer(http.StatusOK, `{"access_token":"token-`+string(rune('0'+g.issued))+`","token_type":"Bearer","expires_in":3600}`)
}

// writeKey writes a service account's key and returns its secret part.
func writeKey(t *testing.T, file, email string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	secret := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	raw, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": email, "private_key_id": "1", "private_key": secret, "token_uri": "https://tokens.test/token",
	})
	if err == nil {
		err = os.WriteFile(file, raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func signed(t *testing.T, g *fakeGoogle) (c *http.Client, file string) {
	t.Helper()
	conf := config()
	conf.CredentialsFile = filepath.Join(t.TempDir(), "key.json")
	writeKey(t, conf.CredentialsFile, "flyball@shop-12345.test")
	return &http.Client{Transport: newSigner(g, g, conf.withDefaults())}, conf.CredentialsFile
}

func get(t *testing.T, c *http.Client) error {
	t.Helper()
	res, err := c.Get("https://compute.test/compute/v1/projects/shop-12345")
	if err != nil {
		return err
	}
	return res.Body.Close()
}

func TestATokenIsFetchedOnceAndAnewWhenTheKeyChanges(t *testing.T) {
	g := &fakeGoogle{}
	c, file := signed(t, g)
	for range 3 {
		if err := get(t, c); err != nil {
			t.Fatal(err)
		}
	}
	writeKey(t, file, "other@shop-12345.test")
	if err := os.Chtimes(file, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := get(t, c); err != nil {
		t.Fatal(err)
	}
	if want := "Bearer token-1 Bearer token-1 Bearer token-1 Bearer token-2"; strings.Join(g.seen, " ") != want {
		t.Errorf("signed with %v, want %s", g.seen, want)
	}
}

func TestKeyAndTokenAreNeverShown(t *testing.T) {
	g := &fakeGoogle{refuse: true}
	c, file := signed(t, g)
	err := get(t, c)
	var who *credentialsError
	if !errors.As(err, &who) || !strings.Contains(err.Error(), "refused with 400 invalid_grant") || strings.Contains(err.Error(), "eyJ") {
		t.Errorf("a refused key: %v", err)
	}
	for _, content := range []string{`{"type":"authorized_user","refresh_token":"hush"}`, "hush", "{}"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := get(t, c); !errors.As(err, &who) || strings.Contains(err.Error(), "hush") {
			t.Errorf("a key that is none: %v", err)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := get(t, c); !errors.As(err, &who) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a key that is not there: %v", err)
	}
	if len(g.seen) > 0 {
		t.Errorf("the API was asked without a token: %v", g.seen)
	}
}

func TestAServerOfTokensThatHangsHoldsUpNobodyForLongerThanTheyWait(t *testing.T) {
	c, _ := signed(t, &fakeGoogle{stuck: true})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://compute.test/", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(r)
	if err == nil {
		_ = res.Body.Close()
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the request ended with %v", err)
	}
}

func TestNothingIsSignedWhereItCouldBeOverheard(t *testing.T) {
	g := &fakeGoogle{}
	for endpoint, wants := range map[string]bool{
		"http://emulator.test": false, "http://127.0.0.1:8089": false, "https://compute.googleapis.com": true,
	} {
		c := config()
		c.Endpoint = endpoint
		if _, signs := newSigner(g, g, c.withDefaults()).(*signer); signs != wants {
			t.Errorf("%s: signs %v, want %v", endpoint, signs, wants)
		}
	}
}
