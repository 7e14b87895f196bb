// Package collector scrapes and discovers: the targets of the `prometheus:`
// block, the members of our own pools, this host, and Flyball itself.
//
// Prometheus' scrape and discovery managers do the work. The members of a pool
// reach them as one more kind of discovery, and bear the labels `pool` and
// `member`, which a member cannot forge. This host and Flyball itself are
// scraped without a socket, so that neither TLS nor a login on the listener is
// in the way, and that there is something to see with no configuration at all.
package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	commonconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/logging"

	"flyball/rules"
)

// How long a change of targets is saved up before it is passed on. Both come
// one after the other, and together stay well under the second within which a
// new member has to be a target.
const (
	discoverEvery = 200 * time.Millisecond
	reloadEvery   = 300 * time.Millisecond
)

// Roster is who is in the pools now. It is safe for concurrent use.
type Roster interface {
	Members() map[string][]rules.Member // by pool; not to be written to
	Changed() <-chan struct{}           // closed at the next change of who is a member, and where
}

// Limiter takes over how many series one target of each scrape job may have.
type Limiter interface{ LimitScrapes(perJob map[string]int) }

// Options is what a collector is made of. All but Host is needed.
type Options struct {
	Appendable storage.AppendableV2
	Limiter    Limiter
	Roster     Roster
	Self       prometheus.Gatherer  // Flyball's own metrics; see [Own]
	Host       prometheus.Collector // this host; nil: it is not watched
	Name       string               // the label `instance` of this host and of Flyball itself
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

// Config is what to collect.
type Config struct {
	Prometheus *promconfig.Config
	Pools      map[string]Scrape // by pool
	Watch      Kinds
}

// Scrape is how a pool's members are scraped.
type Scrape struct {
	Path     string        // default /metrics
	Interval time.Duration // default: the global scrape interval
	Port     int           // default: that of the member's service
	Off      bool          // the members expose nothing
}

// Collector is the scrape and discovery managers and what feeds them.
type Collector struct {
	options   Options
	scrapes   *scrape.Manager
	discovery *discovery.Manager
	inside    *inside
	watch     *watch
	pools     atomic.Pointer[map[string]Scrape]
	cancel    context.CancelFunc // ends discovery
	finders   sync.WaitGroup     // discoverers of our own that run
	applying  sync.Mutex
}

// New makes a collector that collects nothing yet. Once it was given a
// configuration, Run has to be called, be it only to end what discovers.
func New(o Options) (*Collector, error) {
	ctx, cancel := context.WithCancel(context.Background())
	c := &Collector{options: o, cancel: cancel, watch: newWatch(o.Logger)}
	c.pools.Store(&map[string]Scrape{})
	var err error
	if c.inside, err = newInside(o, c.own()); err != nil {
		cancel()
		return nil, err
	}
	found, err := discovery.CreateAndRegisterSDMetrics(o.Registerer)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("register metrics of discovery: %w", err)
	}
	c.discovery = discovery.NewManager(ctx, o.Logger.With("component", "discovery"), o.Registerer, found,
		discovery.Name("scrape"), discovery.Updatert(discoverEvery))
	if c.discovery == nil { // it tells its error to the log alone
		cancel()
		return nil, errors.New("make discovery manager: see the log")
	}
	c.scrapes, err = scrape.NewManager(&scrape.Options{
		DiscoveryReloadInterval:  model.Duration(reloadEvery),
		DiscoveryReloadOnStartup: true,
		PassMetadataInContext:    true, // tells the store whose series they are
		HTTPClientOptions:        []commonconfig.HTTPClientOption{commonconfig.WithDialContextFunc(c.inside.dial)},
	}, o.Logger.With("component", "scrape"), logging.NewJSONFileLogger, nil, o.Appendable, o.Registerer)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("make scrape manager: %w", err)
	}
	return c, nil
}

// Scrapes is the scrape manager, for those who tell of targets.
func (c *Collector) Scrapes() *scrape.Manager { return c.scrapes }

// Verify tells whether a configuration could be applied, and changes nothing.
func (c *Collector) Verify(cfg Config) error {
	_, _, err := c.build(cfg, nil)
	return err // what is watched was checked when it was read: see [Kinds.Validate]
}

// Apply takes over a configuration. It checks before it changes anything; an
// error leaves what was. It is safe for concurrent use, and while Run runs.
func (c *Collector) Apply(cfg Config) error {
	c.applying.Lock()
	defer c.applying.Unlock()
	next, err := c.watch.prepare(cfg.Watch.entries())
	if err != nil {
		return err
	}
	full, found, err := c.build(cfg, next)
	if err != nil {
		return err
	}
	// The scrape manager goes first: it has to know a job before it is told the
	// job's targets.
	if err := c.scrapes.ApplyConfig(full); err != nil {
		return fmt.Errorf("apply scrape configuration: %w", err)
	}
	c.options.Limiter.LimitScrapes(sampleLimits(cfg.Prometheus))
	if err := c.discovery.ApplyConfig(found); err != nil {
		return fmt.Errorf("apply discovery configuration: %w", err)
	}
	c.watch.take(next)
	pools := cfg.Pools
	c.pools.Store(&pools)
	return nil
}

// Run scrapes until the context ends, and returns when nothing writes any more.
func (c *Collector) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	var served, scraped error
	wg.Go(func() { served = c.inside.run() })
	wg.Go(func() { _ = c.discovery.Run() }) // its error is its context's
	wg.Go(func() { scraped = c.scrapes.Run(c.discovery.SyncCh()) })
	<-ctx.Done()
	c.scrapes.Stop()
	c.cancel()
	c.inside.stop()
	wg.Wait()
	c.finders.Wait()
	c.watch.close()
	return errors.Join(served, scraped)
}
