package collector

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
)

// collectPath is where targets are scraped: /collect/<kind>?target=<name>.
const collectPath = "/collect/"

// leastTime is what any scrape is given: one that is cut off sooner would tell of
// a target that hangs, and be wrong.
const leastTime = 500 * time.Millisecond

// spare is the share of a scraper's own deadline that is kept for the way back.
const spare = 10

// Targets answers scrapes of what is watched by another Prometheus: GET
// /collect/<kind>?target=<name>; GET /collect lists all. Of each target one such
// scrape is under way at a time, and others are turned away, so that whoever asks
// too much never keeps our own from their turn.
func (c *Collector) Targets() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /collect", c.index)
	mux.HandleFunc("GET "+collectPath+"{kind}", func(w http.ResponseWriter, r *http.Request) {
		t := c.watch.find(r.PathValue("kind"), r.URL.Query().Get("target"))
		if t != nil && !t.visited.TryLock() {
			http.Error(w, "another scrape of this target is under way: scrape it from one place, or less often", http.StatusServiceUnavailable)
			return
		}
		if t != nil {
			defer t.visited.Unlock()
		}
		c.collect(w, r)
	})
	return mux
}

// own answers our own scrapes.
func (c *Collector) own() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+collectPath+"{kind}", c.collect)
	return mux
}

func (c *Collector) collect(w http.ResponseWriter, r *http.Request) {
	kind, name := r.PathValue("kind"), r.URL.Query().Get("target")
	t := c.watch.find(kind, name)
	if t == nil {
		http.Error(w, missing(kind, name, c.watch.names(kind)), http.StatusNotFound)
		return
	}
	ctx, cancel := within(r)
	defer cancel()
	reg := prometheus.NewRegistry()
	if err := reg.Register(t.target.Within(ctx)); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	// What one part tells wrong must not cost the rest.
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}).ServeHTTP(w, r)
}

func missing(kind, name string, names []string) string {
	if len(names) == 0 {
		return fmt.Sprintf("nothing of the kind %q is watched: /collect lists what is; more is named under collect: in flyball.yaml", kind)
	}
	return fmt.Sprintf("no %s is called %q: ask with ?target= and one of %s", kind, name, strings.Join(names, ", "))
}

// within is a request's context, with the deadline that its scraper tells of.
func within(r *http.Request) (context.Context, context.CancelFunc) {
	s, err := strconv.ParseFloat(r.Header.Get("X-Prometheus-Scrape-Timeout-Seconds"), 64)
	if err != nil || s <= 0 || s > time.Hour.Seconds() {
		return r.Context(), func() {}
	}
	d := max(time.Duration(s*float64(time.Second)), leastTime)
	return context.WithTimeout(r.Context(), d-d/spare)
}

// jobs are the scrape jobs of what is watched: one a kind.
func (k *Kinds) jobs() []*promconfig.ScrapeConfig {
	var out []*promconfig.ScrapeConfig
	targets := map[string]discovery.StaticConfig{}
	for _, e := range k.entries() {
		if targets[e.kind] == nil {
			job := newJob(ownJobs + e.kind)
			job.MetricsPath = collectPath + e.kind
			out = append(out, job)
		}
		g := fixed(watchAddress, e.kind, e.name)
		g.Source = e.name
		g.Targets[0][model.ParamLabelPrefix+"target"] = model.LabelValue(e.name)
		targets[e.kind] = append(targets[e.kind], g)
	}
	for _, job := range out {
		job.ServiceDiscoveryConfigs = discovery.Configs{targets[strings.TrimPrefix(job.JobName, ownJobs)]}
	}
	return out
}
