package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	promconfig "github.com/prometheus/prometheus/config"
	"golang.org/x/sync/errgroup"

	"flyball/alerting"
	"flyball/collector"
	"flyball/collector/elastic"
	"flyball/collector/elastic/ecs"
	"flyball/collector/host"
	"flyball/collector/store"
	"flyball/rules"
	"flyball/rules/shipped"
	"flyball/rules/source"
	"flyball/scaler"
	"flyball/scaler/journal"
	"flyball/scaler/pool"
)

// An appliance is the whole service.
type appliance struct {
	file     string // configuration file; "" is none
	config   atomic.Pointer[Config]
	log      *slog.Logger
	registry *prometheus.Registry
	gatherer prometheus.Gatherer
	guard    guard
	reloads  sync.Mutex
	commit   string // of the rules in force; guarded by reloads, as the next
	ruled    int    // scale rules in force

	journal   *journal.Journal
	store     *store.Store
	roster    *scaler.Roster
	collector *collector.Collector
	groups    *alerting.Groups
	elastic   *elastic.Shipper
	fleet     *fleet
	scaler    *scaler.Scaler
	listener  net.Listener
}

// open wires the service, in the order in which the data goes through it: what is
// scraped goes to the store, is judged by rules and the scaler, and what they do
// goes to the journal and to the pools. State opens first and closes last.
func open(c Config, file string, log *slog.Logger) (_ *appliance, err error) {
	a := &appliance{file: file, log: log, registry: prometheus.NewRegistry()}
	a.config.Store(&c)
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a.gatherer = collector.Own(a.registry)
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	set, err := loadRules(c)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Data, 0o750); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	if a.journal, err = journal.Open(c.Data, journal.Options{Log: log, Metrics: a.registry}); err != nil {
		return nil, err
	}
	if a.guard, err = newGuard(c); err != nil {
		return nil, err
	}
	if a.listener, err = net.Listen("tcp", c.Listen); err != nil {
		return nil, fmt.Errorf("listen: %w (another flyball may run; `listen:` names another address)", err)
	}
	if a.store, err = store.Open(store.Options{
		Dir: c.Data, Config: c.Prometheus, Limits: store.Limits(c.Limits), Registerer: a.registry, Logger: log,
	}); err != nil {
		return nil, err
	}
	a.roster = scaler.NewRoster()
	if a.collector, err = a.newCollector(c); err != nil {
		return nil, err
	}
	a.store.SetScrapeManager(a.collector.Scrapes())
	a.groups = alerting.New(alerting.Options{
		Shipped: shipped.Files(), Recorded: a.store.Recorded(), State: a.store.RuleQueryable(), Query: a.store.RuleQuery(),
		Registerer: a.registry, Logger: log,
	})
	a.elastic = a.newElastic(c)
	a.fleet = newFleet(c.Data, log, pool.NewMetrics(a.registry))
	a.scaler = scaler.New(scaler.Options{
		Querier: a, Journal: a.journal, Roster: a.roster, Wake: a.store.Committed(),
		Site: c.Site, Version: version, Logger: log, Registerer: a.registry,
	})
	if err := a.apply(c, set); err != nil {
		return nil, err
	}
	return a, errors.Join(a.noteLife("start"), a.noteLoad("start", nil))
}

// newElastic makes what keeps an Elasticsearch supplied; the configuration's may come and go.
func (a *appliance) newElastic(c Config) *elastic.Shipper {
	host, err := os.Hostname()
	if err != nil {
		a.log.Warn("the name of this machine is not known, and stands in no document", "err", err)
	}
	return elastic.New(elastic.Options{
		Store: a.store, Journal: a.journal, Members: a.roster.Names, Dir: c.Data,
		Agent: ecs.Agent{ID: a.journal.Identity(), Host: host, Version: version, Site: c.Site},
		Log:   a.log.With("component", "elasticsearch"), Metrics: a.registry,
	})
}

// Query answers a signal of a rule from where it is read: Elasticsearch, or the store.
func (a *appliance) Query(ctx context.Context, q rules.Query, at time.Time) (rules.Reading, error) {
	if _, ok := q.(rules.Elastic); ok {
		return a.elastic.Query(ctx, q, at)
	}
	return a.store.Query(ctx, q, at)
}

func (a *appliance) newCollector(c Config) (*collector.Collector, error) {
	o := collector.Options{
		Appendable: a.store.Appendable(), Limiter: a.store, Roster: a.roster, Self: a.gatherer,
		Name: c.Listen, Registerer: a.registry, Logger: a.log,
	}
	if c.Collect.Host != nil {
		h, err := host.New(host.Options{Proc: c.Collect.Host.Proc, Sys: c.Collect.Host.Sys, Logger: a.log})
		if err != nil {
			return nil, err
		}
		o.Host = h
	}
	return collector.New(o)
}

