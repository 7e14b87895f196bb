package emulate

import (
	"fmt"
	"slices"
	"time"
)

// A cluster is one of DigitalOcean's managed Kubernetes.
type cluster struct {
	id, name string
	region   *region
	born     time.Time
	pools    []*nodePool
}

// A nodePool is kept at its number of nodes.
//
// Assumed: whom it ends, if nobody says, is drawn; a node whose Droplet was deleted by
// hand is made again; a pool that scales by itself keeps its number within its range,
// since there is no load here; a node that cannot be made is tried again every minute.
type nodePool struct {
	id, name  string
	size      *size
	count     int
	tags      []string
	autoScale bool
	min, max  int
	nodes     []*node
	added     int       // nodes ever
	tried     time.Time // when one could not be made
}

// A node is a Droplet that is drained before it ends.
type node struct {
	*droplet
	uuid    string
	drained time.Time // when its drain is over; zero: it is not drained
}

// state is what the API says of it.
func (n *node) state() string {
	switch {
	case n.ending != "":
		return "deleting"
	case !n.drained.IsZero():
		return "draining"
	case n.power == booting:
		return "provisioning"
	default:
		return "running"
	}
}

// isStaying says whether nobody asked it to end.
func (n *node) isStaying() bool { return n.ending == "" && n.drained.IsZero() }

// AddCluster makes a cluster without nodes in a region and returns its UUID; "" if
// there is no such region.
func (d *DigitalOcean) AddCluster(name, region string) string {
	d.w.hold()
	defer d.w.mu.Unlock()
	r := d.region(region)
	if r == nil {
		return ""
	}
	return d.addCluster(name, r).id
}

func (d *DigitalOcean) addCluster(name string, r *region) *cluster {
	c := &cluster{id: d.uuid(), name: name, region: r, born: d.w.at}
	d.clusters = append(d.clusters, c)
	return c
}

// AddNodePool makes a pool of count nodes in a cluster and returns its UUID; "" if
// there is no such cluster or size.
func (d *DigitalOcean) AddNodePool(clusterID, name, size string, count int, tags ...string) string {
	d.w.hold()
	defer d.w.mu.Unlock()
	c, s := d.cluster(clusterID), d.size(size)
	if c == nil || s == nil {
		return ""
	}
	return d.addNodePool(c, &nodePool{name: name, size: s, count: count, tags: tags}).id
}

func (d *DigitalOcean) addNodePool(c *cluster, p *nodePool) *nodePool {
	p.id = d.uuid()
	c.pools = append(c.pools, p)
	d.settleNodes(c, p)
	return p
}

// AutoScale lets a node pool scale by itself between two numbers; 0 and 0 ends that.
func (d *DigitalOcean) AutoScale(poolID string, least, most int) {
	d.w.hold()
	defer d.w.mu.Unlock()
	for _, c := range d.clusters {
		if p := first(c.pools, func(p *nodePool) bool { return p.id == poolID }); p != nil {
			p.autoScale, p.min, p.max = most > 0, least, most
		}
	}
}

func (d *DigitalOcean) cluster(id string) *cluster {
	return first(d.clusters, func(c *cluster) bool { return c.id == id })
}

func (d *DigitalOcean) settleClusters() {
	for _, c := range d.clusters {
		for _, p := range c.pools {
			d.settleNodes(c, p)
		}
	}
}

// settleNodes ends those that are drained, and makes and ends as many as it takes.
func (d *DigitalOcean) settleNodes(c *cluster, p *nodePool) {
	p.nodes = slices.DeleteFunc(p.nodes, func(n *node) bool { return n.lost || d.w.due(n.shed) })
	if p.autoScale {
		p.count = min(max(p.count, p.min), p.max)
	}
	var stay []*node
	for _, n := range p.nodes {
		if d.w.due(n.drained) {
			d.delete(n.droplet)
		}
		if n.isStaying() {
			stay = append(stay, n)
		}
	}
	for n := len(stay); n < p.count && d.w.at.Sub(p.tried) >= time.Minute; n++ {
		d.addNode(c, p)
	}
	for len(stay) > p.count {
		i := d.w.dice("victims " + p.id).IntN(len(stay))
		d.drain(stay[i])
		stay = slices.Delete(stay, i, i+1)
	}
}

// addNode makes one, or notes that it could not.
func (d *DigitalOcean) addNode(c *cluster, p *nodePool) {
	t := template{region: c.region, size: p.size, image: d.images[0]}
	if len(d.present()) >= d.o.DropletLimit || !slices.Contains(p.size.Regions, c.region.Slug) {
		p.tried = d.w.at
		return
	}
	t.tags = append([]string{"k8s", "k8s:" + c.id, "k8s:worker"}, p.tags...)
	p.added++
	m := d.create(fmt.Sprintf("%s-%06x", p.name, p.added), t)
	p.nodes = append(p.nodes, &node{droplet: m, uuid: d.uuid()})
}

// drain lets a node's pods leave it, for 20 to 60 s, and then ends it.
func (d *DigitalOcean) drain(n *node) {
	n.drained = d.w.at.Add(between(d.w.dice("drain "+n.name), 20*time.Second, time.Minute))
}
