package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhoMayAct(t *testing.T) {
	const secret = "0123456789abcdef"
	open := guard{token: secret}
	users := guard{token: secret, users: true, operators: []string{"alice"}}
	for _, c := range []struct {
		name  string
		guard guard
		edit  func(*http.Request)
		want  int
		who   string
	}{
		{"nobody", open, func(*http.Request) {}, 401, ""},
		{"the token", open, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+secret) }, 200, "token"},
		{"another token", open, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+secret+"x") }, 401, ""},
		{"the token without its word", open, func(r *http.Request) { r.Header.Set("Authorization", secret) }, 401, ""},
		{"a user where there are none", open, func(r *http.Request) { r.SetBasicAuth("alice", "x") }, 401, ""},
		{"an operator", users, func(r *http.Request) { r.SetBasicAuth("alice", "x") }, 200, "alice"},
		{"a user who is no operator", users, func(r *http.Request) { r.SetBasicAuth("bob", "x") }, 403, ""},
		{"the token where there are users", users, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+secret) }, 403, ""},
		{"a page of another site", open, func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+secret)
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}, 403, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			who := ""
			h := c.guard.act(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { who = c.guard.who(r) }))
			r := httptest.NewRequest(http.MethodPost, "/-/reload", nil)
			c.edit(r)
			res := httptest.NewRecorder()
			h.ServeHTTP(res, r)
			if res.Code != c.want || who != c.who {
				t.Errorf("answered %d to %q, want %d to %q", res.Code, who, c.want, c.who)
			}
			if strings.Contains(res.Body.String(), secret) {
				t.Errorf("the answer tells the token: %s", res.Body)
			}
		})
	}
}

func TestTheTokenIsMadeOnceAndKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	first, err := readToken(file)
	if err != nil || len(first) < 32 {
		t.Fatalf("made %q, %v", first, err)
	}
	if i, err := os.Stat(file); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", i.Mode(), err)
	}
	if again, err := readToken(file); err != nil || again != first {
		t.Errorf("read %q after %q, %v", again, first, err)
	}
	if err := os.WriteFile(file, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readToken(file); err == nil || strings.Contains(err.Error(), "short") {
		t.Errorf("a token that is too short: %v", err)
	}
}
