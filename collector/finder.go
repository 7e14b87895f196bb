package collector

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/discovery/targetgroup"

	"flyball/rules"
)

// finderConfig discovers the members of one pool. It is compared field by field
// by the discovery manager, which keeps a finder whose configuration is the same.
type finderConfig struct {
	pool    string
	port    int
	roster  Roster
	running *sync.WaitGroup
}

// Name names the kind of discovery.
func (finderConfig) Name() string { return "pool" }

// NewDiscoverer makes the finder.
func (f finderConfig) NewDiscoverer(discovery.DiscovererOptions) (discovery.Discoverer, error) {
	f.running.Add(1) // the manager starts every finder that it makes
	return finder{f}, nil
}

// NewDiscovererMetrics makes no metrics: the discovery manager's tell enough.
func (finderConfig) NewDiscovererMetrics(prometheus.Registerer, discovery.RefreshMetricsInstantiator) discovery.DiscovererMetrics {
	return nil
}

type finder struct{ finderConfig }

// Run sends the pool's targets now and at every change, until the context ends.
func (f finder) Run(ctx context.Context, up chan<- []*targetgroup.Group) {
	defer f.running.Done()
	follow(ctx, up, f.roster.Changed, func() *targetgroup.Group {
		return group(f.pool, targets(f.roster.Members()[f.pool], f.port))
	})
}

// follow sends targets now and at every change, until the context ends.
func follow(ctx context.Context, up chan<- []*targetgroup.Group, changed func() <-chan struct{}, now func() *targetgroup.Group) {
	for {
		next := changed() // before the targets, lest a change is missed
		select {
		case up <- []*targetgroup.Group{now()}:
		case <-ctx.Done():
			return
		}
		select {
		case <-next:
		case <-ctx.Done():
			return
		}
	}
}

// targets lists the members that can be scraped: those that have an address and
// are not dead. Booting and draining ones are scraped like any other.
func targets(ms []rules.Member, port int) []model.LabelSet {
	out := []model.LabelSet{}
	for _, m := range ms {
		if m.Addr == "" || m.State == rules.Dead {
			continue
		}
		addr := m.Addr
		if host, _, err := net.SplitHostPort(addr); err == nil && port > 0 {
			addr = net.JoinHostPort(host, strconv.Itoa(port))
		}
		out = append(out, model.LabelSet{
			model.AddressLabel: model.LabelValue(addr),
			"member":           model.LabelValue(m.Name),
		})
	}
	return out
}

// PoolTargets answers with the targets of all pools, in the form that another
// Prometheus reads by http_sd_configs.
func (c *Collector) PoolTargets() http.Handler {
	type entry struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		scrapes := *c.pools.Load()
		members := c.options.Roster.Members()
		out := []entry{}
		for _, pool := range slices.Sorted(maps.Keys(members)) {
			for _, t := range targets(members[pool], scrapes[pool].Port) {
				ls := map[string]string{"pool": pool, "job": pool, "member": string(t["member"])}
				if path := scrapes[pool].Path; path != "" {
					ls[model.MetricsPathLabel] = path
				}
				out = append(out, entry{Targets: []string{string(t[model.AddressLabel])}, Labels: ls})
			}
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(out); err != nil {
			c.options.Logger.Debug("list of pool targets was not taken", "err", err)
		}
	})
}
