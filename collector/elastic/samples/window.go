package samples

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// A Source holds the samples: a store.
type Source interface {
	// Everything reads all samples.
	Everything() storage.Queryable
	// Oldest is from when on samples are kept: those that were scraped or recorded here,
	// and all. Zero if there are none.
	Oldest() (own, all time.Time)
	// Settle draws a line: from its return on, whoever commits samples before until first
	// calls late with their span, and waits for it; and no commit is under way that did not.
	Settle(until time.Time, late func(from, to time.Time))
}

// Why a sample is not sent.
const (
	stale     = "stale"
	nan       = "nan"
	infinite  = "infinite"
	duplicate = "duplicate"
	tooLong   = "label_length"
)

// A window is the samples of a stretch, by group. There is one at a time: rows are
// kept with the groups.
type window struct {
	stretch
	groups  []*group
	count   int
	skipped map[string]int
}

// mostSamples is how many samples a window holds.
const mostSamples = 200_000

// errTooMany means that a stretch holds more samples than a window may.
var errTooMany = errors.New("stretch holds too many samples")

// A reader reads windows from the store.
type reader struct {
	source Source
	cache  *cache
	most   int // samples of a window
}

// read reads a stretch: what is sent as it is, and then what more adds. It is
// errTooMany if that is more than a window may hold and can be divided.
func (r *reader) read(ctx context.Context, s stretch, more ...func(context.Context, *window) error) (*window, error) {
	w := &window{stretch: s, skipped: map[string]int{}}
	for _, fill := range append([]func(context.Context, *window) error{r.fill}, more...) {
		if err := fill(ctx, w); err != nil {
			w.clear()
			return nil, err
		}
	}
	for _, g := range w.groups {
		byTime := func(a, b row) int { return cmp.Compare(a.at, b.at) }
		if !slices.IsSortedFunc(g.rows, byTime) {
			slices.SortFunc(g.rows, byTime)
		}
	}
	return w, nil
}

// clear forgets the samples.
func (w *window) clear() {
	for _, g := range w.groups {
		g.rows = g.rows[:0]
	}
	w.groups, w.count = nil, 0
}

// fill reads what is sent as it is.
func (r *reader) fill(ctx context.Context, w *window) error {
	return r.each(ctx, w.stretch, everything(), func(s *series, it chunkenc.Iterator) error {
		if s.way != asItIs {
			return nil
		}
		for t := it.Next(); t != chunkenc.ValNone; t = it.Next() {
			at := it.AtT()
			if at < w.From {
				continue
			}
			if at >= w.To {
				break
			}
			w.sample(r.cache, s, it, t)
		}
		if w.count > r.most && w.To-w.From > 1 {
			return errTooMany
		}
		return it.Err()
	})
}

// everything matches all series.
func everything() []*labels.Matcher {
	return []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "", "")}
}

// each calls do with each series that has samples in a stretch.
func (r *reader) each(ctx context.Context, s stretch, ms []*labels.Matcher, do func(*series, chunkenc.Iterator) error) (err error) {
	q, err := r.source.Everything().Querier(s.From, s.To-1)
	if err != nil {
		return fmt.Errorf("read samples: %w", err)
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	set := q.Select(ctx, false, &storage.SelectHints{Start: s.From, End: s.To - 1, DisableTrimming: true}, ms...)
	var it chunkenc.Iterator
	for set.Next() {
		at := set.At()
		it = at.Iterator(it)
		if err := do(r.cache.get(at.Labels()), it); err != nil {
			return err
		}
	}
	if err := set.Err(); err != nil {
		return fmt.Errorf("read samples: %w", err)
	}
	return nil
}

// sample takes the sample that it is at.
func (w *window) sample(c *cache, s *series, it chunkenc.Iterator, t chunkenc.ValueType) {
	if t == chunkenc.ValFloat {
		at, v := it.At()
		w.add(s.group, s.metric, at, v)
		return
	}
	at, h := it.AtFloatHistogram(nil)
	w.histogram(c, s, at, h)
}

// histogram takes count and sum of a native histogram.
func (w *window) histogram(c *cache, s *series, at int64, h *histogram.FloatHistogram) {
	if value.IsStaleNaN(h.Sum) {
		w.skipped[stale]++
		return
	}
	s.histogram(c)
	w.add(s.group, s.count, at, h.Count)
	w.add(s.group, s.sum, at, h.Sum)
}

// histogram gives names to what is sent of a native histogram.
func (s *series) histogram(c *cache) {
	if s.count == nil {
		s.count, s.sum = c.metric(s.metric.name+"_count"), c.metric(s.metric.name+"_sum")
	}
}

// add takes a sample, unless it is none that can be sent.
func (w *window) add(g *group, m *metric, at int64, v float64) {
	if why := unfit(v); why != "" {
		w.skipped[why]++
		return
	}
	if len(g.rows) == 0 {
		w.groups = append(w.groups, g)
	}
	g.rows = append(g.rows, row{at: at, value: v, metric: m})
	w.count++
}

// unfit says why a number cannot be sent; "" if it can.
func unfit(v float64) string {
	switch {
	case value.IsStaleNaN(v):
		return stale
	case v != v:
		return nan
	case math.IsInf(v, 0):
		return infinite
	}
	return ""
}
