package views

import "time"

// A gap is time that was given up.
type gap struct {
	from, until time.Time // from is zero if there is none
	told        time.Time // when the one before was told of
}

// seldom is how often gaps are told of at most: where less is computed than the time
// goes on by, each stretch leaves one.
const seldom = 10 * time.Minute

// skip gives up what is too old for the data streams.
func (r *Runner) skip(now time.Time) {
	oldest := floor(now.Add(-reach), r.o.Every)
	until := r.Status().Until
	if until.Before(oldest) {
		lost := oldest.Sub(until).Seconds()
		r.o.Metrics.skipped.Add(lost)
		r.mu.Lock()
		r.status.Skipped += lost
		r.mu.Unlock()
		if r.skipped.from.IsZero() {
			r.skipped.from = until
		}
		r.skipped.until = oldest
		r.move(oldest)
	}
	if now.Sub(r.skipped.told) >= seldom {
		r.tellSkipped()
		r.skipped.told = now
	}
}

// tellSkipped tells of what was given up since it was told of last, as one gap.
func (r *Runner) tellSkipped() {
	g := r.skipped
	if g.from.IsZero() {
		return
	}
	r.skipped.from = time.Time{}
	r.o.Log.Error("datasets are not computed for times before the reach of their data streams", "from", g.from, "to", g.until)
	r.o.Skipped(g.from, g.until)
}
