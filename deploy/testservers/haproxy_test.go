package testservers

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const webConfig = `
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 2s
frontend web
    bind 127.0.0.1:{{port "web"}}
    http-request return status 200 content-type text/plain string "%s"
`

// page fetches a page on a connection of its own.
func page(h *HAProxy, name string) (string, error) {
	c := http.Client{Timeout: 300 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get("http://" + h.Addr(name))
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return string(body), err
}

func TestHAProxyServesReloadsAndLeavesNothing(t *testing.T) {
	var dir string
	t.Run("life", func(t *testing.T) {
		h := StartHAProxy(t, fmt.Sprintf(webConfig, "first"))
		dir = h.Dir()
		want := func(what, body string) {
			t.Helper()
			if got, err := page(h, "web"); err != nil || got != body {
				t.Errorf("%s: %q, %v, want %q", what, got, err, body)
			}
		}
		want("started", "first")
		h.Reconfigure(t, fmt.Sprintf(webConfig, "second"))
		want("reloaded", "second")
		h.Freeze(t)
		if got, err := page(h, "web"); err == nil {
			t.Errorf("frozen, it answered %q", got)
		}
		h.Thaw(t)
		want("thawed", "second")
		h.Kill(t)
		if ps := belonging(dir); len(ps) > 0 || answers(h.Addr("web")) {
			t.Errorf("killed, there are %v", ps)
		}
		h.Restart(t)
		want("restarted", "second")
		if got := h.Runtime(t, "show version"); !strings.HasPrefix(got, "2.") && !strings.HasPrefix(got, "3.") {
			t.Errorf("its version is %q", got)
		}
	})
	gone(t, dir)
}

func TestNoRequestFailsWhileHAProxyReloads(t *testing.T) {
	h := StartHAProxy(t, fmt.Sprintf(webConfig, "same"))
	stop, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(failed)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := page(h, "web"); err != nil {
				failed <- err
				return
			}
		}
	}()
	for range 3 {
		h.Reload(t)
	}
	close(stop)
	if err := <-failed; err != nil {
		t.Error(err)
	}
}

func TestABadConfigurationOfHAProxyIsToldAndTheOldOneServesOn(t *testing.T) {
	h := StartHAProxy(t, fmt.Sprintf(webConfig, "good"))
	if err := h.configure(t.Context(), "frontend web\n    bend 127.0.0.1:1\n"); err == nil || !strings.Contains(err.Error(), "bend") {
		t.Errorf("the error is %v", err)
	}
	if err := h.reload(t.Context()); err == nil {
		t.Error("it reloaded a bad configuration")
	}
	if got, err := page(h, "web"); err != nil || got != "good" {
		t.Errorf("%q, %v", got, err)
	}
}
