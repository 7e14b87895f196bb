package testservers

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// get returns the body of a page.
func get(url string) (string, error) {
	c := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return string(body), err
}

// engine starts an engine of the test's own.
func engine(t *testing.T) *Podman {
	t.Helper()
	return begin(t, func(ctx context.Context, g *Group) (*Podman, error) { return g.StartPodman(ctx) })
}

func TestPodmanRunsContainersAndLeavesNothing(t *testing.T) {
	var dir, bridge string
	t.Run("life", func(t *testing.T) {
		p := engine(t)
		dir = p.Dir()
		raw, err := os.ReadFile(dir + "/bridge")
		if err != nil {
			t.Fatal(err)
		}
		bridge = string(raw)
		image := p.Image(t, "hello", "./testdata/hello")
		p.Run(t, "run", "-d", "--name", "web", "--hostname", "web-1", image)
		p.Run(t, "run", "-d", "--name", "paused", image)
		url := "http://" + p.Address(t, "web") + ":8080"
		until(t, "the container answers the host", func() bool {
			body, err := get(url)
			return err == nil && body == "hello from web-1"
		})
		p.Run(t, "pause", "paused")

		p.Freeze(t)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if p.ping(ctx) == nil {
			t.Error("a frozen engine answered")
		}
		p.Thaw(t)
		if err := p.ping(t.Context()); err != nil {
			t.Error(err)
		}
		p.Kill(t)
		if _, err := get(url); err != nil {
			t.Errorf("the container went with the engine: %v", err)
		}
		p.Restart(t)
		if states := p.Run(t, "inspect", "--format", "{{.State.Status}}", "web", "paused"); states != "running\npaused" {
			t.Errorf("after the restart they are %q", states)
		}
	})
	gone(t, dir)
	if _, err := os.Stat("/sys/class/net/" + bridge); err == nil {
		t.Errorf("the bridge %s is left", bridge)
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), dir) {
		t.Errorf("mounts are left: %v", err)
	}
}

func TestEnginesDoNotMeet(t *testing.T) {
	one, two := SharedPodman(t), engine(t)
	if one.Subnet() == two.Subnet() || one.Network() == two.Network() {
		t.Errorf("both have %s, %s", one.Network(), one.Subnet())
	}
	one.Image(t, "hello", "./testdata/hello")
	if images := two.Run(t, "images", "-q"); images != "" {
		t.Errorf("the images of one engine are in the other: %s", images)
	}
}
