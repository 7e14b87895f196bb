// Package store is the embedded Prometheus: it keeps what is scraped and what
// rules record, answers decisions and people, and passes samples on to others.
//
// There are two databases below one directory. The one in `tsdb` holds what this
// program scraped and recorded itself. The one in `received` holds what others
// wrote in (remote write), and exists only once somebody has. Reading over the
// API is a fan-out over both. A decision reads the first, and of the second only
// the series that its pool accepts: a label is easily forged, so whoever may
// write in may not thereby resize a pool.
//
// Decisions, rules, the API and who computes datasets each have a PromQL engine of
// their own, so that heavy queries of one never make another wait for a place.
//
// A follower that reads the samples stretch by stretch draws a line with
// [Store.Settle], and is told of samples that come late.
package store

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/logging"
)

// Options is what a store is opened with. Dir is needed, all else has a default.
type Options struct {
	Dir        string             // holds tsdb/ and received/
	Config     *promconfig.Config // retention and exemplars; nil is Prometheus' default
	Limits     Limits
	Flush      time.Duration // how long closing waits for remote write to empty its queues; default 10 s
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

// Store is the two databases and everything that reads and writes them. It is
// safe for concurrent use.
type Store struct {
	dir      string
	logger   *slog.Logger
	metrics  *metrics
	parser   parser.Parser
	db       *tsdb.DB // scraped and recorded
	received *received
	remote   *remote.Storage
	write    storage.Storage // db behind the limits, and remote
	gate     *gate
	tide     *tide
	engines  engines
	accept   atomic.Pointer[accepts]
	scraper  atomic.Pointer[scrape.Manager]
	closed   atomic.Bool
	born     time.Time
	reg      prometheus.Registerer
	retained atomic.Pointer[promconfig.TSDBRetentionConfig]
}

// Open opens the databases, reading their write-ahead logs, and makes the
// engines. A store that was opened must be closed.
func Open(o Options) (_ *Store, err error) {
	o = o.withDefaults()
	s := &Store{
		dir:     o.Dir,
		logger:  o.Logger,
		metrics: newMetrics(o.Registerer),
		parser:  parser.NewParser(parser.Options{}),
		born:    time.Now().UTC(),
		reg:     o.Registerer,
		tide:    newTide(),
	}
	keep := retention(o.Config)
	s.retained.Store(&keep)
	s.accept.Store(&accepts{})

	room := newRoom(o.Limits.Series, s.metrics)
	s.db, err = openOwn(o, room)
	if err != nil {
		return nil, err
	}
	room.use(s.db.Head())
	defer func() {
		if err != nil {
			err = errors.Join(err, s.db.Close())
		}
	}()
	if s.engines, err = newEngines(filepath.Join(o.Dir, "tsdb"), o.Registerer, o.Logger, s.parser); err != nil {
		return nil, err
	}
	s.gate = newGate(s.db, o.Limits.Scrape, s.metrics, s.tide)
	s.remote = remote.NewStorage(o.Logger.With("component", "remote write"), o.Registerer, s.db.StartTime,
		s.db.Dir(), o.Flush, managed{&s.scraper}, false)
	s.db.SetWriteNotified(s.remote)
	s.write = storage.NewFanout(o.Logger, gatedDB{DB: s.db, gate: s.gate}, s.remote)
	s.received = newReceived(o, s.metrics)
	if err = s.received.reopen(); err != nil {
		return nil, errors.Join(err, s.remote.Close(), s.engines.close())
	}
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.Config == nil {
		c := promconfig.DefaultConfig
		o.Config = &c
	}
	if o.Flush == 0 {
		o.Flush = 10 * time.Second
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Apply takes over a new configuration: retention, the out-of-order window,
// exemplars, remote write, the default step of subqueries and the query log.
// The configuration has been checked by Prometheus' own loader and [Check].
func (s *Store) Apply(c *promconfig.Config) error {
	own := withRetention(c, retention(c), ownShare)
	if err := s.db.ApplyConfig(own); err != nil {
		return fmt.Errorf("apply storage configuration: %w", err)
	}
	if err := s.received.apply(c); err != nil {
		return fmt.Errorf("apply storage configuration to received series: %w", err)
	}
	if err := s.remote.ApplyConfig(c); err != nil {
		return fmt.Errorf("apply remote write configuration: %w", err)
	}
	if err := s.engines.apply(c); err != nil {
		return err
	}
	keep := retention(c)
	s.retained.Store(&keep)
	return nil
}

// SetScrapeManager tells remote write where the metadata of scraped metrics is.
func (s *Store) SetScrapeManager(m *scrape.Manager) { s.scraper.Store(m) }

// LimitScrapes sets, per scrape job, how many series one target may have. A job
// that is not named has the limit of [Limits].
func (s *Store) LimitScrapes(perJob map[string]int) { s.gate.limitJobs(perJob) }

// Committed is signalled after series with the label `pool` were committed.
// Signals coalesce: one that nobody took stands for all since.
func (s *Store) Committed() <-chan struct{} { return s.gate.committed }

// Appendable is where scrapes go: the own database behind the series limits,
// and remote write.
func (s *Store) Appendable() storage.AppendableV2 { return s.write }

// Recorded is where rules write what they record, in the older form that the
// rule manager still asks for.
func (s *Store) Recorded() storage.Appendable { return s.write }

// Close flushes remote write and closes both databases. Whatever scrapes,
// records or writes in must have ended before.
func (s *Store) Close() error {
	s.closed.Store(true)
	return errors.Join(s.write.Close(), s.received.close(), s.engines.close())
}

// managed hands the scrape manager to remote write once there is one.
type managed struct {
	p *atomic.Pointer[scrape.Manager]
}

func (m managed) Get() (*scrape.Manager, error) {
	if sm := m.p.Load(); sm != nil {
		return sm, nil
	}
	return nil, errors.New("scraping has not begun")
}

// queryLog opens a query log file, or none for the empty name.
func queryLog(file string) (*logging.JSONFileLogger, error) {
	l, err := logging.NewJSONFileLogger(file)
	if err != nil {
		return nil, fmt.Errorf("open query log: %w", err)
	}
	return l, nil
}
