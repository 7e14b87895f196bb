package store

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/alecthomas/units"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/compression"
	promruntime "github.com/prometheus/prometheus/util/runtime"
)

// The shares of a retention by size or percentage. What others write in can
// never push out what decisions are made of.
const (
	ownShare      = 0.9
	receivedShare = 0.1
)

// defaultRetention holds where the configuration names neither time nor size.
const defaultRetention = 15 * 24 * time.Hour

// openOwn opens the database of what is scraped and recorded.
func openOwn(o Options, room *room) (*tsdb.DB, error) {
	opts := databaseOptions(o.Config, ownShare)
	opts.SeriesLifecycleCallback = room
	return openDatabase(filepath.Join(o.Dir, "tsdb"), o, o.Registerer, opts)
}

func openDatabase(dir string, o Options, reg prometheus.Registerer, opts *tsdb.Options) (*tsdb.DB, error) {
	db, err := tsdb.Open(dir, o.Logger.With("component", "tsdb", "dir", filepath.Base(dir)), reg, opts, tsdb.NewDBStats())
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", dir, err)
	}
	return db, nil
}

// databaseOptions follows Prometheus' server: compressed log, two-hour blocks
// that grow to a tenth of the retention, at most 31 days.
func databaseOptions(c *promconfig.Config, share float64) *tsdb.Options {
	keep := retention(c)
	opts := tsdb.DefaultOptions()
	opts.WALCompression = compression.Snappy
	opts.RetentionDuration = time.Duration(keep.Time).Milliseconds()
	opts.MaxBytes = int64(float64(keep.Size) * share)
	opts.MaxPercentage = keep.Percentage * share
	opts.MaxBlockDuration = (31 * 24 * time.Hour).Milliseconds()
	if r := opts.RetentionDuration; r > 0 {
		opts.MaxBlockDuration = max(opts.MinBlockDuration, min(opts.MaxBlockDuration, r/10))
	}
	opts.FsSizeFunc = promruntime.FsSize
	opts.XOR2EncodingAllowed = true
	if t := c.StorageConfig.TSDBConfig; t != nil {
		opts.OutOfOrderTimeWindow = max(t.OutOfOrderTimeWindow, 0)
		opts.StaleSeriesCompactionThreshold = t.StaleSeriesCompactionThreshold
	}
	if e := c.StorageConfig.ExemplarsConfig; e != nil {
		opts.EnableExemplarStorage = true
		opts.MaxExemplars = e.MaxExemplars
	}
	return opts
}

// retention reads how long and how much to keep. Prometheus' loader leaves the
// default to its command line, so it is filled in here.
func retention(c *promconfig.Config) promconfig.TSDBRetentionConfig {
	var keep promconfig.TSDBRetentionConfig
	if t := c.StorageConfig.TSDBConfig; t != nil && t.Retention != nil {
		keep = *t.Retention
	}
	if keep.Time == 0 && keep.Size == 0 && keep.Percentage == 0 {
		keep.Time = model.Duration(defaultRetention)
	}
	return keep
}

// withRetention copies a configuration with one database's share of the retention.
func withRetention(c *promconfig.Config, keep promconfig.TSDBRetentionConfig, share float64) *promconfig.Config {
	var t promconfig.TSDBConfig
	if c.StorageConfig.TSDBConfig != nil {
		t = *c.StorageConfig.TSDBConfig
	}
	keep.Size = units.Base2Bytes(float64(keep.Size) * share)
	keep.Percentage *= share
	t.Retention = &keep
	own := *c
	own.StorageConfig.TSDBConfig = &t
	return &own
}
