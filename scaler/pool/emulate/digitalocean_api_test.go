package emulate_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"flyball/scaler/pool/emulate"
)

func TestAListIsAskedForPageByPage(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{DropletLimit: 100}, func(c cloud) {
		for i := range 45 {
			c.do.AddStranger(fmt.Sprintf("web-%d", i), "odd"[:3*(i%2)]+"x")
		}
		for _, k := range []struct{ asked, pages, total int }{{0, 3, 45}, {10, 5, 45}, {45, 1, 45}, {200, 1, 45}, {500, 1, 45}} {
			pages, seen := 0, map[int]bool{}
			for opt := (&godo.ListOptions{PerPage: k.asked}); ; opt.Page++ {
				ms, resp, err := c.c.Droplets.List(context.Background(), opt)
				if err != nil || resp.Meta.Total != k.total {
					c.Fatalf("page %d: %v, %+v", opt.Page, err, resp.Meta)
				}
				pages++
				for _, m := range ms {
					seen[m.ID] = true
				}
				if resp.Links.IsLastPage() {
					break
				}
				if opt.Page, err = resp.Links.CurrentPage(); err != nil {
					c.Fatal(err)
				}
			}
			if pages != k.pages || len(seen) != k.total {
				c.Errorf("%d a page: %d pages have %d Droplets", k.asked, pages, len(seen))
			}
		}
		ms, _, err := c.c.Droplets.ListByTag(context.Background(), "ODDX", &godo.ListOptions{PerPage: 200})
		if err != nil || len(ms) != 22 {
			c.Errorf("of the tag there are %d, %v", len(ms), err)
		}
		if ms, _, err = c.c.Droplets.ListByName(context.Background(), "web-7", nil); err != nil || len(ms) != 1 {
			c.Errorf("of the name there are %d, %v", len(ms), err)
		}
	})
}

func TestTheMinutesLimitSaysHowLongToWaitAndTheHoursDoesNot(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
		ask := func() (*godo.Response, error) {
			_, resp, err := c.c.Account.Get(context.Background())
			return resp, err
		}
		begun := time.Now()
		for i := range 250 {
			resp, err := ask()
			if err != nil || resp.Rate.Limit != 5000 || resp.Rate.Remaining != 4999-i {
				c.Fatalf("request %d: %v, %+v", i, err, resp.Rate)
			}
		}
		resp, err := ask()
		if status(err) != http.StatusTooManyRequests || resp.Header.Get("retry-after") != "60" || resp.Rate.Remaining != 0 {
			c.Fatalf("a burst is answered %v, %v", err, resp.Header)
		}
		for range 19 {
			time.Sleep(time.Minute)
			for range 250 {
				if _, err := ask(); err != nil {
					c.Fatal(err)
				}
			}
		}
		time.Sleep(time.Minute)
		resp, err = ask()
		if status(err) != http.StatusTooManyRequests || resp.Header.Get("retry-after") != "" || resp.Rate.Reset.Sub(begun).Round(time.Second) != time.Hour {
			c.Fatalf("a spent hour is answered %v, %v", err, resp.Header)
		}
		if other := client(c.T, c.do, "another"); other != nil {
			if _, _, err := other.Account.Get(context.Background()); err != nil {
				c.Fatalf("another token is held back too: %v", err)
			}
		}
		time.Sleep(time.Until(resp.Rate.Reset.Time))
		if _, err := ask(); err != nil {
			c.Fatalf("after the hour: %v", err)
		}
	})
}

func TestTheListOfKeysIsLimitedByItself(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
		for i := range 11 {
			_, _, err := c.c.Keys.List(context.Background(), nil)
			if (i < 10) != (err == nil) {
				c.Fatalf("list %d: %v", i, err)
			}
		}
		if _, _, err := c.c.Sizes.List(context.Background(), nil); err != nil {
			c.Fatal(err)
		}
	})
}

func TestARequestWithoutATokenThatIsAcceptedIsRefused(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{Token: "secret"}, func(c cloud) {
		for token, want := range map[string]int{"": 401, "other": 401, "secret": 0} {
			if _, _, err := client(c.T, c.do, token).Account.Get(context.Background()); status(err) != want {
				c.Errorf("%q: %v", token, err)
			}
		}
	})
}

