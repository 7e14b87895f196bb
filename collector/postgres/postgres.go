// Package postgres reads a PostgreSQL server over SQL, on one connection that it
// keeps open between scrapes. Names and labels are those of postgres_exporter
// where it has the metric; what it has not is named in the same manner.
//
// It takes versions 13 to 18, of which 15 is the one that it is tested with: a
// metric whose column a version lacks is not given. It needs the role pg_monitor
// and nothing more. With less, the parts that are not permitted fail with the
// reason permission, and the others are read. Statements are ended by the server
// before their part's time is up, wait for no lock, and write nothing.
//
// It differs from postgres_exporter on purpose:
//
//   - Lag is never made up. A standby that does not hear of its primary has no
//     lag, see [lag]; an idle one has 0.
//   - There is no label server: instance says it.
//   - pg_stat_activity_count and pg_stat_activity_max_tx_duration have no more
//     labels than datname and state, so that their series are bounded, and the
//     latter is of clients alone.
//   - Of the settings only those are told that one watches or computes with.
//   - Tables and statements are the largest, and those left out are counted. The
//     text of a statement is never told, for it may hold a password.
//   - What is not known has no series, where postgres_exporter says 0 or NaN.
package postgres

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"flyball/collector/exporter"
)

// Kind is the prefix of all metrics.
const Kind = "pg"

// A target is one server. It is used by one goroutine at a time, as an exporter does.
type target struct {
	config Config
	conn   *pgx.Conn     // nil: none was opened yet
	limit  time.Duration // the server's own limit on a statement of ours
	facts  facts         // as of this scrape
	trail  trail         // of the position up to which the standbys, or this one, have something to replay
}

// New makes the exporter of a server. Nothing is reached yet.
func New(c Config, log *slog.Logger) (*exporter.Exporter, error) {
	t := &target{config: c.withDefaults()}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return exporter.New(exporter.Options{
		Kind: Kind, Timeout: t.config.Timeout, Reach: t.reach, Parts: t.parts(), Close: t.close, Logger: log.With("target", c.Name),
	}), nil
}

// Parts lists what a server may tell, for its documentation.
func Parts() []exporter.Part {
	return (&target{config: Config{Tables: 1, Statements: 1}}).parts()
}

// Table documents all metrics in Markdown.
func Table() string { return exporter.Table(Kind, Parts()) }

// parts are in the order in which they are read: first what is wanted most, last
// what may take long.
func (t *target) parts() []exporter.Part {
	parts := []exporter.Part{
		t.server(), t.replication(), t.standbys(),
		t.part(slots()...),
		t.part(t.activity()...),
		t.part(t.locks()...),
		t.part(t.databases()...),
		t.part(wraparound()),
		t.part(background()...),
		t.part(wal()...),
		t.part(archiver()),
		t.settings(),
		t.part(walFiles()),
		t.databaseSizes(),
	}
	if t.config.Tables > 0 {
		parts = append(parts, t.part(t.tables()...), t.part(t.tableSizes()))
	}
	if t.config.Statements > 0 {
		parts = append(parts, t.statements())
	}
	return parts
}

// part is what some views tell. A view that cannot be read does not cost the others.
func (t *target) part(views ...view) exporter.Part {
	p := exporter.Part{Name: views[0].part}
	for _, v := range views {
		p.Metrics = append(p.Metrics, v.metrics()...)
	}
	p.Read = func(ctx context.Context, s *exporter.Sink) error {
		var errs []error
		for _, v := range views {
			errs = append(errs, t.read(ctx, v, s))
		}
		return errors.Join(errs...)
	}
	return p
}
