package emulate

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"time"
)

const poolsPath = "/v2/droplets/autoscale"

// fixedCooldown is how long a pool of a fixed size is left alone after every change.
const fixedCooldown = 10 * time.Minute

// What is asked of a Droplet Autoscale Pool, and shown of it.
type (
	autoscaleConfig struct {
		Min      int     `json:"min_instances,omitempty"`
		Max      int     `json:"max_instances,omitempty"`
		CPU      float64 `json:"target_cpu_utilization,omitempty"`
		Memory   float64 `json:"target_memory_utilization,omitempty"`
		Cooldown int     `json:"cooldown_minutes,omitempty"`
		Target   int     `json:"target_number_instances,omitempty"`
	}
	autoscaleTemplate struct {
		Size     string   `json:"size"`
		Region   string   `json:"region"`
		Image    string   `json:"image"`
		Tags     []string `json:"tags"`
		Keys     []string `json:"ssh_keys"`
		VPC      string   `json:"vpc_uuid"`
		Agent    bool     `json:"with_droplet_agent"`
		Project  string   `json:"project_id"`
		IPv6     bool     `json:"ipv6"`
		UserData string   `json:"user_data"`
	}
	autoscaleRequest struct {
		Name     string             `json:"name"`
		Config   *autoscaleConfig   `json:"config"`
		Template *autoscaleTemplate `json:"droplet_template"`
	}
	autoscaleEvent struct {
		ID      string `json:"history_event_id"`
		Current int    `json:"current_instance_count"`
		Desired int    `json:"desired_instance_count"`
		Reason  string `json:"reason"` // CONFIGURATION_CHANGE, SCALE_UP, SCALE_DOWN
		Status  string `json:"status"` // in_progress, success, error
		Error   string `json:"error_reason,omitempty"`
		Created string `json:"created_at"`
		Updated string `json:"updated_at"`
	}
)

// An autoscale is a pool that DigitalOcean keeps at its size by itself.
//
// Assumed: whom it ends is drawn; who is deleted by hand is made again after the
// cooldown, and who is off or unhealthy stays; members of an older template are
// replaced one by one, each after the one before is up; a pool of a range keeps the
// size that it has, since there is no load here.
type autoscale struct {
	id               string
	asked            autoscaleRequest
	made             template
	born, updated    time.Time
	changed          time.Time // when the number of its members was changed last
	going            time.Time // when it is gone; zero: it stays
	members          []*droplet
	old              []*droplet // those of them made from an older template
	history          []*autoscaleEvent
	step             *autoscaleEvent // under way
	membersEverAdded int
}

// desired is how many members it is to have.
func (p *autoscale) desired() int {
	if p.asked.Config.Target > 0 {
		return p.asked.Config.Target
	}
	return min(max(len(p.staying()), p.asked.Config.Min), p.asked.Config.Max)
}

// cooldown is how long it is left alone after a change.
func (p *autoscale) cooldown() time.Duration {
	if p.asked.Config.Target > 0 {
		return fixedCooldown
	}
	return time.Duration(p.asked.Config.Cooldown) * time.Minute
}

// staying are the members that are not being deleted.
func (p *autoscale) staying() []*droplet {
	var out []*droplet
	for _, m := range p.members {
		if m.ending == "" {
			out = append(out, m)
		}
	}
	return out
}

func (d *DigitalOcean) settlePools() {
	for _, p := range d.pools {
		p.members = slices.DeleteFunc(p.members, func(m *droplet) bool { return m.lost || d.w.due(m.shed) })
		p.old = slices.DeleteFunc(p.old, func(m *droplet) bool { return m.ending != "" })
		d.settlePool(p)
	}
	d.pools = slices.DeleteFunc(d.pools, func(p *autoscale) bool { return d.w.due(p.going) })
}

// settlePool takes the next step to what a pool is to be.
func (d *DigitalOcean) settlePool(p *autoscale) {
	stay, want := p.staying(), p.desired()
	booted := !slices.ContainsFunc(stay, func(m *droplet) bool { return m.status() == "new" })
	if p.step != nil && booted && len(stay) == p.step.Desired {
		d.endEvent(p.step, "success", "")
		p.step = nil
	}
	isCool := p.changed.IsZero() || d.w.at.Sub(p.changed) >= p.cooldown()
	switch {
	case !p.going.IsZero():
	case len(stay) != want && isCool:
		d.resizePool(p, stay, want)
	case len(stay) == want && len(p.old) > 0 && booted && d.growPool(p, 1) == "":
		d.delete(p.old[0])
	}
}

