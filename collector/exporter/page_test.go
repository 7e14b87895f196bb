package exporter_test

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flyball/collector/exporter"
)

func TestAPageIsWholeOrAnErrorWithItsReason(t *testing.T) {
	breaksOff := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for _, tt := range []struct {
		name   string
		serve  http.HandlerFunc
		reason string
	}{
		{"whole", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "all of it\n") }, ""},
		{"broken off", breaksOff, exporter.Protocol},
		{"too long", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 33<<20)) }, exporter.Protocol},
		{"not known", status(401), exporter.Denied},
		{"not allowed", status(403), exporter.Permission},
		{"not there", status(404), exporter.Missing},
		{"elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, exporter.Protocol},
		{"out of order", status(500), exporter.Protocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(tt.serve)
			defer s.Close()
			got, err := exporter.NewPage(s.URL, "", "").Get(t.Context())
			if exporter.Reason(err) != tt.reason || (err == nil) != (got == "all of it\n") {
				t.Errorf("got %q, %v; want reason %q", got, err, tt.reason)
			}
			if err != nil && !strings.Contains(err.Error(), s.URL) {
				t.Errorf("%v does not say where", err)
			}
		})
	}
}

func TestWhoeverSpeaksSomethingElseThanAPageHasAReason(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan bool)
	go func() {
		defer close(served)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "220 mail ready\r\n")
			_ = c.Close()
		}
	}()
	defer func() { _ = l.Close(); <-served }()
	if _, err := exporter.NewPage("http://"+l.Addr().String(), "", "").Get(t.Context()); exporter.Reason(err) != exporter.Protocol {
		t.Errorf("got %v", err)
	}

	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	if _, err := exporter.NewPage(secure.URL, "", "").Get(t.Context()); exporter.Reason(err) != exporter.TLS {
		t.Errorf("a certificate that nobody knows is %v", err)
	}

	nobody := exporter.NewPage("http://127.0.0.1:1/", "", "")
	if _, err := nobody.Get(t.Context()); exporter.Reason(err) != exporter.Refused {
		t.Errorf("nobody is %v", err)
	}
}

func TestAPageThatHangsIsWaitedForNoLongerThanTheContext(t *testing.T) {
	end := make(chan bool)
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-end }))
	defer s.Close()
	defer close(end)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := exporter.NewPage(s.URL, "", "").Get(ctx); exporter.Reason(err) != exporter.Timeout {
		t.Errorf("got %v", err)
	}
}

func TestAPasswordIsReadAnewAndNeverTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	write := func(s string) {
		if err := os.WriteFile(file, []byte(s+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != "eve" || p != "n3w" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer s.Close()
	p := exporter.NewPage(s.URL, "eve", file)
	write("0ld")
	if _, err := p.Get(t.Context()); exporter.Reason(err) != exporter.Denied || strings.Contains(err.Error(), "0ld") {
		t.Errorf("a wrong password is %v", err)
	}
	write("n3w")
	if _, err := p.Get(t.Context()); err != nil {
		t.Errorf("the new password is %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Get(t.Context()); exporter.Reason(err) != exporter.Denied {
		t.Errorf("a password that is not there is %v", err)
	}
}

func TestMistakesOfAPage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ url, username, file, field, text string }{
		{"http://lb:81/stats;csv", "", "", "", ""},
		{"https://lb/stats", "eve", file, "", ""},
		{"lb:81/stats", "", "", ".url", "no address"},
		{"ftp://lb/", "", "", ".url", "no address"},
		{"http://", "", "", ".url", "no address"},
		{"http://lb:x/", "", "", ".url", "no address"},
		{"http://eve:s3cret@lb/", "", "", ".url", "holds a user"},
		{"http://lb/", "eve", "", ".username", "no password"},
		{"http://lb/", "", file, ".password_file", "nobody"},
		{"http://lb/", "eve", file + "2", ".password_file", "cannot be read"},
	} {
		ms := exporter.NewPage(tt.url, tt.username, tt.file).Mistakes()
		if tt.field == "" && len(ms) == 0 {
			continue
		}
		if len(ms) != 1 || ms[0].Field != tt.field || !strings.Contains(ms[0].Text, tt.text) || ms[0].Hint == "" {
			t.Errorf("%s %s: got %v, want %s %s", tt.url, tt.username, ms, tt.field, tt.text)
		}
		for _, m := range ms {
			if strings.Contains(m.Text+m.Hint, "s3cret") {
				t.Errorf("%v tells a secret", m)
			}
		}
	}
}
