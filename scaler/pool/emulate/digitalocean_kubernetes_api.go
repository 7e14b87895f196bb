package emulate

import (
	"net/http"
	"slices"
	"strconv"
)

const clustersPath = "/v2/kubernetes/clusters"

func (d *DigitalOcean) routeClusters(mux *http.ServeMux) {
	pools := clustersPath + "/{cluster}/node_pools"
	mux.HandleFunc("GET "+clustersPath, func(rw http.ResponseWriter, r *http.Request) {
		var out []*clusterView
		for _, c := range d.clusters {
			out = append(out, d.clusterView(c))
		}
		page(rw, r, "kubernetes_clusters", out)
	})
	mux.HandleFunc("POST "+clustersPath, d.createCluster)
	mux.HandleFunc("GET "+clustersPath+"/{cluster}", func(rw http.ResponseWriter, r *http.Request) {
		var v *clusterView
		if c := d.cluster(r.PathValue("cluster")); c != nil {
			v = d.clusterView(c)
		}
		one(d, rw, "kubernetes_cluster", v)
	})
	mux.HandleFunc("GET "+pools, d.listNodePools)
	mux.HandleFunc("GET "+pools+"/{pool}", d.withNodePool(func(rw http.ResponseWriter, r *http.Request, _ *cluster, p *nodePool) {
		v := d.nodePoolView(p)
		v.Nodes = whole(d.w, r, v.Nodes)
		reply(rw, http.StatusOK, map[string]any{"node_pool": v})
	}))
	mux.HandleFunc("PUT "+pools+"/{pool}", d.withNodePool(d.updateNodePool))
	mux.HandleFunc("DELETE "+pools+"/{pool}/nodes/{node}", d.withNodePool(d.deleteNode))
}

// withNodePool finds the pool that a path names.
func (d *DigitalOcean) withNodePool(do func(http.ResponseWriter, *http.Request, *cluster, *nodePool)) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		c := d.cluster(r.PathValue("cluster"))
		if c == nil {
			d.notFound(rw)
			return
		}
		p := first(c.pools, func(p *nodePool) bool { return p.id == r.PathValue("pool") })
		if p == nil {
			d.notFound(rw)
			return
		}
		do(rw, r, c, p)
	}
}

// What the API shows of clusters.
type (
	clusterView struct {
		ID      string            `json:"id"`
		Name    string            `json:"name"`
		Region  string            `json:"region"`
		Version string            `json:"version"`
		Pools   []*nodePoolView   `json:"node_pools"`
		Status  map[string]string `json:"status"`
		Created string            `json:"created_at"`
	}
	nodePoolView struct {
		ID        string            `json:"id"`
		Name      string            `json:"name"`
		Size      string            `json:"size"`
		Count     int               `json:"count"`
		Tags      []string          `json:"tags"`
		Labels    map[string]string `json:"labels"`
		AutoScale bool              `json:"auto_scale"`
		Min       int               `json:"min_nodes"`
		Max       int               `json:"max_nodes"`
		Nodes     []*nodeView       `json:"nodes"`
	}
	nodeView struct {
		ID        string            `json:"id"`
		Name      string            `json:"name"`
		Status    map[string]string `json:"status"`
		DropletID string            `json:"droplet_id"`
		Created   string            `json:"created_at"`
		Updated   string            `json:"updated_at"`
	}
)

func (d *DigitalOcean) clusterView(c *cluster) *clusterView {
	v := &clusterView{
		ID: c.id, Name: c.name, Region: c.region.Slug, Version: "1.35.1-do.0", Pools: []*nodePoolView{},
		Status: map[string]string{"state": "running", "message": ""}, Created: written(c.born),
	}
	for _, p := range c.pools {
		v.Pools = append(v.Pools, d.nodePoolView(p))
	}
	return v
}

func (d *DigitalOcean) nodePoolView(p *nodePool) *nodePoolView {
	v := &nodePoolView{
		ID: p.id, Name: p.name, Size: p.size.Slug, Count: p.count, Tags: slices.Clone(p.tags), Labels: map[string]string{},
		AutoScale: p.autoScale, Min: p.min, Max: p.max, Nodes: []*nodeView{},
	}
	for _, n := range p.nodes {
		if !d.isListed(n.droplet) {
			continue
		}
		v.Nodes = append(v.Nodes, &nodeView{
			ID: n.uuid, Name: n.name, Status: map[string]string{"state": n.state(), "message": ""},
			DropletID: strconv.Itoa(n.id), Created: written(n.born), Updated: written(d.w.at),
		})
	}
	return v
}

func (d *DigitalOcean) listNodePools(rw http.ResponseWriter, r *http.Request) {
	c := d.cluster(r.PathValue("cluster"))
	if c == nil {
		d.notFound(rw)
		return
	}
	page(rw, r, "node_pools", whole(d.w, r, d.clusterView(c).Pools))
}

// mostNodes is how many a pool may have. Assumed.
const mostNodes = 512

// updateNodePool accepts another number of nodes, or another range. A pool that scales
// by itself answers with the number that it keeps.
func (d *DigitalOcean) updateNodePool(rw http.ResponseWriter, r *http.Request, c *cluster, p *nodePool) {
	var asked struct {
		Name      string `json:"name"`
		Count     *int   `json:"count"`
		AutoScale *bool  `json:"auto_scale"`
		Min       *int   `json:"min_nodes"`
		Max       *int   `json:"max_nodes"`
	}
	if !d.read(rw, r, &asked) {
		return
	}
	switch {
	case asked.Name == "" || asked.Count == nil:
		d.unprocessable(rw, "name and count are required.")
		return
	case *asked.Count < 0 || *asked.Count > mostNodes:
		d.unprocessable(rw, "count must be between 0 and 512.")
		return
	case *asked.Count > p.count && d.w.befalls("sold_out", subject(r)):
		d.unprocessable(rw, soldOut)
		return
	case len(d.present())+*asked.Count-p.count > d.o.DropletLimit, *asked.Count > p.count && d.w.befalls("limit", subject(r)):
		d.unprocessable(rw, overLimit)
		return
	}
	auto, least, most := or(asked.AutoScale, p.autoScale), or(asked.Min, p.min), or(asked.Max, p.max)
	if auto && !isNodeRange(least, most) {
		d.unprocessable(rw, "min_nodes and max_nodes must be a range within 0 and 512.")
		return
	}
	p.name, p.count, p.autoScale, p.min, p.max = asked.Name, *asked.Count, auto, least, most
	d.settleNodes(c, p)
	reply(rw, http.StatusAccepted, map[string]any{"node_pool": d.nodePoolView(p)})
}

// or is what was said, or else what was.
func or[T any](said *T, was T) T {
	if said == nil {
		return was
	}
	return *said
}

// deleteNode accepts the end of one node, which leaves the pool one smaller unless it
// is to be replaced. It is drained first unless that is to be skipped.
func (d *DigitalOcean) deleteNode(rw http.ResponseWriter, r *http.Request, c *cluster, p *nodePool) {
	n := first(p.nodes, func(n *node) bool { return n.uuid == r.PathValue("node") })
	if n == nil {
		d.notFound(rw)
		return
	}
	q := r.URL.Query()
	if n.isStaying() {
		if q.Get("replace") != "1" && q.Get("replace") != "true" {
			p.count = max(0, p.count-1)
		}
		d.drain(n)
	}
	if q.Get("skip_drain") == "1" || q.Get("skip_drain") == "true" {
		d.delete(n.droplet)
	}
	d.settleNodes(c, p)
	rw.WriteHeader(http.StatusAccepted)
}
