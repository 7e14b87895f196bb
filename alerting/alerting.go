// Package alerting evaluates Prometheus rule groups whole: what rules record is
// stored, and alerts become pending, fire and are resolved, visible as the series
// ALERTS and at /api/v1/rules and /api/v1/alerts.
package alerting

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql/parser"
	promrules "github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
)

// Times of the rule manager. An alert that waited or fired before a restart goes
// on from there if the state it recorded is no older than outage. Prometheus
// forgets alerts with a `for` under ten minutes; a single node restarts too often
// for that, so here the grace is none.
const (
	outage      = time.Hour
	forGrace    = 0
	resendDelay = time.Minute
)

// Options is what rule groups are evaluated with. All but Shipped and ExternalURL is needed.
type Options struct {
	Shipped     fs.FS               // rule files that come with Flyball, named with [Shipped] before
	Recorded    storage.Appendable  // where rules write
	State       storage.Queryable   // where the state of alerts is restored from
	Query       promrules.QueryFunc // answers expressions
	ExternalURL *url.URL            // links in alerts
	Registerer  prometheus.Registerer
	Logger      *slog.Logger
}

// Groups is the rule groups in force. It is safe for concurrent use.
type Groups struct {
	manager *promrules.Manager
	loader  loader
	url     *url.URL
	told    *prometheus.CounterVec

	mu     sync.Mutex
	offset time.Duration // global.rule_query_offset
}

// New makes the manager of rule groups, with none. Once it was given files, Run
// has to be called, be it only to end what waits for it.
func New(o Options) *Groups {
	if o.ExternalURL == nil {
		o.ExternalURL = &url.URL{}
	}
	g := &Groups{
		loader: loader{o.Shipped, parser.NewParser(parser.Options{}), o.Logger},
		url:    o.ExternalURL,
		told: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flyball_alerting_alerts_total",
			Help: "Alerts told of by rules, each again every minute while it fires and for a while after it is resolved.",
		}, []string{"state"}),
	}
	o.Registerer.MustRegister(g.told)
	g.told.WithLabelValues("firing")
	g.told.WithLabelValues("resolved")
	g.manager = promrules.NewManager(&promrules.ManagerOptions{
		ExternalURL:            o.ExternalURL,
		QueryFunc:              o.Query,
		NotifyFunc:             g.tell,
		Context:                context.Background(), // evaluations end by Stop, which waits for them
		Appendable:             o.Recorded,
		Queryable:              o.State,
		Logger:                 o.Logger.With("component", "rules"),
		Registerer:             o.Registerer,
		OutageTolerance:        outage,
		ForGracePeriod:         forGrace,
		ResendDelay:            resendDelay,
		DefaultRuleQueryOffset: g.queryOffset,
		GroupLoader:            g.loader,
		Parser:                 g.loader.parser,
	})
	return g
}

// Files lists the rule files that patterns name, sorted, each once.
func Files(patterns []string) ([]string, error) {
	var out []string
	for _, p := range patterns {
		fs, err := filepath.Glob(p)
		if err != nil {
			return nil, fmt.Errorf("list rule files %q: %w", p, err)
		}
		out = append(out, fs...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// Check reads rule files and tells of every mistake in them: file, line, column.
func (g *Groups) Check(c *promconfig.Config, files []string) error {
	var all []error
	for _, f := range files {
		_, errs := g.loader.Load(f, false, c.GlobalConfig.MetricNameValidationScheme)
		all = append(all, errs...)
	}
	return errors.Join(all...)
}

// Apply replaces the rule groups by those of the files. It checks first; an
// error leaves what was. Groups that did not change go on undisturbed, and
// alerts of those that did keep their state.
func (g *Groups) Apply(c *promconfig.Config, files []string) error {
	if err := g.Check(c, files); err != nil {
		return err
	}
	g.mu.Lock()
	g.offset = time.Duration(c.GlobalConfig.RuleQueryOffset)
	g.mu.Unlock()
	every := time.Duration(c.GlobalConfig.EvaluationInterval)
	if err := g.manager.Update(every, files, c.GlobalConfig.ExternalLabels, g.url.String(), nil); err != nil {
		return fmt.Errorf("apply rule files: %w", err)
	}
	return nil
}

// Run evaluates until the context ends, and returns when nothing is written any more.
func (g *Groups) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(g.manager.Run)
	<-ctx.Done()
	g.manager.Stop()
	wg.Wait()
	return nil
}

// RuleGroups lists the groups, for the API.
func (g *Groups) RuleGroups() []*promrules.Group { return g.manager.RuleGroups() }

// AlertingRules lists the alerting rules, for the API.
func (g *Groups) AlertingRules() []*promrules.AlertingRule { return g.manager.AlertingRules() }

func (g *Groups) queryOffset() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.offset
}

// tell counts what an alerting rule tells of.
func (g *Groups) tell(_ context.Context, _ string, alerts ...*promrules.Alert) {
	for _, a := range alerts {
		state := "firing"
		if !a.ResolvedAt.IsZero() {
			state = "resolved"
		}
		g.told.WithLabelValues(state).Inc()
	}
}
