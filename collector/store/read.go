package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	promrules "github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// accepts holds, per pool, the selectors of series written in from outside that
// may drive it. Never changed once it is published.
type accepts struct {
	byPool map[string][][]*labels.Matcher
	all    [][]*labels.Matcher
}

// Accept takes over which series written in from outside may drive which pool:
// PromQL selectors by pool. On an error nothing changes.
func (s *Store) Accept(byPool map[string][]string) error {
	a := &accepts{byPool: map[string][][]*labels.Matcher{}}
	for pool, selectors := range byPool {
		ms, err := s.parser.ParseMetricSelectors(selectors)
		if err != nil {
			return fmt.Errorf("parse what pool %s accepts: %w", pool, err)
		}
		a.byPool[pool] = ms
		a.all = append(a.all, ms...)
	}
	s.accept.Store(a)
	return nil
}

// everything reads both databases, for the API and for alerts.
func (s *Store) everything() both { return both{s} }

// both is the fan-out over the two databases.
type both struct{ *Store }

// Querier reads both databases as one.
func (b both) Querier(mint, maxt int64) (storage.Querier, error) {
	own, err := b.db.Querier(mint, maxt)
	if err != nil {
		return nil, err
	}
	in := b.received.db.Load()
	if in == nil {
		return own, nil
	}
	q, err := in.Querier(mint, maxt)
	if err != nil {
		return nil, errors.Join(err, own.Close())
	}
	return storage.NewMergeQuerier([]storage.Querier{own, q}, nil, storage.ChainedSeriesMerge), nil
}

// ChunkQuerier reads both databases as one, in chunks, for remote read.
func (b both) ChunkQuerier(mint, maxt int64) (storage.ChunkQuerier, error) {
	own, err := b.db.ChunkQuerier(mint, maxt)
	if err != nil {
		return nil, err
	}
	in := b.received.db.Load()
	if in == nil {
		return own, nil
	}
	q, err := in.ChunkQuerier(mint, maxt)
	if err != nil {
		return nil, errors.Join(err, own.Close())
	}
	return storage.NewMergeChunkQuerier([]storage.ChunkQuerier{own, q}, nil,
		storage.NewCompactingChunkSeriesMerger(storage.ChainedSeriesMerge)), nil
}

// trusted reads the own database, and of the received one only what the
// selectors match.
type trusted struct {
	*Store
	accept [][]*labels.Matcher
}

// Querier reads what is trusted as one.
func (t trusted) Querier(mint, maxt int64) (storage.Querier, error) {
	own, err := t.db.Querier(mint, maxt)
	if err != nil {
		return nil, err
	}
	in := t.received.db.Load()
	if in == nil || len(t.accept) == 0 {
		return own, nil
	}
	qs := []storage.Querier{own}
	for _, ms := range t.accept {
		q, err := in.Querier(mint, maxt)
		if err != nil {
			return nil, errors.Join(err, closeAll(qs))
		}
		qs = append(qs, narrowed{q, ms})
	}
	return storage.NewMergeQuerier(qs, nil, storage.ChainedSeriesMerge), nil
}

func closeAll(qs []storage.Querier) error {
	var errs []error
	for _, q := range qs {
		errs = append(errs, q.Close())
	}
	return errors.Join(errs...)
}

// narrowed sees only the series that match its selector.
type narrowed struct {
	storage.Querier
	ms []*labels.Matcher
}

// Select narrows what is selected.
func (n narrowed) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	return n.Querier.Select(ctx, sorted, hints, slices.Concat(ms, n.ms)...)
}

// LabelValues narrows whose label values are listed.
func (n narrowed) LabelValues(ctx context.Context, name string, hints *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return n.Querier.LabelValues(ctx, name, hints, slices.Concat(ms, n.ms)...)
}

// LabelNames narrows whose label names are listed.
func (n narrowed) LabelNames(ctx context.Context, hints *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return n.Querier.LabelNames(ctx, hints, slices.Concat(ms, n.ms)...)
}

// RuleQueryable is where the rule manager restores the state of alerts from: the
// own database, in which it was recorded.
func (s *Store) RuleQueryable() storage.Queryable { return s.db }

// RuleQuery answers the queries of rules, on an engine of its own. An alert may
// look at everything. What a rule records counts as the program's own and can
// drive pools, so it is computed from own and accepted series only.
func (s *Store) RuleQuery() promrules.QueryFunc {
	alert := promrules.EngineQueryFunc(s.engines.rules, s.everything())
	return func(ctx context.Context, q string, at time.Time) (promql.Vector, error) {
		if promrules.FromOriginContext(ctx).Kind != promrules.KindRecording {
			return alert(ctx, q, at)
		}
		return promrules.EngineQueryFunc(s.engines.rules, trusted{s, s.accept.Load().all})(ctx, q, at)
	}
}
