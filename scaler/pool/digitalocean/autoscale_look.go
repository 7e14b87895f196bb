package digitalocean

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"flyball/rules"
)

// The states of an Autoscale Pool and of its members, as the API has them.
const (
	poolActive   = "active"
	poolDeleting = "deleting"
	poolError    = "error"

	memberProvisioning = "provisioning"
	memberActive       = "active"
	memberDeleting     = "deleting"
	memberOff          = "off"
)

// poolAge is how long an Autoscale Pool's own settings are believed by looks.
const poolAge = time.Minute

// autoscalePool is a pool as it was read. It is kept as it came, too: the client's own
// type drops fields that it does not know, and numbers that are zero, and what an
// update leaves out is gone.
type autoscalePool struct {
	godo.DropletAutoscalePool
	Active *int // members that are up; nil: it does not say
	raw    map[string]json.RawMessage
	config map[string]json.RawMessage
}

// parsePool reads the document of a pool.
func parsePool(doc []byte) (autoscalePool, error) {
	var p autoscalePool
	var active struct {
		Active *int `json:"active_resources_count"`
	}
	if err := errors.Join(json.Unmarshal(doc, &p.DropletAutoscalePool), json.Unmarshal(doc, &active), json.Unmarshal(doc, &p.raw)); err != nil {
		return autoscalePool{}, fmt.Errorf("read the Autoscale Pool: %w", err)
	}
	if p.Config == nil || p.DropletTemplate == nil || p.Name == "" || p.raw["name"] == nil || p.raw["droplet_template"] == nil {
		return autoscalePool{}, errors.New("read the Autoscale Pool: the answer has no name, config or droplet_template")
	}
	if err := json.Unmarshal(p.raw["config"], &p.config); err != nil {
		return autoscalePool{}, fmt.Errorf("read the Autoscale Pool: %w", err)
	}
	p.Active = active.Active
	return p, nil
}

// target is the size that the pool keeps; 0 if it scales by itself.
func (p autoscalePool) target() int { return int(p.Config.TargetNumberInstances) }

// unsteered says why the size of the pool cannot be set; "" if it can.
func (p autoscalePool) unsteered() string {
	switch {
	case p.target() == 0 || p.Config.MinInstances > 0 || p.Config.MaxInstances > 0:
		return "the Autoscale Pool " + p.Name + " scales by itself; set it to a fixed size"
	case p.Status == poolDeleting:
		return "the Autoscale Pool " + p.Name + " is being deleted; name another one"
	default:
		return ""
	}
}

// sized is the update that gives the pool another size, and leaves all else as it is.
func (p autoscalePool) sized(to int) (json.RawMessage, error) {
	const size = "target_number_instances"
	config := maps.Clone(p.config)
	maps.DeleteFunc(config, func(k string, _ json.RawMessage) bool { return strings.EqualFold(k, size) })
	config[size] = json.RawMessage(strconv.Itoa(to))
	doc := map[string]any{"name": p.raw["name"], "config": config, "droplet_template": p.raw["droplet_template"]}
	body, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("write the Autoscale Pool: %w", err)
	}
	return body, nil
}

// askPool gets the pool or puts it.
func (p *autoscale) askPool(ctx context.Context, c *godo.Client, method string, body json.RawMessage) (autoscalePool, error) {
	var doc any
	if body != nil {
		doc = body
	}
	req, err := c.NewRequest(ctx, method, "v2/droplets/autoscale/"+p.cfg.AutoscalePool, doc)
	if err != nil {
		return autoscalePool{}, err
	}
	var root struct {
		Pool json.RawMessage `json:"autoscale_pool"`
	}
	if _, err := c.Do(ctx, req, &root); err != nil {
		return autoscalePool{}, err
	}
	return parsePool(root.Pool)
}

// readPool reads the pool now.
func (p *autoscale) readPool(ctx context.Context, c *godo.Client) (autoscalePool, error) {
	pool, err := p.askPool(ctx, c, http.MethodGet, nil)
	if statusOf(err) == http.StatusNotFound {
		return pool, fmt.Errorf("read the Autoscale Pool: there is none of the id %s: copy it from doctl compute droplet-autoscale list", p.cfg.AutoscalePool)
	}
	if err != nil {
		return pool, explain("read the Autoscale Pool", err)
	}
	return pool, nil
}

// lastChange is the newest change of the number of members; a zero one if there was none.
func (p *autoscale) lastChange(ctx context.Context) (godo.DropletAutoscaleHistoryEvent, error) {
	events, _, err := p.account.write.DropletAutoscale.ListHistory(ctx, p.cfg.AutoscalePool, &godo.ListOptions{PerPage: pageSize})
	if err != nil {
		return godo.DropletAutoscaleHistoryEvent{}, explain("read the history of the Autoscale Pool", err)
	}
	var last godo.DropletAutoscaleHistoryEvent
	for _, e := range events {
		if e.Reason != "CONFIGURATION_CHANGE" && e.CreatedAt.After(last.CreatedAt) {
			last = *e
		}
	}
	return last, nil
}

