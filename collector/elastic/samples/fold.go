package samples

import (
	"context"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// fold reads what is sent coarser: the stretches that end in the window, whole.
func (r *reader) fold(ctx context.Context, w *window) error {
	for i, x := range r.cache.selection.coarser {
		whole := x.whole(w.stretch)
		if whole.From >= whole.To {
			continue
		}
		for n, ms := range x.match {
			err := r.each(ctx, whole, ms, func(s *series, it chunkenc.Iterator) error {
				if s.way != i || x.match[:n].matches(s.labels) { // another's, or taken already
					return nil
				}
				if w.count > r.most && whole.To-whole.From > x.every {
					return errTooMany
				}
				f := folding{w: w, c: r.cache, x: x, s: s}
				return f.run(whole, it)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// whole are the stretches of x, end to end, whose last millisecond is in s.
func (x coarser) whole(s stretch) stretch {
	from := s.From - mod(s.From, x.every)
	return stretch{from, s.To - mod(s.To, x.every)}
}

// A fold is what stands for the samples of a stretch.
type fold struct {
	count                  int
	last, sum, least, most float64
}

func (f *fold) add(v float64) {
	if f.count == 0 {
		*f = fold{1, v, v, v, v}
		return
	}
	f.count++
	f.last = v
	f.sum += v
	f.least, f.most = min(f.least, v), max(f.most, v)
}

// of is the number that stands for the samples of a metric.
func (f *fold) of(m *metric, how string) float64 {
	if how == auto || how == "" {
		how = avg
		if m.counter {
			how = last
		}
	}
	switch how {
	case avg:
		return f.sum / float64(f.count)
	case least:
		return f.least
	case most:
		return f.most
	}
	return f.last
}

// A folding folds one series, stretch by stretch.
type folding struct {
	w                  *window
	c                  *cache
	x                  coarser
	s                  *series
	end                int64 // of the stretch at hand
	number, count, sum fold
}

// run takes one sample for each stretch that has any.
func (f *folding) run(whole stretch, it chunkenc.Iterator) error {
	f.end = whole.From + f.x.every
	for t := it.Next(); t != chunkenc.ValNone; t = it.Next() {
		at := it.AtT()
		if at >= whole.To {
			break
		}
		if at < whole.From {
			continue
		}
		if at >= f.end {
			f.flush()
			f.end = at - mod(at, f.x.every) + f.x.every
		}
		f.take(it, t)
	}
	f.flush()
	return it.Err()
}

// take takes the sample that it is at, unless it is none that can be reckoned with.
func (f *folding) take(it chunkenc.Iterator, t chunkenc.ValueType) {
	if t == chunkenc.ValFloat {
		_, v := it.At()
		if why := unfit(v); why != "" {
			f.w.skipped[why]++
			return
		}
		f.number.add(v)
		return
	}
	_, h := it.AtFloatHistogram(nil)
	if why := unfit(h.Sum); why != "" {
		f.w.skipped[why]++
		return
	}
	f.s.histogram(f.c)
	f.count.add(h.Count)
	f.sum.add(h.Sum)
}

// flush ends a stretch.
func (f *folding) flush() {
	f.flushOne(&f.number, f.s.metric)
	f.flushOne(&f.count, f.s.count)
	f.flushOne(&f.sum, f.s.sum)
}

func (f *folding) flushOne(of *fold, m *metric) {
	if of.count > 0 {
		f.w.add(f.s.group, m, f.end-1, of.of(m, f.x.fold))
	}
	*of = fold{}
}
