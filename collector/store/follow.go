package store

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

// Everything reads both databases as one, as the API does.
func (s *Store) Everything() storage.Queryable { return s.everything() }

// Oldest is the time from which on samples are kept: those that were scraped or
// recorded, and all, those written in from outside included. Zero if there are none.
// What is older has been dropped, for its age or for want of room.
func (s *Store) Oldest() (own, all time.Time) {
	own, in := oldest(s.db), oldest(s.received.db.Load())
	if own.IsZero() || !in.IsZero() && in.Before(own) {
		return own, in
	}
	return own, own
}

// oldest is the least time of a database's blocks and of what is in memory, the
// samples that came out of order included.
func oldest(db *tsdb.DB) time.Time {
	if db == nil {
		return time.Time{}
	}
	least := min(db.Head().MinTime(), max(db.Head().MinOOOTime(), 0))
	for _, b := range db.Blocks() {
		least = min(least, b.Meta().MinTime)
	}
	if least == math.MaxInt64 {
		return time.Time{}
	}
	return time.UnixMilli(least).UTC()
}

// Range evaluates an expression at each step of a stretch, both ends included,
// over both databases, on an engine that nothing else asks.
func (s *Store) Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) (promql.Matrix, error) {
	q, err := s.engines.ranges.NewRangeQuery(ctx, s.everything(), nil, expr, from, to, step)
	if err != nil {
		return nil, fmt.Errorf("parse query: %w", err)
	}
	defer q.Close()
	res := q.Exec(ctx)
	if res.Err != nil {
		return nil, fmt.Errorf("query store: %w", res.Err)
	}
	m, err := res.Matrix()
	if err != nil {
		return nil, fmt.Errorf("query store: %w", err)
	}
	return clone(m), nil
}

// clone copies an answer, whose memory goes back to the engine.
func clone(m promql.Matrix) promql.Matrix {
	out := make(promql.Matrix, len(m))
	for i, s := range m {
		out[i] = promql.Series{
			Metric: s.Metric.Copy(), DropName: s.DropName,
			Floats: append([]promql.FPoint(nil), s.Floats...), Histograms: append([]promql.HPoint(nil), s.Histograms...),
		}
	}
	return out
}
