package digitalocean

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/digitalocean/godo"
)

// The states of a Droplet, as the API has them.
const (
	statusNew     = "new"
	statusActive  = "active"
	statusOff     = "off"
	statusArchive = "archive"
)

// bears reports whether a Droplet has a tag; tags keep their case and are compared
// without it.
func bears(d godo.Droplet, tag string) bool {
	return slices.ContainsFunc(d.Tags, func(t string) bool { return strings.EqualFold(t, tag) })
}

// numbered reports whether a name is the pool's and a number, as members are called.
func numbered(pool, name string) bool {
	rest, ok := strings.CutPrefix(name, pool+"-")
	n, err := strconv.Atoi(rest)
	return ok && err == nil && n >= 0 && strconv.Itoa(n) == rest
}

// versionOf is the template that a Droplet was made by; "" is unknown.
func versionOf(d godo.Droplet) string {
	for _, t := range d.Tags {
		if v, ok := strings.CutPrefix(strings.ToLower(t), versionTag); ok {
			return v
		}
	}
	return ""
}

// addrOf is where a Droplet's service listens; "" if it has no address yet.
func addrOf(d godo.Droplet, kind string, port int) string {
	find := d.PrivateIPv4
	if kind == addressPublic {
		find = d.PublicIPv4
	}
	ip, err := find()
	if err != nil || ip == "" {
		return ""
	}
	return net.JoinHostPort(ip, strconv.Itoa(port))
}

// bornAt is when a Droplet was made; zero if it does not say.
func bornAt(d godo.Droplet) time.Time {
	t, err := time.Parse(time.RFC3339, d.Created)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// isOff reports whether a Droplet does not run, and did before.
func isOff(d godo.Droplet) bool { return d.Status == statusOff || d.Status == statusArchive }

// whereOf names what a Droplet is and where, for people.
func whereOf(d godo.Droplet) string {
	note := "droplet " + strconv.Itoa(d.ID)
	if d.SizeSlug != "" {
		note += ", " + d.SizeSlug
	}
	if d.Region != nil && d.Region.Slug != "" {
		note += " in " + d.Region.Slug
	}
	return note
}
