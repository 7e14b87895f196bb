package emulate

import (
	"net/http"
	"time"
)

func (d *DigitalOcean) routePools(mux *http.ServeMux) {
	mux.HandleFunc("POST "+poolsPath, d.createPool)
	mux.HandleFunc("GET "+poolsPath, d.listPools)
	mux.HandleFunc("GET "+poolsPath+"/{pool}", d.withPool(func(rw http.ResponseWriter, _ *http.Request, p *autoscale) {
		reply(rw, http.StatusOK, map[string]any{"autoscale_pool": d.poolView(p)})
	}))
	mux.HandleFunc("PUT "+poolsPath+"/{pool}", d.withPool(d.updatePool))
	mux.HandleFunc("DELETE "+poolsPath+"/{pool}", d.withPool(d.deletePool))
	mux.HandleFunc("DELETE "+poolsPath+"/{pool}/dangerous", d.withPool(d.deletePool))
	mux.HandleFunc("GET "+poolsPath+"/{pool}/members", d.withPool(d.listMembers))
	mux.HandleFunc("GET "+poolsPath+"/{pool}/history", d.withPool(func(rw http.ResponseWriter, r *http.Request, p *autoscale) {
		page(rw, r, "history", p.history)
	}))
}

// withPool finds the pool that a path names.
func (d *DigitalOcean) withPool(do func(http.ResponseWriter, *http.Request, *autoscale)) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		p := d.pool(r)
		if p == nil {
			d.notFound(rw)
			return
		}
		do(rw, r, p)
	}
}

// poolView is a pool as it is shown.
type poolView struct {
	ID       string             `json:"id"`
	Name     string             `json:"name"`
	Config   *autoscaleConfig   `json:"config"`
	Template *autoscaleTemplate `json:"droplet_template"`
	Created  string             `json:"created_at"`
	Updated  string             `json:"updated_at"`
	Status   string             `json:"status"` // active, deleting, error
	Active   int                `json:"active_resources_count"`
}

// poolView shows a pool. Assumed: its status is error while its last step failed.
func (d *DigitalOcean) poolView(p *autoscale) *poolView {
	v := &poolView{
		p.id, p.asked.Name, p.asked.Config, p.asked.Template, written(p.born), written(p.updated), "active", 0,
	}
	if len(p.history) > 0 && p.history[0].Status == "error" {
		v.Status = "error"
	}
	if !p.going.IsZero() {
		v.Status = "deleting"
	}
	for _, m := range p.staying() {
		if m.status() == "active" {
			v.Active++
		}
	}
	return v
}

// createPool accepts a new pool.
func (d *DigitalOcean) createPool(rw http.ResponseWriter, r *http.Request) {
	var q autoscaleRequest
	if !d.read(rw, r, &q) {
		return
	}
	t, wrong := d.wrongPool(q)
	if wrong != "" {
		d.unprocessable(rw, wrong)
		return
	}
	p := &autoscale{id: d.uuid(), asked: q, made: t, born: d.w.at, updated: d.w.at}
	d.pools = append(d.pools, p)
	d.settlePool(p)
	reply(rw, http.StatusAccepted, map[string]any{"autoscale_pool": d.poolView(p)})
}

func (d *DigitalOcean) listPools(rw http.ResponseWriter, r *http.Request) {
	var out []*poolView
	for _, p := range d.pools {
		out = append(out, d.poolView(p))
	}
	page(rw, r, "autoscale_pools", whole(d.w, r, out))
}

// updatePool takes the whole of what a pool is to be; what it leaves out is gone. What
// it says is begun when the cooldown is over.
func (d *DigitalOcean) updatePool(rw http.ResponseWriter, r *http.Request, p *autoscale) {
	var q autoscaleRequest
	if !d.read(rw, r, &q) {
		return
	}
	t, wrong := d.wrongPool(q)
	switch {
	case wrong == "" && q.Name != p.asked.Name:
		wrong = "The name of an autoscale pool cannot be changed."
	case !p.going.IsZero():
		wrong = "The autoscale pool is being deleted."
	}
	if wrong != "" {
		d.unprocessable(rw, wrong)
		return
	}
	if !isSame(q.Template, p.asked.Template) {
		p.old = p.staying()
	}
	had := len(p.staying())
	p.asked, p.made, p.updated = q, t, d.w.at
	d.endEvent(d.event(p, had, p.desired(), "CONFIGURATION_CHANGE"), "success", "")
	d.settlePool(p)
	reply(rw, http.StatusOK, map[string]any{"autoscale_pool": d.poolView(p)})
}

// deletePool ends a pool, and if it is said to be dangerous its Droplets with it.
func (d *DigitalOcean) deletePool(rw http.ResponseWriter, r *http.Request, p *autoscale) {
	isDangerous := r.URL.Path == poolsPath+"/"+p.id+"/dangerous"
	if isDangerous && r.Header.Get("X-Dangerous") != "true" {
		d.unprocessable(rw, "The header X-Dangerous: true is required.")
		return
	}
	if isDangerous {
		for _, m := range p.staying() {
			d.delete(m)
		}
	}
	if p.going.IsZero() {
		p.going = d.w.at.Add(between(d.w.dice("delete "+p.id), 2*time.Second, 10*time.Second))
	}
	rw.WriteHeader(http.StatusAccepted)
}

// memberView is a Droplet of a pool as it is shown.
type memberView struct {
	DropletID int    `json:"droplet_id"`
	Created   string `json:"created_at"`
	Updated   string `json:"updated_at"`
	Health    string `json:"health_status"` // healthy, unhealthy
	Unhealthy string `json:"unhealthy_reason,omitempty"`
	Status    string `json:"status"` // provisioning, active, deleting, off
}

func (d *DigitalOcean) listMembers(rw http.ResponseWriter, r *http.Request, p *autoscale) {
	var out []*memberView
	for _, m := range p.members {
		if !d.isListed(m) {
			continue
		}
		v := &memberView{m.id, written(m.born), written(d.w.at), "healthy", "", m.status()}
		switch {
		case m.ending != "":
			v.Status = "deleting"
		case v.Status == "new":
			v.Status = "provisioning"
		case v.Status == "off":
			v.Health, v.Unhealthy = "unhealthy", "Droplet is off"
		}
		out = append(out, v)
	}
	page(rw, r, "droplets", whole(d.w, r, out))
}