// apply gives every part the configuration: first all check it, then all take it over.
func (a *appliance) apply(c Config, set *source.Set) error {
	files, err := ruleFiles(c, set)
	if err != nil {
		return err
	}
	if err := a.groups.Check(c.Prometheus, files); err != nil {
		return err
	}
	next, err := a.fleet.prepare(c.Pools)
	if err != nil {
		return err
	}
	line, err := a.elastic.Prepare(c.Elasticsearch, slowest(c.Prometheus))
	if err != nil {
		return err
	}
	scrapes := collector.Config{Prometheus: c.Prometheus, Pools: map[string]collector.Scrape{}, Watch: c.Collect.Kinds}
	accept := map[string][]string{}
	for name, p := range c.Pools {
		accept[name], scrapes.Pools[name] = p.Accept, collector.Scrape{Path: p.Metrics}
	}
	if err := a.collector.Verify(scrapes); err != nil {
		return err
	}
	if err := a.store.Accept(accept); err != nil {
		return err
	}
	if err := a.elastic.Take(line); err != nil {
		return err
	}
	if err := a.collector.Apply(scrapes); err != nil {
		return err
	}
	if err := a.store.Apply(c.Prometheus); err != nil {
		return err
	}
	if err := a.groups.Apply(c.Prometheus, files); err != nil {
		return err
	}
	for name := range c.Pools {
		if !slices.ContainsFunc(set.Scale, func(r rules.Scale) bool { return r.Pool == name }) {
			a.log.Warn("pool has no scale rule and is only watched", "pool", name, "rules", c.Rules.Dir)
		}
	}
	a.scaler.Apply(a.fleet.take(next), set.Scale)
	a.config.Store(&c)
	a.commit, a.ruled = set.Commit, len(set.Scale)
	return nil
}

// slowest is the longest interval at which anything is scraped.
func slowest(c *promconfig.Config) time.Duration {
	longest := c.GlobalConfig.ScrapeInterval
	for _, s := range c.ScrapeConfigs {
		longest = max(longest, s.ScrapeInterval)
	}
	return time.Duration(longest)
}

// ruleFiles are the files of Prometheus rule groups: the user's, those that the
// `prometheus:` block names, and those that come with Flyball.
func ruleFiles(c Config, set *source.Set) ([]string, error) {
	named, err := alerting.Files(c.Prometheus.RuleFiles)
	if err != nil {
		return nil, err
	}
	files := slices.Concat(set.Groups, named)
	if c.Rules.Shipped {
		own, err := fs.Glob(shipped.Files(), "*.rules.yaml")
		if err != nil {
			return nil, fmt.Errorf("list shipped rules: %w", err)
		}
		for _, f := range own {
			files = append(files, alerting.Shipped+f)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// loadRules reads the rule files that a configuration names.
func loadRules(c Config) (*source.Set, error) {
	set, problems := source.Load(c.Rules.Dir, c.Known())
	if len(problems) > 0 {
		return nil, usage(source.Problems(problems))
	}
	return set, nil
}

// run lives until the context ends, and returns when everything has drained.
func (a *appliance) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.collector.Run(ctx) })
	g.Go(func() error { return a.groups.Run(ctx) })
	g.Go(func() error { return a.elastic.Run(ctx) })
	g.Go(func() error { return a.fleet.run(ctx) })
	g.Go(func() error { return a.scaler.Run(ctx) })
	g.Go(func() error { return a.serve(ctx, a.listener) })
	g.Go(func() error { return a.hangups(ctx) })
	a.log.Info("flyball runs", "version", version, "listen", a.listener.Addr(), "data", a.config.Load().Data,
		"pools", slices.Sorted(maps.Keys(a.config.Load().Pools)))
	return errors.Join(g.Wait(), a.noteLife("stop"))
}

// hangups reloads on SIGHUP.
func (a *appliance) hangups(ctx context.Context) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
			_ = a.reload("SIGHUP") // it has logged what is wrong
		}
	}
}

// reload reads configuration and rules again. A mistake leaves all as it was.
func (a *appliance) reload(by string) error {
	a.reloads.Lock()
	defer a.reloads.Unlock()
	err := a.reread()
	if err != nil {
		a.log.Error("reload refused, all stays as it was", "by", by, "err", err)
	} else {
		a.log.Info("reloaded", "by", by)
	}
	return errors.Join(err, a.noteLoad(by, err))
}

func (a *appliance) reread() error {
	old := a.config.Load()
	c, err := loadConfig(a.file)
	if err != nil {
		return err
	}
	if old.File != "" && c.File == "" {
		return fmt.Errorf("configuration %s is gone", old.File)
	}
	if c.Data != old.Data || c.Listen != old.Listen || c.Site != old.Site {
		return errors.New("data, listen and site take effect at a restart only")
	}
	set, err := loadRules(c)
	if err != nil {
		return err
	}
	return a.apply(c, set)
}

// close closes the state, in reverse, once nothing alive uses it any more.
func (a *appliance) close() error {
	var errs []error
	if a.listener != nil {
		_ = a.listener.Close() // the server may have closed it
	}
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	if a.journal != nil {
		errs = append(errs, a.journal.Close())
	}
	return errors.Join(errs...)
}

// apiOptions is what the Prometheus API tells of besides samples.
func (a *appliance) apiOptions() store.APIOptions {
	return store.APIOptions{
		Targets: a.collector.Scrapes(), Rules: a.groups, Gatherer: a.gatherer, Listen: a.listener.Addr().String(),
		Config:   func() *promconfig.Config { return a.config.Load().Prometheus },
		Revision: version,
	}
}
