package digitalocean

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/digitalocean/godo"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
)

var _ scaler.Pool = (*nodes)(nil)

// The states of a node, as the API has them.
const (
	nodeRunning  = "running"
	nodeDraining = "draining"
	nodeDeleting = "deleting"
)

// mostNodes is how many a node pool may have: those of the largest cluster.
const mostNodes = 1000

// nodes is a node pool of a DOKS cluster: Flyball sets the number of its nodes and
// chooses who ends, and DigitalOcean drains a node before it ends it. A drain takes
// as long as the pods' disruption budgets make it; it is never cut short.
type nodes struct {
	sized
	spec Kubernetes
	pool *memo[*godo.KubernetesNodePool]
	self func() int
}

func newNodes(b base, spec Kubernetes, self func() int) *nodes {
	return &nodes{sized: newSized(b), spec: spec, pool: newMemo[*godo.KubernetesNodePool](), self: self}
}

// here reports whether Flyball runs on a node, as one of its pods or beside them.
func (p *nodes) here(n *godo.KubernetesNode) bool {
	id := droplet(n.DropletID)
	return id != 0 && id == p.self()
}

// read reads the node pool now, with its nodes.
func (p *nodes) read(ctx context.Context, c *godo.Client) (*godo.KubernetesNodePool, error) {
	pool, _, err := c.Kubernetes.GetNodePool(ctx, p.spec.Cluster, p.spec.NodePool)
	if statusOf(err) == http.StatusNotFound {
		return nil, fmt.Errorf("read the node pool: there is none of the id %s in the cluster %s: copy both from doctl kubernetes cluster node-pool list", p.spec.NodePool, p.spec.Cluster)
	}
	if err != nil {
		return nil, explain("read the node pool", err)
	}
	if pool == nil || pool.Name == "" {
		return nil, errors.New("read the node pool: the answer has none")
	}
	return pool, nil
}

// unsteered says why the number of nodes cannot be set; "" if it can.
func unsteered(pool *godo.KubernetesNodePool) string {
	if !pool.AutoScale {
		return ""
	}
	return fmt.Sprintf("the node pool %s scales by itself, between %d and %d; turn its autoscaling off: doctl kubernetes cluster node-pool update <cluster> %s --auto-scale=false",
		pool.Name, pool.MinNodes, pool.MaxNodes, pool.Name)
}

// Look lists the nodes, with the addresses that the account's list of Droplets has for
// them. A node pool that scales by itself has drifted.
func (p *nodes) Look(ctx context.Context) ([]rules.Member, rules.Terms, error) {
	held, _ := p.pool.young(p.now(), staleAge)
	read := func(ctx context.Context) (*godo.KubernetesNodePool, error) { return p.read(ctx, p.account.read) }
	pool, err := p.pool.get(ctx, p.now, p.age(0, comeOrGo(held)), read)
	if err != nil {
		return nil, rules.Terms{}, fmt.Errorf("look at pool %s: %w", p.name, err)
	}
	var up []int
	for _, n := range pool.Nodes {
		if stateOf(n) == nodeRunning {
			up = append(up, droplet(n.DropletID))
		}
	}
	ds, err := p.listed(ctx, up)
	if err != nil {
		return nil, rules.Terms{}, fmt.Errorf("look at pool %s: %w", p.name, err)
	}
	ms := []rules.Member{}
	for _, n := range pool.Nodes {
		d, listed := ds[droplet(n.DropletID)]
		ms = append(ms, p.member(n, d, listed))
	}
	ms = p.stamp(ms)
	t := p.terms(ms, pool.Size, mostNodes)
	t.Victims, t.Drains, t.Drift = true, true, unsteered(pool)
	p.warn(t.Drift)
	return ms, t, nil
}

// comeOrGo reports whether nodes do.
func comeOrGo(pool *godo.KubernetesNodePool) bool {
	return pool != nil && slices.ContainsFunc(pool.Nodes, func(n *godo.KubernetesNode) bool { return stateOf(n) != nodeRunning })
}

func stateOf(n *godo.KubernetesNode) string {
	if n.Status == nil {
		return ""
	}
	return n.Status.State
}

