package emulate

import (
	"net/http"
	"net/netip"
	"slices"
	"time"
)

// How a load balancer sees its Droplets, by DigitalOcean's defaults: asked every 10 s,
// healthy after three answers, unhealthy after five that did not come. A tag that was
// put on or taken off is noticed within 5 s: assumed.
const (
	healthyAfter   = 30 * time.Second
	unhealthyAfter = 50 * time.Second
	mostTagLag     = 5 * time.Second
)

// A balancer sends requests to the Droplets of its tag, or to those it was given.
type balancer struct {
	id, tag string
	region  *region
	born    time.Time
	given   []int // of one without a tag
	behind  map[*droplet]*backend
}

// A backend is a Droplet as a balancer sees it.
type backend struct {
	joins, leaves time.Time // zero: it does not
	healthy       bool
	serving       bool      // as last seen
	since         time.Time // since when
}

// A Backend is what a load balancer does with a Droplet.
type Backend struct {
	ID      int
	Name    string
	Addr    netip.Addr
	Healthy bool // it gets requests, whether it can serve them or not
}

// AddBalancer makes a load balancer in a region for the Droplets of a tag, or without
// one for those that it is given, and returns its UUID; "" if there is no such region.
func (d *DigitalOcean) AddBalancer(region, tag string) string {
	d.w.hold()
	defer d.w.mu.Unlock()
	at := d.region(region)
	if at == nil {
		return ""
	}
	if tag != "" {
		d.tag(tag)
	}
	b := &balancer{id: d.uuid(), tag: tag, region: at, born: d.w.at, behind: map[*droplet]*backend{}}
	d.balancers = append(d.balancers, b)
	return b.id
}

// Backends are the Droplets behind a load balancer, by their numbers.
func (d *DigitalOcean) Backends(id string) []Backend {
	d.w.hold()
	defer d.w.mu.Unlock()
	b := d.balancer(id)
	if b == nil {
		return nil
	}
	var out []Backend
	for m, e := range b.behind {
		if e.joins.IsZero() {
			out = append(out, Backend{m.id, m.name, m.addr, e.healthy})
		}
	}
	slices.SortFunc(out, func(x, y Backend) int { return x.ID - y.ID })
	return out
}

func (d *DigitalOcean) balancer(id string) *balancer {
	return first(d.balancers, func(b *balancer) bool { return b.id == id })
}

// meant says whether a Droplet should be behind a balancer.
func (d *DigitalOcean) meant(b *balancer, m *droplet) bool {
	if b.tag != "" {
		return d.tagged(m, b.tag)
	}
	return slices.Contains(b.given, m.id)
}

// settleBalancers lets balancers notice who came, who left, and who is well. One that
// was deleted while it was attached is noticed by its silence only.
func (d *DigitalOcean) settleBalancers() {
	for _, b := range d.balancers {
		for _, m := range d.droplets {
			if b.behind[m] == nil && m.region == b.region && d.exists(m) && d.meant(b, m) {
				b.behind[m] = &backend{joins: d.tagLag(b, m), since: d.w.at}
			}
		}
		for m, e := range b.behind {
			d.watch(b, m, e)
		}
	}
}

func (d *DigitalOcean) tagLag(b *balancer, m *droplet) time.Time {
	return d.w.at.Add(between(d.w.dice("balancer "+b.id+" "+m.name), 0, mostTagLag))
}

// watch sees how one Droplet is.
func (d *DigitalOcean) watch(b *balancer, m *droplet, e *backend) {
	if d.w.due(e.joins) {
		e.joins, e.since, e.serving = time.Time{}, d.w.at, m.serving()
	}
	switch meant := d.meant(b, m); {
	case meant:
		e.leaves = time.Time{}
	case e.leaves.IsZero():
		e.leaves = d.tagLag(b, m)
	}
	if s := m.serving(); s != e.serving {
		e.serving, e.since = s, d.w.at
	}
	lasts := d.w.at.Sub(e.since)
	switch {
	case !e.joins.IsZero():
	case e.serving && lasts >= healthyAfter:
		e.healthy = true
	case !e.serving && lasts >= unhealthyAfter:
		e.healthy = false
	}
	if d.w.due(e.leaves) || !d.exists(m) && !e.healthy {
		delete(b.behind, m)
	}
}

func (d *DigitalOcean) routeBalancers(mux *http.ServeMux) {
	mux.HandleFunc("GET /v2/load_balancers", func(rw http.ResponseWriter, r *http.Request) {
		var out []*balancerView
		for _, b := range d.balancers {
			out = append(out, d.balancerView(b))
		}
		page(rw, r, "load_balancers", out)
	})
	mux.HandleFunc("GET /v2/load_balancers/{id}", func(rw http.ResponseWriter, r *http.Request) {
		var v *balancerView
		if b := d.balancer(r.PathValue("id")); b != nil {
			v = d.balancerView(b)
		}
		one(d, rw, "load_balancer", v)
	})
	mux.HandleFunc("POST /v2/load_balancers/{id}/droplets", d.giveDroplets)
	mux.HandleFunc("DELETE /v2/load_balancers/{id}/droplets", d.giveDroplets)
}

// balancerView is a balancer as it is shown: with who is behind it, but not who is well.
type balancerView struct {
	ID         string         `json:"id"`
	Name       string         `json:"name"`
	IP         string         `json:"ip"`
	Status     string         `json:"status"`
	Created    string         `json:"created_at"`
	Tag        string         `json:"tag"`
	DropletIDs []int          `json:"droplet_ids"`
	Region     *region        `json:"region"`
	Health     map[string]any `json:"health_check"`
}

func (d *DigitalOcean) balancerView(b *balancer) *balancerView {
	ids := []int{}
	for m, e := range b.behind {
		if e.joins.IsZero() {
			ids = append(ids, m.id)
		}
	}
	slices.Sort(ids)
	return &balancerView{
		ID: b.id, Name: "lb-" + b.id[:8], IP: "192.0.2.1", Status: "active", Created: written(b.born),
		Tag: b.tag, DropletIDs: ids, Region: b.region,
		Health: map[string]any{
			"protocol": "http", "port": 80, "path": "/", "check_interval_seconds": 10,
			"response_timeout_seconds": 5, "healthy_threshold": 3, "unhealthy_threshold": 5,
		},
	}
}

// mostGiven is how many Droplets a balancer without a tag may have.
const mostGiven = 10

// giveDroplets gives Droplets to a balancer, or takes them from it; one that has a tag
// finds its own.
func (d *DigitalOcean) giveDroplets(rw http.ResponseWriter, r *http.Request) {
	b := d.balancer(r.PathValue("id"))
	if b == nil {
		d.notFound(rw)
		return
	}
	var asked struct {
		IDs []int `json:"droplet_ids"`
	}
	if !d.read(rw, r, &asked) {
		return
	}
	given := slices.DeleteFunc(slices.Clone(b.given), func(id int) bool { return slices.Contains(asked.IDs, id) })
	if r.Method == http.MethodPost {
		given = append(given, asked.IDs...)
	}
	switch {
	case b.tag != "":
		d.unprocessable(rw, "Droplets cannot be added to or removed from a load balancer that has a tag.")
	case len(given) > mostGiven:
		d.unprocessable(rw, "A load balancer may have at most 10 Droplets that are added by their IDs.")
	default:
		b.given = given
		rw.WriteHeader(http.StatusNoContent)
	}
}