func TestAWrongCreateIsRefusedWithWhatIsWrong(t *testing.T) {
	for _, k := range []struct {
		name, says string
		make       func(q *godo.DropletCreateRequest, c cloud)
	}{
		{"name", "hostname", func(q *godo.DropletCreateRequest, _ cloud) { q.Name = "web_1" }},
		{"no name", "hostname", func(q *godo.DropletCreateRequest, _ cloud) { q.Name = "" }},
		{"region", "invalid region", func(q *godo.DropletCreateRequest, _ cloud) { q.Region = "mars1" }},
		{"size", "invalid size", func(q *godo.DropletCreateRequest, _ cloud) { q.Size = "huge" }},
		{"sold out", "not available in this region", func(q *godo.DropletCreateRequest, c cloud) { c.do.SellOut(q.Size, q.Region) }},
		{"image", "invalid image", func(q *godo.DropletCreateRequest, c cloud) { c.do.RemoveImage("ubuntu-24-04-x64") }},
		{"image elsewhere", "image you specified is not available", func(q *godo.DropletCreateRequest, c cloud) {
			q.Image = godo.DropletCreateImage{ID: c.do.AddImage("web", "nyc1")}
		}},
		{"key", "invalid key", func(q *godo.DropletCreateRequest, _ cloud) { q.SSHKeys = []godo.DropletCreateSSHKey{{ID: 7}} }},
		{"network elsewhere", "VPC", func(q *godo.DropletCreateRequest, c cloud) { q.VPCUUID = c.do.AddVPC("nyc1") }},
		{"user data", "64 KiB", func(q *godo.DropletCreateRequest, _ cloud) { q.UserData = strings.Repeat("x", 64<<10+1) }},
		{"tag", "Tags may only", func(q *godo.DropletCreateRequest, _ cloud) { q.Tags = []string{"a b"} }},
		{"limit", "will exceed your droplet limit", func(_ *godo.DropletCreateRequest, c cloud) { c.do.SetDropletLimit(0) }},
	} {
		t.Run(k.name, func(t *testing.T) {
			inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
				q := web("web-1")
				k.make(q, c)
				_, _, err := c.c.Droplets.Create(context.Background(), q)
				if status(err) != http.StatusUnprocessableEntity || !strings.Contains(err.Error(), k.says) {
					c.Errorf("it answers %v", err)
				}
				if e, ok := err.(*godo.ErrorResponse); !ok || e.RequestID == "" {
					c.Error("the error has no request_id")
				}
				if n := len(c.do.Droplets()); n != 0 {
					c.Errorf("there are %d Droplets", n)
				}
			})
		})
	}
}

func TestElevenNamesAreTooMany(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
		q := &godo.DropletMultiCreateRequest{Region: "nyc", Size: "c-2", Image: godo.DropletCreateImage{Slug: "debian-12-x64"}}
		for i := range 11 {
			q.Names = append(q.Names, fmt.Sprintf("web-%d", i))
		}
		if _, _, err := c.c.Droplets.CreateMultiple(context.Background(), q); status(err) != http.StatusUnprocessableEntity {
			c.Fatalf("eleven: %v", err)
		}
		q.Names = q.Names[:10]
		c.do.SellOut("c-2", "nyc1")
		ms, _, err := c.c.Droplets.CreateMultiple(context.Background(), q)
		if err != nil || len(ms) != 10 || ms[0].Region.Slug != "nyc3" {
			c.Fatalf("ten, where nyc1 is sold out: %v, %v", ms, err)
		}
		c.do.Restock("c-2", "nyc1")
		if m, _, err := c.c.Droplets.Create(context.Background(), &godo.DropletCreateRequest{Name: "x", Region: "nyc", Size: "c-2", Image: q.Image}); err != nil || m.Region.Slug != "nyc1" {
			c.Fatalf("when it is back: %v, %v", m, err)
		}
	})
}

