package emulate

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

// An action is what is under way at a Droplet, or was. There is one at a time.
type action struct {
	ID           int     `json:"id"`
	Status       string  `json:"status"` // in-progress, completed, errored
	Type         string  `json:"type"`
	Started      string  `json:"started_at"`
	Completed    *string `json:"completed_at"`
	ResourceID   int     `json:"resource_id"`
	ResourceType string  `json:"resource_type"`
	Region       *region `json:"region"`
	RegionSlug   string  `json:"region_slug"`

	on    *droplet
	done  time.Time // when it does what it does; zero: the machine says
	fails time.Time // when it is given up, if it cannot be done
}

// How long an action that does not succeed is tried. Assumed, all three: DigitalOcean does not say.
const (
	bootPatience     = 5 * time.Minute
	shutdownPatience = 2 * time.Minute
	lostPatience     = 3 * time.Second // of a Droplet that does not come to be
)

// mostActions is how many are remembered.
const mostActions = 10_000

// begin starts an action.
func (d *DigitalOcean) begin(m *droplet, kind string) *action {
	a := &action{
		ID: d.id(), Status: "in-progress", Type: kind, Started: written(d.w.at),
		ResourceID: m.id, ResourceType: "droplet", Region: m.region, RegionSlug: m.region.Slug,
		on: m, fails: d.w.at.Add(bootPatience),
	}
	switch kind {
	case "shutdown":
		a.fails = d.w.at.Add(shutdownPatience)
		d.w.shutdown(m.machine)
	case "power_off", "reboot", "power_cycle":
		a.done = d.w.at.Add(between(d.w.dice(kind+" "+m.name), 2*time.Second, 5*time.Second))
	case "power_on":
		d.w.start(m.machine)
	}
	if len(d.actions) >= mostActions {
		d.actions = slices.Clone(d.actions[mostActions/2:])
	}
	d.actions = append(d.actions, a)
	m.event = a
	return a
}

// end says how an action ended; the Droplet is free for the next.
func (a *action) end(status string, at time.Time) {
	when := written(at)
	a.Status, a.Completed, a.on.event = status, &when, nil
}

// settleActions ends those that did what they were to do, and those that cannot.
func (d *DigitalOcean) settleActions() {
	for _, m := range d.droplets {
		if a := m.event; a != nil {
			d.settleAction(a)
		}
	}
}

func (d *DigitalOcean) settleAction(a *action) {
	m, at := a.on, d.w.at
	if d.w.due(a.done) {
		a.done = time.Time{}
		d.w.halt(m.machine)
		if a.Type != "power_off" {
			d.w.start(m.machine)
		}
	}
	byHand := m.power == halted && !m.failed // somebody powered it off meanwhile
	isDone := a.done.IsZero() && (m.power == running || byHand)
	if a.Type == "shutdown" || a.Type == "power_off" {
		isDone = m.power == halted
	}
	switch {
	case m.lost && at.Sub(m.born) >= lostPatience:
		a.end("errored", at)
		d.w.remove(m.machine)
		m.ending, m.gone, m.shed = "new", at, at
	case isDone:
		a.end("completed", at)
	case d.w.due(a.fails) && (m.failed || a.Type == "shutdown"):
		a.end("errored", at)
	}
}

// actOnDroplet accepts an action that changes whether a Droplet runs.
func (d *DigitalOcean) actOnDroplet(rw http.ResponseWriter, r *http.Request, m *droplet) {
	var asked struct {
		Type string `json:"type"`
	}
	if !d.read(rw, r, &asked) {
		return
	}
	on := m.power == running
	switch asked.Type {
	case "shutdown", "power_off", "reboot", "power_cycle":
		if !on {
			d.unprocessable(rw, "Droplet is currently off. Please power it on to run this event.")
			return
		}
	case "power_on":
		if on {
			d.unprocessable(rw, "Droplet is currently on. Please power it off to run this event.")
			return
		}
	default:
		d.unprocessable(rw, "The event type "+strconv.Quote(asked.Type)+" is not known.")
		return
	}
	if m.event != nil || m.ending != "" || d.w.befalls("pending_event", subject(r)) {
		d.unprocessable(rw, pendingEvent)
		return
	}
	reply(rw, http.StatusCreated, map[string]*action{"action": d.begin(m, asked.Type)})
}

func (d *DigitalOcean) listDropletActions(rw http.ResponseWriter, r *http.Request, m *droplet) {
	var out []*action
	for _, a := range slices.Backward(d.actions) {
		if a.on == m {
			out = append(out, a)
		}
	}
	page(rw, r, "actions", out)
}

func (d *DigitalOcean) getDropletAction(rw http.ResponseWriter, r *http.Request, m *droplet) {
	a := d.action(r.PathValue("action"))
	if a != nil && a.on != m {
		a = nil
	}
	one(d, rw, "action", a)
}

func (d *DigitalOcean) getAction(rw http.ResponseWriter, r *http.Request) {
	one(d, rw, "action", d.action(r.PathValue("action")))
}

func (d *DigitalOcean) action(id string) *action {
	return first(d.actions, func(a *action) bool { return strconv.Itoa(a.ID) == id })
}
