package testservers

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

//go:embed podman_leave.sh
var podmanLeave string

// Podman is a container engine with a Docker-compatible API. Images, containers
// and its network are its own, apart from those of any other engine. Kill,
// Freeze and the like meet the service that answers at the socket; containers go
// on without it.
type Podman struct {
	*Server
	network string
	subnet  string
	gateway string

	build  sync.Mutex
	images map[string]string // packages by the names of their images
}

// SharedPodman returns the engine that the tests of this process share. Name
// containers after the test, and remove them in its Cleanup.
func SharedPodman(t testing.TB) *Podman {
	t.Helper()
	return share(t, "podman", func(ctx context.Context, g *Group) (*Podman, error) { return g.StartPodman(ctx) })
}

// StartPodman starts an engine.
func (g *Group) StartPodman(ctx context.Context) (*Podman, error) {
	path, err := look("podman", "podman runc netavark aardvark-dns iptables")
	if err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, &Missing{Program: "podman", Reason: "it needs root, for containers that can be reached from the host"}
	}
	s, err := g.place("podman")
	if err != nil {
		return nil, err
	}
	p := &Podman{Server: s, images: map[string]string{}}
	s.leave = p.removeContainers
	s.program = program{
		path:     p.Client(),
		args:     []string{"system", "service", "--time=0", p.Socket()},
		quit:     syscall.SIGTERM,
		patience: time.Minute,
		ready:    p.ping,
	}
	return p, s.launch(ctx, func() error {
		if err := p.settle(path); err != nil {
			return err
		}
		if out, err := p.Command("info").CombinedOutput(); err != nil {
			return &Missing{Program: "podman", Reason: firstLine(out, err)}
		}
		return nil
	})
}

// Socket returns the address of the Docker-compatible API: unix:///path.
func (p *Podman) Socket() string { return "unix://" + p.socket() }

func (p *Podman) socket() string { return filepath.Join(p.dir, "podman.sock") }

// Client returns the path of a script that is podman with the settings of this engine.
func (p *Podman) Client() string { return filepath.Join(p.dir, "podman") }

// Network returns the name of the network that containers join if they are not
// told otherwise. Their addresses in it can be reached from the host, and they
// find each other by name.
func (p *Podman) Network() string { return p.network }

// Gateway returns the address of this machine in Network. It is there while a
// container runs.
func (p *Podman) Gateway() string { return p.gateway }

// Subnet returns the addresses of Network: 10.x.y.0/24.
func (p *Podman) Subnet() string { return p.subnet }

// Command prepares the command podman with the settings of this engine.
func (p *Podman) Command(args ...string) *exec.Cmd {
	cmd := p.group.command(context.Background(), p.dir, p.Client(), args...)
	cmd.Dir = "" // paths are the caller's
	return cmd
}

// Run is Command for those who want its output, and the test to fail without it.
func (p *Podman) Run(t testing.TB, args ...string) string {
	t.Helper()
	var stderr strings.Builder
	cmd := p.Command(args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("podman %s: %v: %s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// Address returns the address of a running container in Network.
func (p *Podman) Address(t testing.TB, container string) string {
	t.Helper()
	return p.Run(t, "inspect", "--format", fmt.Sprintf("{{(index .NetworkSettings.Networks %q).IPAddress}}", p.network), container)
}

// Image builds the Go program in package pkg, without C, as an image that holds
// nothing else, and returns the image's name: localhost/<name>:test. The program
// is its entry point. An image is built once.
func (p *Podman) Image(t testing.TB, name, pkg string) string {
	t.Helper()
	image := "localhost/" + name + ":test"
	p.build.Lock()
	defer p.build.Unlock()
	switch p.images[name] {
	case pkg:
		return image
	case "":
	default:
		t.Fatalf("build image %s of %s: it is the image of %s", image, pkg, p.images[name])
	}
	dir := filepath.Join(p.dir, "image-"+name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatalf("build image %s: %v", image, err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", filepath.Join(dir, "program"), pkg)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build image %s: %v: %s", image, err, out)
	}
	file := filepath.Join(dir, "Containerfile")
	if err := os.WriteFile(file, []byte("FROM scratch\nCOPY program /program\nENTRYPOINT [\"/program\"]\n"), 0o644); err != nil {
		t.Fatalf("build image %s: %v", image, err)
	}
	p.Run(t, "build", "--quiet", "--format", "docker", "-t", image, dir)
	p.images[name] = pkg
	return image
}

// ping asks the API whether it serves.
func (p *Podman) ping(ctx context.Context) error {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", p.socket())
		},
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://podman/_ping", nil)
	if err != nil {
		return err
	}
	r, err := transport.RoundTrip(q)
	if err != nil {
		return fmt.Errorf("ask %s: %w", p.name, err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || string(body) != "OK" {
		return fmt.Errorf("ask %s: it answers %q: %w", p.name, body, err)
	}
	return nil
}

// removeContainers removes all containers and what they have outside of the
// engine's directory.
func (p *Podman) removeContainers() error {
	if _, err := os.Stat(filepath.Join(p.dir, "leave.sh")); err != nil {
		return nil // it was never settled
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if out, err := p.group.command(ctx, p.dir, "/bin/sh", "leave.sh").CombinedOutput(); err != nil {
		return fmt.Errorf("remove the containers of %s: %w: %s", p.name, err, out)
	}
	return nil
}

// networkID returns the id of a network, which podman wants to be a SHA-256.
func networkID(name string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(name))) }

// networkFile describes the network as podman keeps it.
func (p *Podman) networkFile(bridge, gateway string) ([]byte, error) {
	type subnet struct {
		Subnet  string `json:"subnet"`
		Gateway string `json:"gateway"`
	}
	return json.Marshal(struct {
		Name      string            `json:"name"`
		ID        string            `json:"id"`
		Driver    string            `json:"driver"`
		Interface string            `json:"network_interface"`
		Created   time.Time         `json:"created"`
		Subnets   []subnet          `json:"subnets"`
		DNS       bool              `json:"dns_enabled"`
		IPAM      map[string]string `json:"ipam_options"`
	}{
		p.network, networkID(p.network), "bridge", bridge, time.Now(),
		[]subnet{{p.subnet, gateway}},
		true,
		map[string]string{"driver": "host-local"},
	})
}