func TestTheCatalogueIsThere(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
		ctx := context.Background()
		id, print := c.do.AddKey("ops")
		snapshot, net := c.do.AddImage("web", "fra1"), c.do.AddVPC("fra1")
		a, _, err := c.c.Account.Get(ctx)
		if err != nil || a.DropletLimit != 25 {
			c.Errorf("account: %+v, %v", a, err)
		}
		sizes, _, err := c.c.Sizes.List(ctx, nil)
		if err != nil || len(sizes) != 6 || sizes[1].PriceHourly != 0.00893 || !sizes[1].Available {
			c.Errorf("sizes: %v, %v", sizes, err)
		}
		regions, _, err := c.c.Regions.List(ctx, nil)
		if err != nil || len(regions) != 5 || len(regions[0].Sizes) != 6 {
			c.Errorf("regions: %v, %v", regions, err)
		}
		own, _, err := c.c.Images.ListUser(ctx, nil)
		if err != nil || len(own) != 1 || own[0].ID != snapshot {
			c.Errorf("own images: %v, %v", own, err)
		}
		i, _, err := c.c.Images.GetByID(ctx, snapshot)
		if err != nil || i.Regions[0] != "fra1" {
			c.Errorf("image: %v, %v", i, err)
		}
		if i, _, err = c.c.Images.GetBySlug(ctx, "debian-12-x64"); err != nil || !i.Public {
			c.Errorf("public image: %v, %v", i, err)
		}
		k, _, err := c.c.Keys.GetByFingerprint(ctx, print)
		if err != nil || k.ID != id {
			c.Errorf("key: %v, %v", k, err)
		}
		v, _, err := c.c.VPCs.Get(ctx, net)
		if err != nil || v.RegionSlug != "fra1" {
			c.Errorf("network: %v, %v", v, err)
		}
		q := web("web-1")
		q.VPCUUID, q.Image, q.SSHKeys = net, godo.DropletCreateImage{ID: snapshot}, []godo.DropletCreateSSHKey{{ID: id}, {Fingerprint: print}}
		if m, _, err := c.c.Droplets.Create(ctx, q); err != nil || m.Image.ID != snapshot || m.VPCUUID != net {
			c.Errorf("a Droplet of it: %v, %v", m, err)
		}
	})
}

func TestATagIsPutOnAndTakenOffAndKeepsHowItWasWritten(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
		ctx := context.Background()
		id := c.do.AddStranger("db", "Keep")
		if _, err := c.c.Tags.TagResources(ctx, "lb", tagged(id)); status(err) != http.StatusNotFound {
			c.Fatalf("a tag that there is not: %v", err)
		}
		if _, _, err := c.c.Tags.Create(ctx, &godo.TagCreateRequest{Name: "LB"}); err != nil {
			c.Fatal(err)
		}
		if _, err := c.c.Tags.TagResources(ctx, "lb", tagged(id, 7)); status(err) != http.StatusNotFound || len(c.get(id).Tags) != 1 {
			c.Fatalf("a Droplet that there is not: %v, %v", err, c.get(id).Tags)
		}
		if _, err := c.c.Tags.TagResources(ctx, "lb", tagged(id)); err != nil || strings.Join(c.get(id).Tags, " ") != "Keep LB" {
			c.Fatalf("tagged: %v, %v", c.get(id).Tags, err)
		}
		tag, _, err := c.c.Tags.Get(ctx, "LB")
		if err != nil || tag.Resources.Droplets.Count != 1 {
			c.Fatalf("the tag: %+v, %v", tag, err)
		}
		off := &godo.UntagResourcesRequest{Resources: tagged(id).Resources}
		if _, err := c.c.Tags.UntagResources(ctx, "lb", off); err != nil || len(c.get(id).Tags) != 1 {
			c.Fatalf("untagged: %v, %v", c.get(id).Tags, err)
		}
		if _, err := c.c.Tags.Delete(ctx, "keep"); err != nil || len(c.get(id).Tags) != 0 {
			c.Fatalf("deleted: %v, %v", c.get(id).Tags, err)
		}
		if tags, _, err := c.c.Tags.List(ctx, nil); err != nil || len(tags) != 1 {
			c.Fatalf("the tags: %v, %v", tags, err)
		}
	})
}

// tagged names Droplets to a tag.
func tagged(ids ...int) *godo.TagResourcesRequest {
	q := &godo.TagResourcesRequest{}
	for _, id := range ids {
		q.Resources = append(q.Resources, godo.Resource{ID: fmt.Sprint(id), Type: godo.DropletResourceType})
	}
	return q
}
