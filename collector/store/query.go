package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/util/annotations"

	"flyball/rules"
)

// Query answers a decision's query as of one time, over the own series and those
// of the received ones that the pool accepts.
//
// The reading's points are sorted by the label `member`; two series with the
// same value of it are an error. Seen holds, per member, the newest raw sample
// that the expression's selectors read, however it was folded; stale markers and
// anything after the time asked for are no samples. An answer of no series is
// [rules.ErrNoData], and comes with what was seen all the same.
func (s *Store) Query(ctx context.Context, q rules.Query, at time.Time) (rules.Reading, error) {
	pq, ok := q.(rules.PromQL)
	if !ok {
		return rules.Reading{}, fmt.Errorf("query store: %T is not a PromQL query", q)
	}
	w := newWitness(at)
	from := witnessed{trusted{s, s.accept.Load().byPool[pq.Pool]}, w}
	query, err := s.engines.decision.NewInstantQuery(ctx, from, nil, pq.Expr, at)
	if err != nil {
		return rules.Reading{}, fmt.Errorf("parse query: %w", err)
	}
	defer query.Close()
	res := query.Exec(ctx)
	if res.Err != nil {
		return rules.Reading{}, fmt.Errorf("query store: %w", res.Err)
	}
	r := w.reading()
	r.Partial = doubts(res.Warnings)
	r.Points, err = points(res)
	return r, err
}

// points turns an answer into one point per member.
func points(res *promql.Result) ([]rules.Point, error) {
	switch v := res.Value.(type) {
	case promql.Scalar:
		return []rules.Point{{Value: v.V}}, nil
	case promql.Vector:
		return vector(v)
	default:
		return nil, fmt.Errorf("query answers a %s: write an expression that answers an instant vector or a scalar", v.Type())
	}
}

func vector(v promql.Vector) ([]rules.Point, error) {
	if len(v) == 0 {
		return nil, rules.ErrNoData
	}
	ps := make([]rules.Point, 0, len(v))
	for _, sample := range v {
		if sample.H != nil {
			return nil, errors.New("query answers a native histogram: take a number of it, for instance with histogram_quantile or histogram_count")
		}
		ps = append(ps, rules.Point{Member: strings.Clone(sample.Metric.Get(memberLabel)), Value: sample.F})
	}
	slices.SortFunc(ps, func(a, b rules.Point) int { return cmp.Compare(a.Member, b.Member) })
	for i := range ps[1:] {
		if ps[i].Member == ps[i+1].Member {
			return nil, ambiguous(ps[i].Member)
		}
	}
	return ps, nil
}

func ambiguous(member string) error {
	if member == "" {
		return errors.New("query answers several series without the label member: aggregate by (member), or to a single value")
	}
	return fmt.Errorf("query answers several series for member %q: aggregate by (member)", member)
}

// doubts joins the warnings of an answer, each of which means that a part of
// the samples was left out. Notes on style are no warnings.
func doubts(as annotations.Annotations) string {
	var out []string
	for _, err := range as.AsErrors() {
		if !errors.Is(err, annotations.PromQLInfo) {
			out = append(out, err.Error())
		}
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}
