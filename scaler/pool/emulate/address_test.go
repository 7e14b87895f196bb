package emulate_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"flyball/scaler/pool/emulate"
)

// addresses are those of two machines made under a fault, in each of the clouds.
func addresses(t *testing.T, fault string, programs emulate.Machines) []netip.Addr {
	var out []netip.Addr
	synctest.Test(t, func(t *testing.T) {
		w := emulate.NewWorld(emulate.Options{Machines: programs})
		do := emulate.NewDigitalOcean(w, emulate.DigitalOceanOptions{})
		c := emulate.NewCompute(w, emulate.ComputeOptions{})
		w.Plant(emulate.Fault{Name: fault})
		for _, name := range []string{"web-1", "web-2"} {
			do.AddStranger(name)
			c.AddByHand("web", name)
		}
		time.Sleep(5 * time.Minute)
		for _, m := range do.Droplets() {
			out = append(out, m.Addr)
		}
		for _, m := range c.Instances() {
			out = append(out, m.Addr)
		}
	})
	return out
}

func TestWhereProgramsRunMachinesWithoutOneAreOfThisMachineToo(t *testing.T) {
	for fault, want := range map[string]int{"never_ready": 4, "failed_boot": 2} { // a Droplet that never boots has no address
		seen := map[netip.Addr]bool{}
		for _, a := range addresses(t, fault, &programs{}) {
			if a.IsValid() && (!a.IsLoopback() || a == netip.MustParseAddr("127.0.0.7")) {
				t.Errorf("%s: a machine has the address %s", fault, a)
			}
			seen[a] = true
		}
		if delete(seen, netip.Addr{}); len(seen) != want {
			t.Errorf("%s: %d addresses, want %d: %v", fault, len(seen), want, seen)
		}
	}
	for _, a := range addresses(t, "never_ready", nil) {
		if !netip.MustParsePrefix("10.0.0.0/8").Contains(a) {
			t.Errorf("where no programs run, a machine has the address %s", a)
		}
	}
}
