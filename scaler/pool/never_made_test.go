package pool

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"flyball/rules"
	"flyball/scaler/journal"
	"flyball/scaler/pool/digitalocean"
	"flyball/scaler/pool/emulate"
)

// As the loop has it, with what compares lists around it.
func TestWhatWasNeverMadeIsNoDrift(t *testing.T) {
	for fault, made := range map[string]int{"error_503": 0, "half_create": 2} {
		t.Run(fault, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { growWith(t, fault, made) })
		})
	}
}

func growWith(t *testing.T, fault string, made int) {
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("any"), 0o600); err != nil {
		t.Fatal(err)
	}
	world := emulate.NewWorld(emulate.Options{Seed: 1})
	cloud := emulate.NewDigitalOcean(world, emulate.DigitalOceanOptions{})
	p, err := New("web", Config{DigitalOcean: &digitalocean.Config{
		TokenFile: token, Port: 80, Endpoint: "http://localhost",
		Droplets: &digitalocean.Droplets{Regions: []string{"fra1"}, Sizes: []string{"s-1vcpu-1gb"}, Image: "ubuntu-24-04-x64"},
	}}, Env{DataDir: dir, Transport: cloud.Transport()})
	if err != nil {
		t.Fatal(err)
	}
	hands := p.Unit().Pool
	if _, _, err := hands.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	world.Plant(emulate.Fault{Name: fault, Times: 1, On: "POST /v2/droplets"})
	_ = hands.Grow(t.Context(), journal.Step{ID: "grow", Verb: journal.Grow, Names: []string{"web-1", "web-2", "web-3", "web-4"}, To: 4})
	most, left := 0, 0
	for began := time.Now(); time.Since(began) < 3*time.Minute; time.Sleep(time.Second) {
		ms, terms, err := hands.Look(t.Context())
		if err != nil || terms.Drift != "" {
			t.Fatalf("after %s: %q, %v", time.Since(began), terms.Drift, err)
		}
		left = 0
		for _, m := range ms {
			if m.State != rules.Leaving {
				left++
			}
		}
		most = max(most, left)
	}
	if most != 4 || left != made {
		t.Errorf("%d members are counted, and %d in the end, want 4 and %d", most, left, made)
	}
}
