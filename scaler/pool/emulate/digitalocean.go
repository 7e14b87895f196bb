package emulate

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// DigitalOceanOptions are what an account at DigitalOcean is emulated with.
type DigitalOceanOptions struct {
	Token         string // that is accepted; "": any
	DropletLimit  int    // of the account; default 25
	HourLimit     int    // requests of a token in any hour; default 5,000
	MinuteLimit   int    // and in any minute; default 250
	KeysPerMinute int    // requests for the list of SSH keys in any minute; default 10
}

// A DigitalOcean emulates one account at DigitalOcean: the API v2 as godo speaks it.
// What is assumed, since DigitalOcean does not say, is marked so in comments. It is
// safe for concurrent use.
//
// It begins with five regions, six sizes and two public images; [DigitalOcean.AddImage]
// and its like add what an account has of its own, and are the human at the console.
type DigitalOcean struct {
	w *World
	o DigitalOceanOptions
	transport

	ids      int // given so far, to whatever
	requests int // answered so far with an error

	windows  map[string]*windows // by token
	regions  []*region
	sizes    []*size
	images   []*image
	keys     []*sshKey
	vpcs     []*vpc
	tags     map[string]string // as they are written, by their lower case
	droplets []*droplet        // by ID, those that are gone no more
	actions  []*action         // by ID, the newest
	billed   Bill              // of those that are gone

	balancers []*balancer
	pools     []*autoscale
	clusters  []*cluster
}

// NewDigitalOcean makes an account in a world.
func NewDigitalOcean(w *World, o DigitalOceanOptions) *DigitalOcean {
	o.DropletLimit = orElse(o.DropletLimit, 25)
	o.HourLimit = orElse(o.HourLimit, 5000)
	o.MinuteLimit = orElse(o.MinuteLimit, 250)
	o.KeysPerMinute = orElse(o.KeysPerMinute, 10)
	d := &DigitalOcean{w: w, o: o, windows: map[string]*windows{}, tags: map[string]string{}}
	d.stock()
	s := &service{api: d.routes(), settle: d.settle, accepts: d.accepts, count: d.count, refuse: d.refuse}
	d.transport = transport{w, s}
	w.add(s)
	return d
}

func orElse(n, otherwise int) int {
	if n <= 0 {
		return otherwise
	}
	return n
}

// Transport serves the API in process, whatever host is asked.
func (d *DigitalOcean) Transport() http.RoundTripper { return d.transport }

func (d *DigitalOcean) accepts(token string) bool {
	return d.o.Token == "" || token == d.o.Token
}

// settle lets happen what is due.
func (d *DigitalOcean) settle() {
	d.settleActions()
	d.settleDroplets()
	d.settleBalancers()
	d.settlePools()
	d.settleClusters()
}

// routes is the API. Autoscale pools have a mux of their own, since their paths look
// like those of a Droplet named "autoscale".
func (d *DigitalOcean) routes() http.Handler {
	main, pools := http.NewServeMux(), http.NewServeMux()
	for _, mux := range []*http.ServeMux{main, pools} {
		mux.HandleFunc("/", func(rw http.ResponseWriter, _ *http.Request) { d.notFound(rw) })
	}
	d.routeAccount(main)
	d.routeDroplets(main)
	d.routeTags(main)
	d.routeBalancers(main)
	d.routeClusters(main)
	d.routePools(pools)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == poolsPath || strings.HasPrefix(r.URL.Path, poolsPath+"/") {
			pools.ServeHTTP(rw, r)
			return
		}
		main.ServeHTTP(rw, r)
	})
}

// id gives the next number of an account's thing.
func (d *DigitalOcean) id() int {
	d.ids++
	return 500_000_000 + d.ids
}

// uuid gives the next UUID.
func (d *DigitalOcean) uuid() string {
	n := d.id()
	return fmt.Sprintf("%08x-0000-4000-8000-%012x", n, n)
}

// reply answers with a JSON document.
func reply(rw http.ResponseWriter, status int, doc any) {
	rw.Header().Set("Content-Type", "application/json; charset=utf-8")
	rw.WriteHeader(status)
	_ = json.NewEncoder(rw).Encode(doc)
}

// fail answers with an error as DigitalOcean writes it.
func (d *DigitalOcean) fail(rw http.ResponseWriter, status int, message string) {
	d.requests++
	reply(rw, status, map[string]string{
		"id":         errorID(status),
		"message":    message,
		"request_id": fmt.Sprintf("%08x-0000-4000-a000-%012x", d.requests, d.requests),
	})
}

// errorID is the word that an error has beside its message.
func errorID(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "unauthorized"
	case http.StatusUnprocessableEntity:
		return "unprocessable_entity"
	case http.StatusInternalServerError:
		return "server_error"
	default:
		return strings.ReplaceAll(strings.ToLower(http.StatusText(status)), " ", "_")
	}
}

func (d *DigitalOcean) notFound(rw http.ResponseWriter) {
	d.fail(rw, http.StatusNotFound, "The resource you were accessing could not be found.")
}

func (d *DigitalOcean) unprocessable(rw http.ResponseWriter, message string) {
	d.fail(rw, http.StatusUnprocessableEntity, message)
}

// read decodes a request's body; if it is none, it has answered.
func (d *DigitalOcean) read(rw http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		d.fail(rw, http.StatusBadRequest, "Unable to parse JSON request body.")
		return false
	}
	return true
}

// written is a time as DigitalOcean writes it.
func written(t time.Time) string { return t.UTC().Format(time.RFC3339) }
