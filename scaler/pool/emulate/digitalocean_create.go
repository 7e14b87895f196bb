package emulate

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The most that a request to make Droplets may have.
const (
	mostNames    = 10
	mostUserData = 64 << 10 // bytes
)

var (
	dropletName = regexp.MustCompile(`^[a-zA-Z0-9]?[a-z0-9A-Z.\-]*[a-z0-9A-Z]$`)
	tagName     = regexp.MustCompile(`^[a-zA-Z0-9_:\-]{1,255}$`)
)

// creation is what is asked for. An image is a slug or a number, and so is a key.
type creation struct {
	Name     string            `json:"name"`
	Names    []string          `json:"names"`
	Region   string            `json:"region"`
	Size     string            `json:"size"`
	Image    json.RawMessage   `json:"image"`
	Keys     []json.RawMessage `json:"ssh_keys"`
	UserData string            `json:"user_data"`
	Tags     []string          `json:"tags"`
	VPC      string            `json:"vpc_uuid"`
}

// template is what is found for it.
type template struct {
	region   *region
	size     *size
	image    *image
	vpc      string
	tags     []string
	userData string
}

// createDroplets accepts one Droplet, or up to ten of a kind: all or none. That it did
// says nothing about whether they come: their actions do.
func (d *DigitalOcean) createDroplets(rw http.ResponseWriter, r *http.Request) {
	var c creation
	if !d.read(rw, r, &c) {
		return
	}
	names, several := c.Names, len(c.Names) > 0
	if !several {
		names = []string{c.Name}
	}
	t, wrong := d.choose(c, names)
	switch {
	case wrong != "":
	case d.w.befalls("sold_out", subject(r)):
		wrong = soldOut
	case len(d.present())+len(names) > d.o.DropletLimit || d.w.befalls("limit", subject(r)):
		wrong = overLimit
	}
	if wrong != "" {
		d.unprocessable(rw, wrong)
		return
	}
	halve := several && d.w.befalls("half_create", subject(r))
	var made []*droplet
	var links []linkAction
	for i, name := range names {
		m := d.create(name, t)
		if halve && i%2 == 1 {
			m.lose()
		}
		made = append(made, m)
		links = append(links, linkAction{m.event.ID, "create", fmt.Sprintf("%s/v2/actions/%d", origin(r), m.event.ID)})
	}
	d.replyMade(rw, made, several, links)
}

type linkAction struct {
	ID   int    `json:"id"`
	Rel  string `json:"rel"`
	HREF string `json:"href"`
}

func (d *DigitalOcean) replyMade(rw http.ResponseWriter, made []*droplet, several bool, links []linkAction) {
	doc := map[string]any{"links": map[string]any{"actions": links}}
	if !several {
		doc["droplet"] = d.view(made[0])
		reply(rw, http.StatusAccepted, doc)
		return
	}
	var views []*dropletView
	for _, m := range made {
		views = append(views, d.view(m))
	}
	doc["droplets"] = views
	reply(rw, http.StatusAccepted, doc)
}

// create makes a Droplet. It is in lists at once, but its tags come up to 2 s later.
func (d *DigitalOcean) create(name string, t template) *droplet {
	m := &droplet{
		machine: d.w.newMachine(name, t.userData), id: d.id(), vpc: t.vpc,
		region: t.region, size: t.size, image: t.image, tags: map[string]time.Time{}, listed: d.w.at,
	}
	if d.w.befalls("list_lag", name) {
		m.listed = d.w.at.Add(listDelay)
	}
	if d.w.befalls("accepted_then_gone", name) {
		m.lose()
	}
	seen := d.w.at.Add(between(d.w.dice("tags "+name), 0, 2*time.Second))
	for _, tag := range t.tags {
		m.tags[d.tag(tag)] = seen
	}
	d.droplets = append(d.droplets, m)
	d.begin(m, "create")
	return m
}

// lose makes that a Droplet never comes to be, although its making was accepted.
func (m *droplet) lose() {
	m.lost, m.failed, m.boots = true, true, time.Time{}
}

// What is wrong with a request, in DigitalOcean's manner.
const (
	soldOut   = "Size is not available in this region."
	overLimit = "creating this/these droplet(s) will exceed your droplet limit"
)

// choose finds what is asked for, or says what is wrong with it.
func (d *DigitalOcean) choose(c creation, names []string) (template, string) {
	if wrong := wrongNames(names); wrong != "" {
		return template{}, wrong
	}
	t := template{size: d.size(c.Size), image: d.image(text(c.Image)), vpc: c.VPC, tags: c.Tags, userData: c.UserData}
	switch {
	case t.size == nil:
		return t, "You specified an invalid size for Droplet creation."
	case t.image == nil:
		return t, "You specified an invalid image for Droplet creation."
	case len(c.UserData) > mostUserData:
		return t, "User data must be no larger than 64 KiB."
	}
	for _, k := range c.Keys {
		if d.key(text(k)) == nil {
			return t, text(k) + " are invalid key identifiers for Droplet creation."
		}
	}
	for _, tag := range c.Tags {
		if !tagName.MatchString(tag) {
			return t, "Tags may only contain letters, numbers, colons, dashes, and underscores."
		}
	}
	wrong := d.place(&t, c.Region)
	return t, wrong
}

func wrongNames(names []string) string {
	if len(names) > mostNames {
		return fmt.Sprintf("You may create at most %d Droplets at once.", mostNames)
	}
	for _, n := range names {
		if !dropletName.MatchString(n) || len(n) > 255 {
			return "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)"
		}
	}
	return ""
}

// place chooses the first region by its slug, or by the beginning of it as "nyc", that
// has the size and the image. A network is of one region.
func (d *DigitalOcean) place(t *template, slug string) string {
	wrong := "You specified an invalid region for Droplet creation."
	for _, r := range d.regions {
		v := first(d.vpcs, func(v *vpc) bool { return v.ID == t.vpc })
		switch {
		case slug == "" || r.Slug != slug && strings.TrimRight(r.Slug, "0123456789") != slug:
		case !r.Available || !t.size.Available || !slices.Contains(t.size.Regions, r.Slug):
			wrong = soldOut
		case !slices.Contains(t.image.Regions, r.Slug):
			wrong = "The image you specified is not available in the selected region."
		case t.vpc != "" && (v == nil || v.Region != r.Slug):
			wrong = "VPC is not available in the selected region."
		case t.image.MinDiskSize > t.size.Disk:
			return "The image you specified requires a larger disk."
		default:
			t.region = r
			return ""
		}
	}
	return wrong
}

// text reads a slug or a number.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}