// resizePool makes and ends as many as it takes.
func (d *DigitalOcean) resizePool(p *autoscale, stay []*droplet, want int) {
	reason := "SCALE_UP"
	if want < len(stay) {
		reason = "SCALE_DOWN"
	}
	p.changed = d.w.at
	if p.step != nil {
		d.endEvent(p.step, "error", "overtaken by the next change")
	}
	p.step = d.event(p, len(stay), want, reason)
	if wrong := d.growPool(p, want-len(stay)); wrong != "" {
		d.endEvent(p.step, "error", wrong)
		p.step = nil
	}
	dice := d.w.dice("victims " + p.id)
	for n := len(stay); n > want; n-- {
		i := dice.IntN(len(stay))
		d.delete(stay[i])
		stay = slices.Delete(stay, i, i+1)
	}
}

// growPool makes n members, or says why it cannot. It is no request, but faults that
// are planted on one that makes pools befall it.
func (d *DigitalOcean) growPool(p *autoscale, n int) string {
	on := "POST " + poolsPath + "/" + p.id
	switch {
	case n <= 0:
	case len(d.present())+n > d.o.DropletLimit, d.w.befalls("limit", on):
		return overLimit
	case d.w.befalls("sold_out", on), !slices.Contains(p.made.size.Regions, p.made.region.Slug):
		return soldOut
	}
	for range n {
		p.membersEverAdded++
		p.members = append(p.members, d.create(fmt.Sprintf("%s-%s-%06x", p.asked.Name, p.id[:8], p.membersEverAdded), p.made))
	}
	return ""
}

func (d *DigitalOcean) event(p *autoscale, current, desired int, reason string) *autoscaleEvent {
	now := written(d.w.at)
	e := &autoscaleEvent{d.uuid(), current, desired, reason, "in_progress", "", now, now}
	p.history = slices.Insert(p.history, 0, e)
	p.history = p.history[:min(len(p.history), 1000)]
	return e
}

func (d *DigitalOcean) endEvent(e *autoscaleEvent, status, why string) {
	e.Status, e.Error, e.Updated = status, why, written(d.w.at)
}

// wrongPool says what is wrong with what is asked of a pool, and finds what it is made of.
func (d *DigitalOcean) wrongPool(q autoscaleRequest) (template, string) {
	if q.Config == nil || q.Template == nil {
		return template{}, "config and droplet_template are required."
	}
	if wrong := wrongConfig(*q.Config); wrong != "" {
		return template{}, wrong
	}
	if len(q.Template.Keys) == 0 {
		return template{}, "ssh_keys are required."
	}
	t := *q.Template
	c := creation{
		Name: q.Name, Region: t.Region, Size: t.Size, Image: quoted(t.Image),
		UserData: t.UserData, Tags: t.Tags, VPC: t.VPC,
	}
	for _, k := range t.Keys {
		c.Keys = append(c.Keys, quoted(k))
	}
	return d.choose(c, []string{q.Name})
}

func quoted(s string) json.RawMessage {
	raw, _ := json.Marshal(s) // of a string cannot fail
	return raw
}

func wrongConfig(c autoscaleConfig) string {
	isRange := c.Min != 0 || c.Max != 0
	switch {
	case c.Target != 0 && isRange:
		return "target_number_instances cannot be had together with min_instances and max_instances."
	case !isRange && (c.Target < 1 || c.Target > 1000):
		return "target_number_instances must be between 1 and 1000."
	case !isRange:
		return ""
	case c.Min < 1 || c.Min > 500 || c.Max < c.Min || c.Max > 1000:
		return "min_instances must be between 1 and 500, and max_instances between it and 1000."
	case c.Cooldown < 5 || c.Cooldown > 20:
		return "cooldown_minutes must be between 5 and 20."
	case !isShare(c.CPU) && !isShare(c.Memory):
		return "A target utilization between 0.05 and 1 is required."
	}
	return ""
}

func isShare(x float64) bool { return x >= 0.05 && x <= 1 }

// isSame says whether two templates make the same Droplets.
func isSame(a, b *autoscaleTemplate) bool { return reflect.DeepEqual(a, b) }

// pool finds one by its UUID.
func (d *DigitalOcean) pool(r *http.Request) *autoscale {
	return first(d.pools, func(p *autoscale) bool { return p.id == r.PathValue("pool") })
}
