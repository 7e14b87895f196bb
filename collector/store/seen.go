package store

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"flyball/rules"
)

// memberLabel names the member that a series is of.
const memberLabel = "member"

// never is before every sample.
const never = math.MinInt64

// A witness writes down the newest sample that one query reads of each series,
// while the engine reads it: there is no second pass. An engine evaluates one
// query in one goroutine, so it needs no lock.
type witness struct {
	at    int64
	marks []*mark
}

// A mark is one series' newest sample, in milliseconds; [never] if none was read,
// or if a stale marker ended the series after it. A target that vanished is thus
// not seen, from the marker on, though its last sample is young.
type mark struct {
	member string
	newest int64
}

func newWitness(at time.Time) *witness { return &witness{at: at.UnixMilli()} }

// mark makes the place where the newest sample of a series is written down.
func (w *witness) mark(ls labels.Labels) *mark {
	m := &mark{strings.Clone(ls.Get(memberLabel)), never}
	w.marks = append(w.marks, m)
	return m
}

// reading gives what was seen: of each member, the newest of its series. A member
// of which no sample was read is left out.
func (w *witness) reading() rules.Reading {
	var r rules.Reading
	for _, m := range w.marks {
		if m.newest == never {
			continue
		}
		if r.Seen == nil {
			r.Seen = make(map[string]time.Time, len(w.marks))
		}
		at := time.UnixMilli(m.newest).UTC()
		if at.After(r.Seen[m.member]) {
			r.Seen[m.member] = at
		}
		if at.After(r.Newest) {
			r.Newest = at
		}
	}
	return r
}

// witnessed is a source whose every sample read is witnessed.
type witnessed struct {
	storage.Queryable
	w *witness
}

// Querier opens a reader.
func (q witnessed) Querier(mint, maxt int64) (storage.Querier, error) {
	inner, err := q.Queryable.Querier(mint, maxt)
	if err != nil {
		return nil, err
	}
	return witnessedQuerier{inner, q.w}, nil
}

type witnessedQuerier struct {
	storage.Querier
	w *witness
}

// Select selects, and bounds what counts as seen by the selector's own end: with
// an offset, the samples after it are read past, not used. Chunks are not cut to
// the selector's window first: the engine skips what is outside, and cutting them
// decodes them twice.
func (q witnessedQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	end := q.w.at
	if hints != nil {
		end = min(end, hints.End)
		whole := *hints
		whole.DisableTrimming = true
		hints = &whole
	}
	return witnessedSet{q.Querier.Select(ctx, sorted, hints, ms...), q.w, end}
}

type witnessedSet struct {
	storage.SeriesSet
	w   *witness
	end int64
}

// At wraps the series at hand.
func (s witnessedSet) At() storage.Series {
	series := s.SeriesSet.At()
	return &witnessedSeries{series, s.w.mark(series.Labels()), s.end}
}

type witnessedSeries struct {
	storage.Series
	mark *mark
	end  int64
}

// Iterator gives a witnessed iterator, and uses the one passed again if it can.
func (s *witnessedSeries) Iterator(it chunkenc.Iterator) chunkenc.Iterator {
	w, ok := it.(*witnessedIterator)
	if !ok {
		w = &witnessedIterator{}
	}
	w.Iterator = s.Series.Iterator(w.Iterator)
	w.mark, w.end = s.mark, s.end
	return w
}

type witnessedIterator struct {
	chunkenc.Iterator
	mark *mark
	end  int64
}

// At reads a number. The engine reads every sample of a selector's window, be it
// only to have passed it.
func (w *witnessedIterator) At() (int64, float64) {
	t, f := w.Iterator.At()
	w.write(t, f)
	return t, f
}

// AtHistogram reads a histogram.
func (w *witnessedIterator) AtHistogram(into *histogram.Histogram) (int64, *histogram.Histogram) {
	t, h := w.Iterator.AtHistogram(into)
	w.write(t, h.Sum)
	return t, h
}

// AtFloatHistogram reads a histogram.
func (w *witnessedIterator) AtFloatHistogram(into *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	t, h := w.Iterator.AtFloatHistogram(into)
	w.write(t, h.Sum)
	return t, h
}

// write writes a sample down, unless it was not yet written at the time asked
// for. A stale marker ends what was seen.
func (w *witnessedIterator) write(t int64, v float64) {
	switch {
	case t <= w.mark.newest || t > w.end:
	case value.IsStaleNaN(v):
		w.mark.newest = never
	default:
		w.mark.newest = t
	}
}