// member is a node as a member.
func (p *nodes) member(n *godo.KubernetesNode, d godo.Droplet, listed bool) rules.Member {
	m := rules.Member{ID: rules.MemberID(n.ID), Name: n.Name, State: rules.Booting, Born: n.CreatedAt.UTC(), Note: stateOf(n) + " in the node pool"}
	switch stateOf(n) {
	case nodeRunning:
		m.State = rules.Ready
	case nodeDraining, nodeDeleting:
		m.State = rules.Leaving
	}
	if n.Status != nil && n.Status.Message != "" {
		m.Note += ": " + n.Status.Message
	}
	p.under(&m, d, listed)
	m.Name = n.Name
	if p.here(n) {
		m.Kept, m.Note = true, m.Note+", Flyball runs on it"
	}
	return m
}

// Grow sets the number of nodes to the step's To, if there are to be fewer. The number
// is absolute, so that a step that is done twice makes nobody twice.
func (p *nodes) Grow(ctx context.Context, s journal.Step) error {
	what := fmt.Sprintf("set the node pool to %d nodes", s.To)
	pool, err := p.begin(ctx, what)
	if err != nil {
		return err
	}
	defer p.give()
	if pool.Count >= s.To {
		return nil
	}
	defer p.forget()
	now, _, err := p.account.write.Kubernetes.UpdateNodePool(ctx, p.spec.Cluster, p.spec.NodePool,
		&godo.KubernetesNodePoolUpdateRequest{Name: pool.Name, Count: &s.To})
	switch {
	case isOverLimit(err) || isSoldOut(err):
		return fmt.Errorf("%w: %w", scaler.ErrNoCapacity, explain(what, err))
	case err != nil:
		return explain(what, err)
	case now == nil || now.Count != s.To:
		return fmt.Errorf("%s: DigitalOcean answers with another number: %s", what, counted(now))
	}
	p.log.Info("number of nodes is set", "from", pool.Count, "to", s.To)
	return nil
}

func counted(pool *godo.KubernetesNodePool) string {
	if pool == nil {
		return "none"
	}
	return fmt.Sprintf("%d; see whether somebody else sets it, too", pool.Count)
}

// begin takes the turn and reads the node pool; if it returns an error, the turn is
// given back.
func (p *nodes) begin(ctx context.Context, what string) (*godo.KubernetesNodePool, error) {
	if err := p.take(ctx); err != nil {
		return nil, err
	}
	pool, err := p.read(ctx, p.account.write)
	if err == nil && unsteered(pool) != "" {
		err = errors.New(unsteered(pool))
	}
	if err != nil {
		p.give()
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return pool, nil
}

// forget has the next look read anew.
func (p *nodes) forget() {
	p.pool.forget()
	p.touch()
}

// Remove has the step's victims drained and deleted, each of which makes the node pool
// one smaller. Those that are on their way already, or gone, are left alone: if that
// was just read, nothing is asked.
func (p *nodes) Remove(ctx context.Context, s journal.Step) error {
	if pool, ok := p.pool.young(p.now(), restAge); ok && len(staying(pool, s.Victims)) == 0 {
		return ctx.Err()
	}
	pool, err := p.begin(ctx, fmt.Sprintf("remove %d nodes", len(s.Victims)))
	if err != nil {
		return err
	}
	defer p.give()
	going := staying(pool, s.Victims)
	if len(going) == 0 {
		return nil
	}
	defer p.forget()
	return each(going, func(n *godo.KubernetesNode) error { return p.end(ctx, n) })
}

// staying are the victims that nobody has asked to end.
func staying(pool *godo.KubernetesNodePool, victims []rules.MemberID) []*godo.KubernetesNode {
	var out []*godo.KubernetesNode
	for _, n := range pool.Nodes {
		state := stateOf(n)
		if slices.Contains(victims, rules.MemberID(n.ID)) && state != nodeDraining && state != nodeDeleting {
			out = append(out, n)
		}
	}
	return out
}

func (p *nodes) end(ctx context.Context, n *godo.KubernetesNode) error {
	if p.here(n) {
		return fmt.Errorf("remove node %s: %w: end it yourself, or run Flyball elsewhere", n.Name, ErrSelf)
	}
	_, err := p.account.write.Kubernetes.DeleteNode(ctx, p.spec.Cluster, p.spec.NodePool, n.ID, &godo.KubernetesNodeDeleteRequest{})
	if err != nil && statusOf(err) != http.StatusNotFound {
		return explain("remove node "+n.Name, err)
	}
	p.log.Info("node is asked to end", "member", n.Name, "node", n.ID)
	return nil
}
