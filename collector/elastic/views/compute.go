package views

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/prometheus/promql"
)

// errTooMuch is a stretch that is to be done in shorter ones.
var errTooMuch = errors.New("the stretch is too long")

// stretch computes and delivers a stretch of all views. The only errors are
// errTooMuch and that ctx ended.
func (r *Runner) stretch(ctx context.Context, s stretch) (effort, error) {
	var spent effort
	b := batch{deliver: r.o.Deliver, runner: r}
	widest := 1
	for _, l := range r.layouts {
		begun := time.Now()
		rs, present, err := r.compute(ctx, l, s)
		took := time.Since(begun)
		spent.computing += took
		r.o.Metrics.computing.Add(took.Seconds())
		if err != nil {
			return spent, err
		}
		widest = max(widest, len(rs.all)*len(l.queries))
		if err := b.view(ctx, l, rs, present); err != nil {
			return spent, err
		}
	}
	r.steps = min(max(1, mostValues/widest), mostSteps)
	spent.documents = b.total
	return spent, b.flush(ctx)
}

// compute asks a view's expressions, and says at which steps it has documents at all.
func (r *Runner) compute(ctx context.Context, l *layout, s stretch) (*records, []bool, error) {
	rs := newRecords(l, s)
	present := make([]bool, s.count)
	there, err := r.ask(ctx, l.view.Name+" when", "group("+l.when+"\n)", s)
	if err != nil || len(there) == 0 {
		return rs, present, err
	}
	for _, series := range there {
		for _, p := range series.Floats {
			if i := s.index(p.T); i >= 0 {
				present[i] = true
			}
		}
	}
	for i, q := range l.queries {
		m, err := r.ask(ctx, l.view.Name+" "+q.name, q.expr, s)
		if err != nil {
			return rs, present, err
		}
		rs.add(i, m)
	}
	return rs, present, nil
}

// tries are how often an expression that fails is asked at one time, a while apart.
const tries = 3

// ask asks one expression over a stretch. What failed again and again is left out,
// and asked once a stretch from then on until it does not fail. One that fails over
// several times is first asked for fewer.
func (r *Runner) ask(ctx context.Context, key, expr string, s stretch) (promql.Matrix, error) {
	for try := 1; ; try++ {
		m, err := r.o.Range.Range(ctx, expr, s.from, s.last(), s.every)
		if err == nil {
			r.mend(key)
			return m, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		known := r.fails(key)
		if !known && s.count > 1 {
			return nil, errTooMuch
		}
		if known || try == tries {
			r.give(key, expr, err)
			return nil, nil
		}
		sleep(ctx, time.Duration(try)*time.Second)
	}
}

func (r *Runner) fails(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.broken[key]
	return ok
}

// give gives an expression up, and says so once.
func (r *Runner) give(key, expr string, err error) {
	r.o.Metrics.failures.Inc()
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.broken[key]; !known {
		r.o.Log.Error("expression of a view fails: its field is left out", "field", key, "query", expr, "err", err)
	}
	r.broken[key] = err.Error()
}

func (r *Runner) mend(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.broken[key]; known {
		delete(r.broken, key)
		r.o.Log.Info("expression of a view works again", "field", key)
	}
}
