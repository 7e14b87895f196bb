package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"flyball/scaler/pool/emulate"
)

// loopback is machines that all answer at the same place.
type loopback struct{}

func (loopback) Boot(string, string) (netip.Addr, error) {
	return netip.MustParseAddr("127.0.0.1"), nil
}
func (loopback) Shutdown(string) {}
func (loopback) Halt(string)     {}

// served is an emulated cloud on a socket, and a trial of it.
func served(t *testing.T, cloud string) (*emulate.World, options) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	w := emulate.NewWorld(emulate.Options{Machines: loopback{}, BootMin: 10 * time.Millisecond, BootMax: 20 * time.Millisecond})
	dir := t.TempDir()
	o := options{
		cloud: cloud, dir: dir, report: filepath.Join(dir, "live.json"), pace: 50 * time.Millisecond,
		port: l.Addr().(*net.TCPAddr).Port, region: "fra1", size: "s-1vcpu-512mb-10gb", image: "ubuntu-24-04-x64",
	}
	var api http.Handler
	if cloud == "gce" {
		c := emulate.NewCompute(w, emulate.ComputeOptions{})
		api = c
		o.project, o.zone, o.group, o.price, o.address = "emulated", "us-central1-a", "web", 0.01, "internal"
		o.credentialsFile = filepath.Join(dir, "key")
		defer func() {
			if err := c.WriteCredentials(o.credentialsFile, o.endpoint); err != nil {
				t.Error(err)
			}
		}()
	} else {
		api = emulate.NewDigitalOcean(w, emulate.DigitalOceanOptions{})
		o.tokenFile = filepath.Join(dir, "token")
		if err := os.WriteFile(o.tokenFile, []byte("any"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := httptest.NewServer(api)
	t.Cleanup(s.Close)
	o.endpoint = s.URL
	return w, o
}

func reported(t *testing.T, o options) report {
	t.Helper()
	raw, err := os.ReadFile(o.report)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestATrialMakesDrainsAndEndsMembers(t *testing.T) {
	for _, cloud := range []string{"digitalocean", "gce"} {
		t.Run(cloud, func(t *testing.T) {
			t.Parallel()
			_, o := served(t, cloud)
			err := run(t.Context(), o, slog.New(slog.DiscardHandler))
			r := reported(t, o)
			if err != nil || !r.OK || len(r.Steps) != 7 || len(r.Left) != 0 || r.Money == "" {
				t.Errorf("%v; report %+v", err, r)
			}
		})
	}
}

func TestATrialThatFailsEndsWhatItMade(t *testing.T) {
	t.Parallel()
	w, o := served(t, "digitalocean")
	w.Plant(emulate.Fault{Name: "never_ready"})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := run(ctx, o, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("members that never answer are taken for good")
	}
	if r := reported(t, o); r.OK || r.Error == "" || len(r.Left) != 0 {
		t.Errorf("report %+v", r)
	}
}

func TestATrialTooDearIsNotMade(t *testing.T) {
	t.Parallel()
	_, o := served(t, "gce")
	o.price = 5
	if err := run(t.Context(), o, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("it was made")
	}
	if r := reported(t, o); len(r.Steps) != 1 {
		t.Errorf("steps %+v, want the look before alone", r.Steps)
	}
}

func TestATrialNeedsToKnowWhose(t *testing.T) {
	for _, o := range []options{{cloud: "digitalocean"}, {cloud: "gce"}, {cloud: "other"}} {
		if err := run(t.Context(), o, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%+v was tried", o)
		}
	}
}
