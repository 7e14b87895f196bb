package digitalocean

import (
	"context"
	"fmt"
)

// autoscale looks at a Droplet Autoscale Pool and at what it makes its members of.
func (c *checkup) autoscale(ctx context.Context, p *autoscale, limit int) {
	const what = "Autoscale Pool"
	pool, err := p.askPool(ctx, c.account.read, "GET", nil)
	if isMissing(err) {
		c.wrong(what, "copy its id from doctl compute droplet-autoscale list", "there is none of the id %s", c.cfg.AutoscalePool)
		return
	}
	if c.failed(what, "droplet:read", err) {
		return
	}
	switch why := pool.unsteered(); {
	case why != "" && pool.Status != poolDeleting:
		c.wrong(what, fmt.Sprintf("set it to a fixed size: doctl compute droplet-autoscale update %s --target-instances <n>, with all else as it is", pool.ID),
			"%s scales by itself, between %d and %d: its size cannot be set", pool.Name, pool.Config.MinInstances, pool.Config.MaxInstances)
	case why != "":
		c.wrong(what, "name another one", "%s is being deleted", pool.Name)
	case pool.Status == poolError:
		c.wrong(what, "mend what it says, in the control panel", "%s has failed: %s", pool.Name, c.lastError(ctx, p))
	default:
		c.ok(what, "%s keeps %d members; between two sizes are %s, and it ends whom it likes without a drain: rules say no_drain", pool.Name, pool.target(), fixedCooldown)
	}
	c.bounds(what, leastInstances, mostInstances)
	t := pool.DropletTemplate
	c.offers(ctx, []string{t.Region}, []string{t.Size})
	c.image(ctx, t.Image, []string{t.Region}, []string{t.Size})
	c.keys(ctx, t.SSHKeys)
	c.vpc(ctx, t.VpcUUID, []string{t.Region})
	all, _, err := c.account.fleet.droplets(ctx, false)
	if c.failed("Droplets", "droplet:read", err) {
		return
	}
	ms, err := p.readMembers(ctx)
	if c.failed(what, "droplet:read", err) {
		return
	}
	known, own := byID(all), 0
	for _, m := range ms {
		if _, is := known[int(m.DropletID)]; is {
			own++
		}
	}
	c.limit(limit, len(all), own)
}

// lastError is what an Autoscale Pool says of its last failure.
func (c *checkup) lastError(ctx context.Context, p *autoscale) string {
	last, err := p.lastChange(ctx)
	if err != nil || last.ErrorReason == "" {
		return "it does not say why"
	}
	return last.ErrorReason
}

// bounds looks whether a rule's maximum is within what the provider takes.
func (c *checkup) bounds(what string, least, most int) {
	if c.most > most {
		c.wrong(what, fmt.Sprintf("write max: %d or less", most), "can have %d to %d members, and the rule may want %d", least, most, c.most)
	}
}

// nodes looks at a node pool and its cluster.
func (c *checkup) nodes(ctx context.Context, p *nodes, limit int) {
	const what = "node pool"
	cluster, _, err := c.account.read.Kubernetes.Get(ctx, p.spec.Cluster)
	if isMissing(err) {
		c.wrong("cluster", "copy its id from doctl kubernetes cluster list", "there is none of the id %s", p.spec.Cluster)
		return
	}
	if c.failed("cluster", "kubernetes:read", err) {
		return
	}
	if cluster.Status != nil && cluster.Status.State != "running" {
		c.wrong("cluster", "wait until it is running, or see to it in the control panel", "%s is %s: %s", cluster.Name, cluster.Status.State, cluster.Status.Message)
	}
	pool, _, err := c.account.read.Kubernetes.GetNodePool(ctx, p.spec.Cluster, p.spec.NodePool)
	if isMissing(err) {
		c.wrong(what, "copy its id from doctl kubernetes cluster node-pool list "+cluster.Name, "%s has none of the id %s", cluster.Name, p.spec.NodePool)
		return
	}
	if c.failed(what, "kubernetes:read", err) {
		return
	}
	if pool.AutoScale {
		c.wrong(what, fmt.Sprintf("turn it off: doctl kubernetes cluster node-pool update %s %s --auto-scale=false", cluster.Name, pool.Name),
			"%s scales by itself, between %d and %d nodes: two would set its size", pool.Name, pool.MinNodes, pool.MaxNodes)
	} else {
		c.ok(what, "%s of %s has %d nodes, and ends those that are named, drained", pool.Name, cluster.Name, pool.Count)
	}
	c.bounds(what, 0, mostNodes)
	c.offers(ctx, []string{cluster.RegionSlug}, []string{pool.Size})
	all, _, err := c.account.fleet.droplets(ctx, false)
	if c.failed("Droplets", "droplet:read", err) {
		return
	}
	known, own := byID(all), 0
	for _, n := range pool.Nodes {
		if _, is := known[droplet(n.DropletID)]; is {
			own++
		}
	}
	c.limit(limit, len(all), own)
}
