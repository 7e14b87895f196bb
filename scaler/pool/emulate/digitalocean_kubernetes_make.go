package emulate

import "net/http"

// createCluster makes a cluster and its node pools. Assumed: it runs at once, its nodes
// in their time.
func (d *DigitalOcean) createCluster(rw http.ResponseWriter, r *http.Request) {
	var asked struct {
		Name   string     `json:"name"`
		Region string     `json:"region"`
		Pools  []poolSpec `json:"node_pools"`
	}
	if !d.read(rw, r, &asked) {
		return
	}
	at := d.region(asked.Region)
	if asked.Name == "" || at == nil || len(asked.Pools) == 0 {
		d.unprocessable(rw, "name, region and node_pools are required.")
		return
	}
	var pools []*nodePool
	for _, s := range asked.Pools {
		p, wrong := d.nodePoolOf(s)
		if wrong != "" {
			d.unprocessable(rw, wrong)
			return
		}
		pools = append(pools, p)
	}
	c := d.addCluster(asked.Name, at)
	for _, p := range pools {
		d.addNodePool(c, p)
	}
	reply(rw, http.StatusCreated, map[string]any{"kubernetes_cluster": d.clusterView(c)})
}

// A poolSpec is a node pool as it is asked for.
type poolSpec struct {
	Name      string   `json:"name"`
	Size      string   `json:"size"`
	Count     int      `json:"count"`
	Tags      []string `json:"tags"`
	AutoScale bool     `json:"auto_scale"`
	Min       int      `json:"min_nodes"`
	Max       int      `json:"max_nodes"`
}

func (d *DigitalOcean) nodePoolOf(s poolSpec) (*nodePool, string) {
	size := d.size(s.Size)
	switch {
	case size == nil:
		return nil, "You specified an invalid size for the node pool."
	case wrongNames([]string{s.Name}) != "":
		return nil, "You specified an invalid name for the node pool."
	case s.Count < 0 || s.Count > mostNodes:
		return nil, "count must be between 0 and 512."
	case s.AutoScale && !isNodeRange(s.Min, s.Max):
		return nil, "min_nodes and max_nodes must be a range within 0 and 512."
	}
	return &nodePool{
		name: s.Name, size: size, count: s.Count, tags: s.Tags, autoScale: s.AutoScale, min: s.Min, max: s.Max,
	}, ""
}

func isNodeRange(least, most int) bool {
	return least >= 0 && most >= max(least, 1) && most <= mostNodes
}
