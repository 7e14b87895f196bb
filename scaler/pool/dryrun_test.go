package pool

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flyball/scaler/pool/emulate"
	"flyball/scaler/pool/pooltest"
)

func TestADryRunEndsNobodyWhomAnotherProgramAskedToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := emulate.NewWorld(emulate.Options{})
		do := emulate.NewDigitalOcean(w, emulate.DigitalOceanOptions{})
		do.AddStranger("web-1", "flyball", "flyball-web")
		do.AddStranger("web-2", "flyball", "flyball-web", "flyball-leaving")
		c := droplets(tokenFile(t))
		c.DryRun = true
		p, err := New("web", c, Env{DataDir: t.TempDir(), Transport: do.Transport()})
		if err != nil {
			t.Fatal(err)
		}
		p.ready.ask = func(context.Context, string) error { return nil }
		for range 300 {
			if ms := pooltest.Look(t, p.Unit().Pool); len(ms) != 2 {
				t.Fatalf("members are %+v, want two", ms)
			}
			time.Sleep(time.Second) // of the bubble
		}
		for _, r := range w.Requests() {
			if r.Method != http.MethodGet {
				t.Errorf("a dry run asks for %s %s", r.Method, r.URL)
			}
		}
		within, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := p.Sweep(within); err != nil || strings.Contains(states(do), "web-") {
			t.Errorf("after a sweep, which is no decision of the rules, there are %s, %v", states(do), err)
		}
	})
}

// states are the Droplets that are not being deleted.
func states(do *emulate.DigitalOcean) string {
	var out []string
	for _, d := range do.Droplets() {
		if !d.Ending {
			out = append(out, d.Name+" "+d.Status)
		}
	}
	return strings.Join(out, ", ")
}