// autoscaleMember is a member as the pool lists it.
type autoscaleMember = godo.DropletAutoscaleResource

// readMembers reads all pages. A list that is shorter than it says itself is not believed.
func (p *autoscale) readMembers(ctx context.Context) ([]autoscaleMember, error) {
	var all []autoscaleMember
	seen := map[uint64]bool{}
	for page := 1; ; page++ {
		part, res, err := p.account.read.DropletAutoscale.ListMembers(ctx, p.cfg.AutoscalePool, &godo.ListOptions{Page: page, PerPage: pageSize})
		if err != nil {
			return nil, explain("list the members of the Autoscale Pool", err)
		}
		for _, m := range part {
			if !seen[m.DropletID] {
				seen[m.DropletID] = true
				all = append(all, *m)
			}
		}
		if res.Links == nil || res.Links.IsLastPage() || len(part) == 0 {
			if res.Meta != nil && res.Meta.Total > len(all) {
				return nil, fmt.Errorf("list the members of the Autoscale Pool: the list has %d and says that there are %d", len(all), res.Meta.Total)
			}
			return all, nil
		}
	}
}

// Look lists the pool's members, with the names and addresses that the account's list
// of Droplets has for them. A pool that scales by itself has drifted.
func (p *autoscale) Look(ctx context.Context) ([]rules.Member, rules.Terms, error) {
	pool, list, err := p.look(ctx)
	if err != nil {
		return nil, rules.Terms{}, fmt.Errorf("look at pool %s: %w", p.name, err)
	}
	var up []int
	for _, m := range list {
		if m.Status == memberActive {
			up = append(up, int(m.DropletID))
		}
	}
	known, err := p.listed(ctx, up)
	if err != nil {
		return nil, rules.Terms{}, fmt.Errorf("look at pool %s: %w", p.name, err)
	}
	ms := []rules.Member{}
	for _, m := range list {
		d, listed := known[int(m.DropletID)]
		ms = append(ms, p.member(m, d, listed))
	}
	ms = p.stamp(ms)
	t := p.terms(ms, pool.DropletTemplate.Size, mostInstances)
	t.Drift = p.drift(pool, list)
	p.warn(t.Drift)
	return ms, t, nil
}

// look reads the pool and its members, as far as they are not known. A list that
// contradicts the pool is compared with one that was read after it.
func (p *autoscale) look(ctx context.Context) (autoscalePool, []autoscaleMember, error) {
	read := func(ctx context.Context) (autoscalePool, error) { return p.readPool(ctx, p.account.read) }
	pool, err := p.pool.get(ctx, p.now, poolAge, read)
	if err != nil {
		return pool, nil, err
	}
	held, _ := p.members.young(p.now(), time.Hour)
	list, err := p.members.get(ctx, p.now, p.age(len(held), moves(held)), p.readMembers)
	if err == nil && p.drift(pool, list) != "" && p.pool.began().Before(p.members.began()) {
		pool, err = p.pool.get(ctx, p.now, 0, read)
	}
	return pool, list, err
}

// moves reports whether members come or go.
func moves(list []autoscaleMember) bool {
	return slices.ContainsFunc(list, func(m autoscaleMember) bool {
		return m.Status == memberProvisioning || m.Status == memberDeleting
	})
}

// drift says what happened to the pool behind our back, or why its list is not
// believed; "": nothing.
func (p *autoscale) drift(pool autoscalePool, list []autoscaleMember) string {
	if why := pool.unsteered(); why != "" {
		return why
	}
	if pool.Active != nil && *pool.Active > len(list) {
		return fmt.Sprintf("the list of the Autoscale Pool %s has %d members, and it says itself that %d are up", pool.Name, len(list), *pool.Active)
	}
	return ""
}

// member is one of the pool's.
func (p *autoscale) member(m autoscaleMember, d godo.Droplet, listed bool) rules.Member {
	id := strconv.FormatUint(m.DropletID, 10)
	out := rules.Member{
		ID: rules.MemberID(id), Name: "droplet-" + id, State: rules.Booting, Born: m.CreatedAt.UTC(),
		Note: m.Status + " in the Autoscale Pool",
	}
	switch m.Status {
	case memberActive:
		out.State = rules.Ready
	case memberDeleting:
		out.State = rules.Leaving
	case memberOff:
		out.State = rules.Dead
	}
	if m.UnhealthyReason != "" {
		out.Note += ", unhealthy: " + m.UnhealthyReason
	}
	p.under(&out, d, listed)
	return out
}
