package container

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moby/moby/api/pkg/authconfig"

	"flyball/scaler/pool/pooltest"
)

// fetches answers in the engine's place when it is to fetch an image: nothing,
// until hold is closed; then the real one gives another image that name.
type fetches struct {
	begun atomic.Int32
	auth  atomic.Value
	hold  chan struct{}
	tag   func()
}

func (f *fetches) answer(w http.ResponseWriter, r *http.Request, pass http.Handler) {
	if !strings.HasSuffix(r.URL.Path, "/images/create") {
		pass.ServeHTTP(w, r)
		return
	}
	f.begun.Add(1)
	f.auth.Store(r.Header.Get("X-Registry-Auth"))
	<-f.hold
	f.tag()
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"status":"Pulling from app"}` + "\n" + `{"status":"Download complete","id":"ab"}` + "\n"))
}

// fetching is a pool whose image has to be fetched first.
func fetching(t *testing.T, change func(*Config)) (*Pool, *fetches) {
	t.Helper()
	r, socket := startRelay(t)
	from, to := image(t), "localhost/fetched:"+strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	p := testPool(t, func(c *Config) {
		c.Socket, c.Image, c.Pull = socket, to, pullMissing
		if change != nil {
			change(c)
		}
	})
	f := &fetches{hold: make(chan struct{}), tag: func() { run(t, "tag", from, to) }}
	f.auth.Store("")
	t.Cleanup(func() { run(t, "rmi", "--ignore", "-f", to) })
	r.set(f.answer)
	return p, f
}

func TestAnImageThatTakesLongerThanAStepIsFetchedOnceAndOn(t *testing.T) {
	p, f := fetching(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { failed <- p.Grow(ctx, step("web-1")) }()
	pooltest.Until(t, "the fetch", func() bool { return f.begun.Load() > 0 })
	cancel()
	over, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	for _, err := range []error{<-failed, p.await(over)} {
		if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "fetch image "+p.cfg.Image+": not there after") {
			t.Fatalf("Grow while the image is being fetched: %v", err)
		}
	}
	close(f.hold)
	awaitService(t, pooltest.Grow(t, p, "web-1")[0])
	if n := f.begun.Load(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
	pooltest.Grow(t, p, "web-1", "web-2")
	if n := f.begun.Load(); n != 1 {
		t.Errorf("fetched %d times, though it was there", n)
	}
}

func TestAnImageIsFetchedBeforeEachStepIfItIsSaidSo(t *testing.T) {
	p, f := fetching(t, func(c *Config) { c.Pull = pullAlways })
	close(f.hold)
	pooltest.Grow(t, p, "web-1", "web-2")
	pooltest.Grow(t, p, "web-3")
	pooltest.Grow(t, p, "web-3") // is done already
	if n := f.begun.Load(); n != 2 {
		t.Errorf("fetched %d times, want 2", n)
	}
}

func TestTheRegistryIsToldThePasswordThatIsInTheFileNow(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	p, f := fetching(t, func(c *Config) { c.Pull, c.AuthFile = pullAlways, file })
	close(f.hold)
	for i, password := range []string{"first", "second"} {
		text := `{"auths":{"localhost":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("flyball:"+password)) + `"}}}`
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		pooltest.Grow(t, p, []string{"web-1", "web-2"}[i])
		got, err := authconfig.Decode(f.auth.Load().(string))
		if err != nil || got.Username != "flyball" || got.Password != password {
			t.Errorf("the engine was told %+v, %v", got, err)
		}
	}
}

func TestCredentials(t *testing.T) {
	auth := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, tt := range []struct {
		name, file, domain string
		user, password     string
		ok                 bool
		err                string
	}{
		{name: "plain", file: `{"auths":{"r.example":{"auth":"` + auth("u:p:q") + `"}}}`, domain: "r.example", user: "u", password: "p:q", ok: true},
		{name: "with its scheme", file: `{"auths":{"https://r.example/v2/":{"auth":"` + auth("u:p") + `"}}}`, domain: "r.example", user: "u", password: "p", ok: true},
		{name: "Docker Hub", file: `{"auths":{"https://index.docker.io/v1/":{"auth":"` + auth("u:p") + `"}}}`, domain: "docker.io", user: "u", password: "p", ok: true},
		{name: "token", file: `{"auths":{"r.example":{"identitytoken":"t"}}}`, domain: "r.example", ok: true},
		{name: "another registry", file: `{"auths":{"r.example":{"auth":"` + auth("u:p") + `"}}}`, domain: "s.example"},
		{name: "kept elsewhere", file: `{"auths":{"r.example":{}},"credsStore":"desktop"}`, domain: "r.example", err: "credential helper"},
		{name: "a helper of its own", file: `{"credHelpers":{"r.example":"ecr-login"}}`, domain: "r.example", err: "credential helper"},
		{name: "no base64", file: `{"auths":{"r.example":{"auth":"secret!"}}}`, domain: "r.example", err: "no user with a password"},
		{name: "no colon", file: `{"auths":{"r.example":{"auth":"` + auth("secret") + `"}}}`, domain: "r.example", err: "no user with a password"},
		{name: "no JSON", file: `secret`, domain: "r.example", err: "no file of docker login"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok, err := credentials([]byte(tt.file), tt.domain)
			if ok != tt.ok || got.Username != tt.user || got.Password != tt.password {
				t.Errorf("got %+v, %v", got, ok)
			}
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %v, want %q", err, tt.err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("%v tells what is in the file", err)
			}
		})
	}
}

func FuzzCredentials(f *testing.F) {
	f.Add([]byte(`{"auths":{"r.example":{"auth":"dTpw"}}}`), "r.example")
	f.Fuzz(func(t *testing.T, raw []byte, domain string) {
		if auth, ok, err := credentials(raw, domain); ok && err != nil || !ok && auth.Password != "" {
			t.Errorf("%+v, %v, %v", auth, ok, err)
		}
	})
}

// fake is a pool on an engine that answers as it is told.
func fake(t *testing.T, answers map[string]any) *Pool {
	t.Helper()
	path := filepath.Join(socketDir(t), "engine.sock")
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.47")
		for suffix, answer := range answers {
			if strings.HasSuffix(r.URL.Path, suffix) {
				w.Header().Set("Content-Type", "application/json")
				_ = json.NewEncoder(w).Encode(answer)
				return
			}
		}
		http.NotFound(w, r)
	}))
	l := listen(t, path)
	_ = srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	t.Cleanup(srv.Close)
	return newPool(t, Config{Socket: "unix://" + path, Image: "app:1", Port: 8080}, t.TempDir())
}

func TestMembersThatCouldNotBeReachedAreNotMade(t *testing.T) {
	for want, info := range map[string]map[string]any{
		"for it is rootless: write publish: true":       {"SecurityOptions": []string{"name=seccomp,profile=builtin", "name=rootless"}},
		"for it is Docker Desktop: write publish: true": {"OperatingSystem": "Docker Desktop"},
	} {
		p := fake(t, map[string]any{"/_ping": "OK", "/info": info, "/containers/json": []any{}, "/images/app:1/json": map[string]any{"Id": "x"}})
		p.inside = false
		if err := p.Grow(t.Context(), step("web-1")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %q", err, want)
		}
		p.inside = true // beside the members
		if err := p.Grow(t.Context(), step("web-1")); err == nil || strings.Contains(err.Error(), "publish") {
			t.Errorf("in a container: %v", err)
		}
	}
}
