package digitalocean

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/digitalocean/godo"
)

// droplets looks at what plain Droplets are made of, and who bears their tags.
func (c *checkup) droplets(ctx context.Context, p *droplets, limit int) {
	c.offers(ctx, p.spec.Regions, p.spec.Sizes)
	c.image(ctx, p.spec.Image, p.spec.Regions, p.spec.Sizes)
	c.keys(ctx, p.spec.SSHKeys)
	c.vpc(ctx, p.spec.VPC, p.spec.Regions)
	if userData, _, err := p.template.get(p.spec.Image); err != nil {
		c.wrong("user data", "write a file that is there and no longer than that", "%s", err)
	} else if p.spec.UserDataFile != "" {
		c.ok("user data", "%d of %d bytes", len(userData), mostUserData)
	}
	all, _, err := c.account.fleet.droplets(ctx, false)
	if !c.failed("Droplets", "droplet:read", err) {
		c.limit(limit, len(all), c.strangers(p, all))
	}
	if p.spec.TrafficTag != "" {
		c.balancers(ctx, []string{p.spec.TrafficTag}, p.spec.Regions)
	}
}

// image looks whether members can be made of the image in all regions and sizes.
func (c *checkup) image(ctx context.Context, name string, regions, sizes []string) {
	ref, err := c.account.image(ctx, name, regions)
	if c.failed("image", "image:read", err) {
		return
	}
	var img *godo.Image
	if ref.ID != 0 {
		img, _, err = c.account.read.Images.GetByID(ctx, ref.ID)
	} else {
		img, _, err = c.account.read.Images.GetBySlug(ctx, ref.Slug)
	}
	if isMissing(err) {
		c.wrong("image", "copy a slug or number from doctl compute image list, or a snapshot's name", "%s is not there: it is no slug, and no image of the account's has that name or number", name)
		return
	}
	if c.failed("image", "image:read", err) {
		return
	}
	if img.Status != "" && img.Status != "available" {
		c.wrong("image", "wait until it is available, or name another one", "%s is %s %s", name, img.Status, img.ErrorMessage)
		return
	}
	missing := slices.DeleteFunc(slices.Clone(regions), func(name string) bool {
		return slices.ContainsFunc(img.Regions, func(slug string) bool { return standsFor(name, slug) })
	})
	for _, r := range missing {
		c.wrong("image", fmt.Sprintf("bring it there: doctl compute image-action transfer %d --region %s", img.ID, r), "%s (%d) is not in %s", name, img.ID, r)
	}
	if len(missing) == 0 && c.fits(ctx, name, img, sizes) {
		c.ok("image", "%s (%d) is in %s", name, img.ID, strings.Join(regions, ", "))
	}
}

// fits looks whether the disks of the sizes hold the image.
func (c *checkup) fits(ctx context.Context, name string, img *godo.Image, sizes []string) bool {
	all, err := listed(ctx, c.account.read.Sizes.List)
	if err != nil {
		return true // was said when the sizes were looked at
	}
	ok := true
	for _, s := range all {
		if slices.Contains(sizes, s.Slug) && s.Disk < img.MinDiskSize {
			c.wrong("image", fmt.Sprintf("write a size whose disk has %d GB at least", img.MinDiskSize), "%s needs a disk of %d GB, and %s has %d", name, img.MinDiskSize, s.Slug, s.Disk)
			ok = false
		}
	}
	return ok
}

// keys looks whether the SSH keys are there, one by one: their list may be asked for
// only ten times a minute.
func (c *checkup) keys(ctx context.Context, keys []string) {
	good := 0
	for _, k := range keys {
		var err error
		if id, bad := strconv.Atoi(k); bad == nil {
			_, _, err = c.account.read.Keys.GetByID(ctx, id)
		} else {
			_, _, err = c.account.read.Keys.GetByFingerprint(ctx, k)
		}
		switch {
		case isMissing(err):
			c.wrong("SSH key", "copy one from doctl compute ssh-key list, or leave it out", "%s is not in the account", k)
		case !c.failed("SSH key", "ssh_key:read", err):
			good++
		}
	}
	if good > 0 && good == len(keys) {
		c.ok("SSH keys", "all %d are in the account", good)
	}
}

