package emulate

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A Droplet is what is true of one, whatever lists say.
type Droplet struct {
	ID      int
	Name    string
	Status  string // new, active, off
	Tags    []string
	Addr    netip.Addr // not valid before it was up
	Born    time.Time
	Region  string
	Size    string
	Image   string // slug, or number
	Ending  bool   // its deletion was accepted
	Serving bool   // its program answers, as far as the world knows
}

// Droplets are those that there are, by their numbers, those being deleted included.
func (d *DigitalOcean) Droplets() []Droplet {
	d.w.hold()
	defer d.w.mu.Unlock()
	var out []Droplet
	for _, m := range d.present() {
		img := m.image.Slug
		if img == "" {
			img = fmt.Sprint(m.image.ID)
		}
		tags := []string{}
		for low := range m.tags {
			tags = append(tags, d.tags[low])
		}
		slices.Sort(tags)
		out = append(out, Droplet{
			ID: m.id, Name: m.name, Status: m.status(), Tags: tags, Addr: m.addr, Born: m.born,
			Region: m.region.Slug, Size: m.size.Slug, Image: img, Ending: m.ending != "", Serving: m.serving(),
		})
	}
	return out
}

// What follows is the human at the console, who asks nobody, and whom no fault befalls
// but those of the machines. Each says whether there is such a Droplet; of several of a
// name, the oldest.

// Kill ends the program in a Droplet; it stays active.
func (d *DigitalOcean) Kill(name string) bool {
	return d.byName(name, func(m *droplet) { d.w.kill(m.machine) })
}

// PowerOff turns a Droplet off at once.
func (d *DigitalOcean) PowerOff(name string) bool {
	return d.byName(name, func(m *droplet) { d.w.halt(m.machine) })
}

// Destroy deletes a Droplet.
func (d *DigitalOcean) Destroy(name string) bool { return d.byName(name, d.delete) }

// Tag puts a tag on a Droplet.
func (d *DigitalOcean) Tag(name, tag string) bool {
	return d.byName(name, func(m *droplet) { m.tags[d.tag(tag)] = d.w.at })
}

// Untag takes a tag off a Droplet.
func (d *DigitalOcean) Untag(name, tag string) bool {
	return d.byName(name, func(m *droplet) { delete(m.tags, strings.ToLower(tag)) })
}

func (d *DigitalOcean) byName(name string, do func(*droplet)) bool {
	d.w.hold()
	defer d.w.mu.Unlock()
	for _, m := range d.present() {
		if m.name == name && m.ending == "" {
			do(m)
			return true
		}
	}
	return false
}

// AddStranger makes a Droplet of the smallest size, in the first region, that runs, and
// returns its number.
func (d *DigitalOcean) AddStranger(name string, tags ...string) int {
	d.w.hold()
	defer d.w.mu.Unlock()
	m := d.create(name, template{region: d.regions[0], size: d.sizes[0], image: d.images[0], tags: tags})
	for low := range m.tags {
		m.tags[low] = d.w.at
	}
	if !m.failed {
		d.w.up(m.machine)
		d.settleAction(m.event)
	}
	return m.id
}

// AddImage makes a snapshot that is in the regions given, or in all, and returns its number.
func (d *DigitalOcean) AddImage(name string, regions ...string) int {
	d.w.hold()
	defer d.w.mu.Unlock()
	if len(regions) == 0 {
		regions = slices.Clone(d.images[0].Regions)
	}
	i := &image{
		ID: d.id(), Name: name, Type: "snapshot", Distribution: "Ubuntu", Regions: regions,
		MinDiskSize: 10, Created: written(d.w.at), Status: "available",
	}
	d.images = append(d.images, i)
	return i.ID
}

// RemoveImage deletes an image by its number or slug. Droplets of it stay.
func (d *DigitalOcean) RemoveImage(name string) {
	d.w.hold()
	defer d.w.mu.Unlock()
	gone := d.image(name)
	d.images = slices.DeleteFunc(d.images, func(i *image) bool { return i == gone })
}

// AddKey makes an SSH key and returns its number and fingerprint.
func (d *DigitalOcean) AddKey(name string) (int, string) {
	d.w.hold()
	defer d.w.mu.Unlock()
	k := d.addKey(name, "ssh-ed25519 AAAA "+name)
	return k.ID, k.Fingerprint
}

// AddVPC makes a network in a region and returns its UUID.
func (d *DigitalOcean) AddVPC(region string) string {
	d.w.hold()
	defer d.w.mu.Unlock()
	v := &vpc{ID: d.uuid(), Name: "vpc-" + region, Range: "10.0.0.0/8", Region: region, Created: written(d.w.at)}
	v.URN = "do:vpc:" + v.ID
	d.vpcs = append(d.vpcs, v)
	return v.ID
}

// SellOut takes a size off a region's shelf. An empty region is all of them.
func (d *DigitalOcean) SellOut(size, region string) {
	d.w.hold()
	defer d.w.mu.Unlock()
	sold := d.size(size)
	if sold == nil {
		return
	}
	sold.Regions = slices.DeleteFunc(sold.Regions, func(r string) bool { return region == "" || r == region })
	for _, r := range d.regions {
		if region == "" || r.Slug == region {
			r.Sizes = slices.DeleteFunc(r.Sizes, func(s string) bool { return s == size })
		}
	}
}

// Restock puts it back.
func (d *DigitalOcean) Restock(size, region string) {
	d.SellOut(size, region)
	d.w.hold()
	defer d.w.mu.Unlock()
	for _, r := range d.regions {
		if s := d.size(size); s != nil && (region == "" || r.Slug == region) {
			s.Regions, r.Sizes = append(s.Regions, r.Slug), append(r.Sizes, size)
		}
	}
}

// SetDropletLimit changes how many Droplets the account may have.
func (d *DigitalOcean) SetDropletLimit(n int) {
	d.w.hold()
	defer d.w.mu.Unlock()
	d.o.DropletLimit = n
}
