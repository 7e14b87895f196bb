package emulate

import (
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// A droplet is a machine with what DigitalOcean knows of it.
type droplet struct {
	*machine
	id     int
	region *region
	size   *size
	image  *image
	vpc    string
	tags   map[string]time.Time // by their lower case, from when each is seen
	event  *action              // under way; nil: none
	listed time.Time            // from when it is in lists
	lost   bool                 // its making was accepted, and nobody finds it
	ending string               // its status when its deletion was accepted; "": it was not
	gone   time.Time            // when it is gone; zero: unknown
	shed   time.Time            // when it is in lists no more
}

// status is what the API says of it. One that is being deleted is shown as it was.
func (m *droplet) status() string {
	switch {
	case m.ending != "":
		return m.ending
	case m.power == running:
		return "active"
	case m.power == halted || m.addr.IsValid():
		return "off"
	default:
		return "new"
	}
}

// exists says whether it is found by its number.
func (d *DigitalOcean) exists(m *droplet) bool { return !m.lost && !d.w.due(m.gone) }

// isListed says whether it is in lists.
func (d *DigitalOcean) isListed(m *droplet) bool {
	return !m.lost && d.w.due(m.listed) && !d.w.due(m.shed)
}

// tagged says whether a tag is seen on it by now.
func (d *DigitalOcean) tagged(m *droplet, tag string) bool {
	from, has := m.tags[strings.ToLower(tag)]
	return has && !from.After(d.w.at)
}

// seenTags are those that are seen by now, as they are written.
func (d *DigitalOcean) seenTags(m *droplet) []string {
	out := []string{}
	for t := range m.tags {
		if d.tagged(m, t) {
			out = append(out, d.tags[t])
		}
	}
	sort.Strings(out)
	return out
}

// delete accepts the end of a Droplet. Its machine ends at once; the API shows it for
// 2 to 10 s more, in lists and by its number, with the status that it had.
func (d *DigitalOcean) delete(m *droplet) {
	if m.ending != "" {
		return
	}
	m.ending = m.status()
	if m.event != nil {
		m.event.end("errored", d.w.at)
	}
	d.w.remove(m.machine)
	m.gone = d.w.at.Add(between(d.w.dice("delete "+m.name), 2*time.Second, 10*time.Second))
	m.shed = m.gone
	if d.w.befalls("list_lag", m.name) {
		m.shed = m.gone.Add(listDelay)
	}
}

// listDelay is how late a list is where the fault says so.
const listDelay = 30 * time.Second

// settleDroplets forgets those that are gone, and bills them.
func (d *DigitalOcean) settleDroplets() {
	d.droplets = slices.DeleteFunc(d.droplets, func(m *droplet) bool {
		if !d.w.due(m.shed) {
			return false
		}
		d.billed = d.billed.plus(d.bill(m))
		return true
	})
}

// droplet finds one by its number, as the API does.
func (d *DigitalOcean) droplet(id string) *droplet {
	n, err := strconv.Atoi(id)
	if err != nil {
		return nil
	}
	m := first(d.droplets, func(m *droplet) bool { return m.id == n })
	if m == nil || !d.exists(m) {
		return nil
	}
	return m
}

// present are those that count: for the account's limit, and for who looks at the console.
func (d *DigitalOcean) present() []*droplet {
	var out []*droplet
	for _, m := range d.droplets {
		if d.exists(m) {
			out = append(out, m)
		}
	}
	return out
}

func (d *DigitalOcean) routeDroplets(mux *http.ServeMux) {
	mux.HandleFunc("POST /v2/droplets", d.createDroplets)
	mux.HandleFunc("GET /v2/droplets", d.listDroplets)
	mux.HandleFunc("GET /v2/droplets/{id}", d.withDroplet(d.getDroplet))
	mux.HandleFunc("DELETE /v2/droplets/{id}", d.withDroplet(d.deleteDroplet))
	mux.HandleFunc("POST /v2/droplets/{id}/actions", d.withDroplet(d.actOnDroplet))
	mux.HandleFunc("GET /v2/droplets/{id}/actions", d.withDroplet(d.listDropletActions))
	mux.HandleFunc("GET /v2/droplets/{id}/actions/{action}", d.withDroplet(d.getDropletAction))
	mux.HandleFunc("GET /v2/droplets/{id}/destroy_with_associated_resources", d.withDroplet(noneAssociated))
	mux.HandleFunc("GET /v2/actions/{action}", d.getAction)
}

// withDroplet finds the Droplet that a path names.
func (d *DigitalOcean) withDroplet(do func(http.ResponseWriter, *http.Request, *droplet)) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		m := d.droplet(r.PathValue("id"))
		if m == nil {
			d.notFound(rw)
			return
		}
		do(rw, r, m)
	}
}

func (d *DigitalOcean) getDroplet(rw http.ResponseWriter, _ *http.Request, m *droplet) {
	view := d.view(m)
	reply(rw, http.StatusOK, map[string]any{"droplet": view})
}

// noneAssociated says that a Droplet has no volumes, addresses or snapshots that would
// outlive it.
func noneAssociated(rw http.ResponseWriter, _ *http.Request, _ *droplet) {
	none := []any{}
	reply(rw, http.StatusOK, map[string]any{
		"reserved_ips": none, "floating_ips": none, "snapshots": none, "volumes": none, "volume_snapshots": none,
	})
}

// listDroplets lists those of a tag, of a name, or all, by their numbers. Assumed: a
// tag or a name that nobody has gives an empty list.
func (d *DigitalOcean) listDroplets(rw http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var out []*dropletView
	for _, m := range d.droplets {
		switch {
		case !d.isListed(m):
		case q.Has("tag_name") && !d.tagged(m, q.Get("tag_name")):
		case q.Has("name") && m.name != q.Get("name"):
		default:
			out = append(out, d.view(m))
		}
	}
	page(rw, r, "droplets", whole(d.w, r, out))
}

// deleteDroplet accepts the end of one: 204 early.
//
// Assumed: one that is being deleted already has a pending event.
func (d *DigitalOcean) deleteDroplet(rw http.ResponseWriter, r *http.Request, m *droplet) {
	if m.event != nil || m.ending != "" || d.w.befalls("pending_event", subject(r)) {
		d.unprocessable(rw, pendingEvent)
		return
	}
	d.delete(m)
	rw.WriteHeader(http.StatusNoContent)
}

const pendingEvent = "Droplet already has a pending event."