// vpc looks whether the members' network is where the members are.
func (c *checkup) vpc(ctx context.Context, id string, regions []string) {
	if id == "" {
		return
	}
	v, _, err := c.account.read.VPCs.Get(ctx, id)
	if isMissing(err) {
		c.wrong("VPC", "copy its UUID from doctl vpcs list, or leave vpc out", "%s is not there", id)
		return
	}
	if c.failed("VPC", "vpc:read", err) {
		return
	}
	for _, r := range regions {
		if !standsFor(r, v.RegionSlug) {
			c.wrong("VPC", "name a VPC of that region, or leave vpc out", "%s lies in %s, and members are made in %s", v.Name, v.RegionSlug, r)
			return
		}
	}
	c.ok("VPC", "%s lies in %s", v.Name, v.RegionSlug)
}

// strangers counts the pool's members among all Droplets, and names those that bear
// the pool's tag and are none, or may be those of another Flyball.
func (c *checkup) strangers(p *droplets, all []godo.Droplet) (own int) {
	var strangers, elsewhere []string
	for _, d := range all {
		switch {
		case !bears(d, p.spec.Tag):
		case !bears(d, markTag) || !numbered(p.name, d.Name):
			strangers = append(strangers, fmt.Sprintf("%s (%d)", d.Name, d.ID))
		default:
			own++
			if d.Region != nil && !slices.ContainsFunc(p.spec.Regions, func(r string) bool { return standsFor(r, d.Region.Slug) }) {
				elsewhere = append(elsewhere, fmt.Sprintf("%s (%d) in %s", d.Name, d.ID, d.Region.Slug))
			}
		}
	}
	slices.Sort(strangers)
	slices.Sort(elsewhere)
	if len(strangers) > 0 {
		c.wrong("tag", fmt.Sprintf("take the tag from them, or write another tag; a Droplet is a member if it bears the tag %s, too, and is called %s and a number", markTag, p.name+"-"),
			"%s is borne by Droplets that are no members and are left alone: %s", p.spec.Tag, strings.Join(strangers, ", "))
	}
	if len(elsewhere) > 0 {
		c.wrong("tag", "write another tag if another Flyball of this account has a pool of this name, or each ends the other's members; if the pool had members there before, end them or write the region",
			"%s is borne by members outside the pool's regions, which may be those of another Flyball: %s", p.spec.Tag, strings.Join(elsewhere, ", "))
	}
	if len(strangers)+len(elsewhere) == 0 {
		c.ok("tag", "%s is borne by %d members and nobody else", p.spec.Tag, own)
	}
	return own
}

// balancers looks whether some load balancer sends requests to those who bear a tag,
// and says how long a drain has to be with it: as long as it takes it to find out that
// a member is gone, which it does not always learn from the tag in time.
func (c *checkup) balancers(ctx context.Context, tags, regions []string) {
	all, err := listed(ctx, c.account.read.LoadBalancers.List)
	if c.failed("load balancer", "load_balancer:read", err) {
		return
	}
	served := map[string]bool{}
	found := false
	for _, b := range all {
		if b.Tag == "" || !slices.ContainsFunc(tags, func(t string) bool { return strings.EqualFold(t, b.Tag) }) {
			continue
		}
		found = true
		for _, r := range regions {
			served[r] = served[r] || b.Region != nil && standsFor(r, b.Region.Slug)
		}
		c.balancer(b)
	}
	if !found {
		c.wrong("load balancer", "make one that chooses its Droplets by this tag, or leave traffic_tag out", "none uses the tag %s: no member gets requests by it", strings.Join(tags, ", "))
		return
	}
	for _, r := range regions {
		if !served[r] {
			c.wrong("load balancer", "make one there with the same tag, or leave the region out", "none uses the tag %s in %s: members there get no requests", strings.Join(tags, ", "), r)
		}
	}
}

// balancer says how one is set.
func (c *checkup) balancer(b godo.LoadBalancer) {
	if b.Status != "" && b.Status != "active" {
		c.wrong("load balancer", "wait until it is active, or see to it in the control panel", "%s is %s", b.Name, b.Status)
		return
	}
	h := b.HealthCheck
	if h == nil || h.CheckIntervalSeconds < 1 || h.UnhealthyThreshold < 1 {
		c.wrong("load balancer", "give it one in the control panel", "%s has no health check: it sends requests to members that do not answer", b.Name)
		return
	}
	second := func(n int) time.Duration { return time.Duration(n) * time.Second }
	out := second(h.CheckIntervalSeconds * h.UnhealthyThreshold)
	in := second(h.CheckIntervalSeconds * max(h.HealthyThreshold, 1))
	c.ok("load balancer", "%s asks %s port %d %s every %s: a member gets requests %s after it answers, and drain has to be %s at least, for it may take that long to miss one",
		b.Name, h.Protocol, h.Port, h.Path, second(h.CheckIntervalSeconds), in, out)
}
