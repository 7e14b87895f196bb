package digitalocean

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"flyball/scaler"
	"flyball/scaler/pool/emulate"
)

func TestASnapshotThatIsMadeAnewUnderItsNameIsAnotherVersion(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		c.do.AddImage("web")
		c.config.Droplets.Image = "web"
		p := c.pool("web")
		old := c.ready(p, "web-1")[0].Version
		_, terms, err := p.Look(t.Context())
		if err != nil || old == "" || terms.Version != old {
			t.Fatalf("the version is %q, and that of the member %q, %v", terms.Version, old, err)
		}
		time.Sleep(time.Hour)
		c.do.AddImage("web")
		began := time.Now()
		c.until("it is another version", func() bool {
			_, terms, err = p.Look(t.Context())
			return err == nil && terms.Version != old
		})
		if took := time.Since(began); took > imageAge+time.Minute {
			t.Errorf("it took %s", took)
		}
		time.Sleep(time.Hour)
		c.do.AddImage("web")
		ms := c.ready(p, "web-2") // sees it first
		if _, terms, err = p.Look(t.Context()); err != nil || ms[0].Version != old || ms[1].Version != terms.Version {
			t.Errorf("members are of %q and %q, the template of %q, %v", ms[0].Version, ms[1].Version, terms.Version, err)
		}
	})
}

func TestTheVersionIsOfAllThatMembersAreMadeOf(t *testing.T) {
	seen := map[string]string{}
	for what, change := range map[string]func(d *Droplets){
		"nothing": func(*Droplets) {}, "image": func(d *Droplets) { d.Image = "12" }, "sizes": func(d *Droplets) { d.Sizes = []string{"s-2vcpu-2gb"} },
		"keys": func(d *Droplets) { d.SSHKeys = []string{"7"} }, "vpc": func(d *Droplets) { d.VPC = "7" }, "monitoring": func(d *Droplets) { d.Monitoring = true },
	} {
		d := Droplets{Image: "11", Sizes: []string{"s-1vcpu-1gb"}}
		change(&d)
		_, v, err := newTemplate(d).get(d.Image)
		if err != nil || seen[v] != "" {
			t.Errorf("with another %s the version is %s, as with another %s, %v", what, v, seen[v], err)
		}
		seen[v] = what
	}
}

func TestASnapshotIsUsedOnceItIsInAllRegions(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		c.config.Droplets.Image, c.config.Droplets.Regions = "web", []string{"fra1", "ams3"}
		whole := c.do.AddImage("web")
		time.Sleep(time.Hour)
		c.do.AddImage("web", "ams3") // on its way to fra1
		c.ready(c.pool("web"), "web-1")
		if d := c.do.Droplets()[0]; d.Image != fmt.Sprint(whole) || d.Region != "fra1" {
			t.Errorf("it is made of %s in %s, want %d in fra1", d.Image, d.Region, whole)
		}
	})
}

func TestAnImageThatIsNotInARegionIsNoLackOfCapacity(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		c.do.AddImage("web", "ams3")
		c.config.Droplets.Image = "web"
		p := c.pool("web")
		for range 2 {
			if err := c.tryGrow(p, "web-1"); err == nil || errors.Is(err, scaler.ErrNoCapacity) || !strings.Contains(err.Error(), "image you specified is not available") {
				t.Errorf("an image that is not there is %v", err)
			}
		}
		c.config.Droplets.Regions = []string{"fra1", "ams3"}
		c.ready(c.pool("web"), "web-2")
		if d := c.do.Droplets()[0]; d.Region != "ams3" {
			t.Errorf("it is made in %s", d.Region)
		}
	})
}
