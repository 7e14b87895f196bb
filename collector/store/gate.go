package store

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

// poolLabel is on everything that is scraped from a pool's members.
const poolLabel = "pool"

// gate stands before the own database. It refuses new series over a target's
// limit, swallows the refusals of both limits (a refused series must not cost
// the scrape it came with), and tells when a pool's series were committed.
type gate struct {
	db        *tsdb.DB
	shares    *shares
	refused   prometheus.Counter
	committed chan struct{}
	tide      *tide
}

func newGate(db *tsdb.DB, perScrape int, m *metrics, t *tide) *gate {
	return &gate{
		db:        db,
		tide:      t,
		shares:    newShares(perScrape),
		refused:   m.refused.WithLabelValues(byScrape),
		committed: make(chan struct{}, 1),
	}
}

func (g *gate) limitJobs(perJob map[string]int) { g.shares.limitJobs(perJob) }

func (g *gate) signal() {
	select {
	case g.committed <- struct{}{}:
	default:
	}
}

// gatedDB is the own database with its writers behind the gate.
type gatedDB struct {
	*tsdb.DB
	gate *gate
}

// AppenderV2 opens a writer behind the gate.
func (d gatedDB) AppenderV2(ctx context.Context) storage.AppenderV2 {
	app := d.DB.AppenderV2(ctx)
	known, _ := app.(storage.GetRef)
	return &gated{
		AppenderV2: app,
		gate:       d.gate,
		known:      known,
		share:      d.gate.shares.get(ctx, d.DB.Head(), time.Now()),
	}
}

// Appender opens a writer in the older form, for the rule manager.
func (d gatedDB) Appender(ctx context.Context) storage.Appender {
	return &forgiving{Appender: d.DB.Appender(ctx), wake: d.gate.signal, tide: d.gate.tide}
}

// gated is one transaction behind the gate.
type gated struct {
	storage.AppenderV2
	gate   *gate
	known  storage.GetRef
	share  *share // nil: not a scrape
	pooled bool
	taken  int64 // series written, without the scrape's own report
	fresh  int64 // of these, new ones
	times  span
}

// Append writes a sample, or leaves it out without an error if its series is new
// and a limit is reached.
func (a *gated) Append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, o storage.AOptions) (storage.SeriesRef, error) {
	if ref == 0 {
		a.notice(ls)
		if ref = a.find(ls); ref == 0 && !a.admit(ls, v) {
			a.gate.refused.Inc()
			return 0, nil
		}
	}
	got, err := a.AppenderV2.Append(ref, ls, st, t, v, h, fh, o)
	if errors.Is(err, errRefused) {
		return 0, nil
	}
	if err == nil || got != 0 {
		a.times.add(t)
	}
	if err == nil && !value.IsStaleNaN(v) {
		a.taken++
	}
	return got, err
}

// notice remembers that a series of a pool came by. Only unknown references are
// looked at, which spares the known ones, nearly all, the search for a label.
func (a *gated) notice(ls labels.Labels) {
	if a.pooled || !ls.Has(poolLabel) {
		return
	}
	a.pooled = true
	if a.share != nil {
		a.share.pooled.Store(true)
	}
}

// find looks up a series that is new to the scrape but not to the database.
func (a *gated) find(ls labels.Labels) storage.SeriesRef {
	if a.share == nil || a.share.limit.Load() == 0 || a.known == nil {
		return 0
	}
	ref, _ := a.known.GetRef(ls, ls.Hash())
	return ref
}

// admit decides on a new series, and counts it.
func (a *gated) admit(ls labels.Labels, v float64) bool {
	if a.share == nil || value.IsStaleNaN(v) {
		return true
	}
	limit := a.share.limit.Load()
	if limit > 0 && a.share.live.Load()+a.fresh >= limit && !a.reports(ls) {
		return false
	}
	a.fresh++
	return true
}

// reports tells whether a series is the scrape's own report, which bears the
// target's labels and no other. A target that exposes a metric of such a name
// adds labels, or has them renamed.
func (a *gated) reports(ls labels.Labels) bool {
	return isReport(ls.Get(model.MetricNameLabel)) && ls.Len() == a.share.labels.Len()+1
}

// Commit commits, remembers the target's share, and signals.
func (a *gated) Commit() error {
	if err := a.gate.tide.commit(a.times, a.AppenderV2.Commit); err != nil {
		return err
	}
	if a.share != nil {
		a.settle()
	}
	if a.pooled || a.share != nil && a.share.pooled.Load() {
		a.gate.signal()
	}
	return nil
}

// A scrape reports five series about itself, eight with the extra ones.
const (
	leastReport = 5
	mostReport  = 8
)

// settle takes over how many series the target has now. A failed scrape wrote
// its report alone and says nothing of the target's series.
func (a *gated) settle() {
	if a.taken > mostReport {
		a.share.live.Store(a.taken - leastReport)
	}
}

// forgiving is the thin shim for those who still write in the older form. A
// refused series is left out without an error.
type forgiving struct {
	storage.Appender
	wake   func() // after a commit that had a pool's series; may be nil
	tide   *tide
	times  span
	pooled bool
	out    bool // the series written last was refused
}

// Append writes a sample, unless its series is refused.
func (a *forgiving) Append(ref storage.SeriesRef, ls labels.Labels, t int64, v float64) (storage.SeriesRef, error) {
	a.pooled = a.pooled || ls.Has(poolLabel)
	got, err := a.Appender.Append(ref, ls, t, v)
	return a.forgive(t, got, err)
}

// AppendHistogram writes a histogram, unless its series is refused.
func (a *forgiving) AppendHistogram(ref storage.SeriesRef, ls labels.Labels, t int64, h *histogram.Histogram, fh *histogram.FloatHistogram) (storage.SeriesRef, error) {
	a.pooled = a.pooled || ls.Has(poolLabel)
	got, err := a.Appender.AppendHistogram(ref, ls, t, h, fh)
	return a.forgive(t, got, err)
}

// AppendSTZeroSample writes the zero that a counter starts from, unless its series is refused.
func (a *forgiving) AppendSTZeroSample(ref storage.SeriesRef, ls labels.Labels, t, st int64) (storage.SeriesRef, error) {
	got, err := a.Appender.AppendSTZeroSample(ref, ls, t, st)
	return a.forgive(st, got, err)
}

// AppendHistogramSTZeroSample writes the zero that a histogram starts from, unless its series is refused.
func (a *forgiving) AppendHistogramSTZeroSample(ref storage.SeriesRef, ls labels.Labels, t, st int64, h *histogram.Histogram, fh *histogram.FloatHistogram) (storage.SeriesRef, error) {
	got, err := a.Appender.AppendHistogramSTZeroSample(ref, ls, t, st, h, fh)
	return a.forgive(st, got, err)
}

// AppendExemplar writes an exemplar of the series written last, unless that was refused.
func (a *forgiving) AppendExemplar(ref storage.SeriesRef, ls labels.Labels, e exemplar.Exemplar) (storage.SeriesRef, error) {
	if a.out {
		return 0, nil
	}
	return a.Appender.AppendExemplar(ref, ls, e)
}

// UpdateMetadata writes metadata of the series written last, unless that was refused.
func (a *forgiving) UpdateMetadata(ref storage.SeriesRef, ls labels.Labels, m metadata.Metadata) (storage.SeriesRef, error) {
	if a.out {
		return 0, nil
	}
	return a.Appender.UpdateMetadata(ref, ls, m)
}

// forgive takes a refusal for no error, and notes the time of what was written.
func (a *forgiving) forgive(t int64, ref storage.SeriesRef, err error) (storage.SeriesRef, error) {
	if a.out = errors.Is(err, errRefused); a.out {
		return 0, nil
	}
	if err == nil {
		a.times.add(t)
	}
	return ref, err
}

// Commit commits and signals.
func (a *forgiving) Commit() error {
	if err := a.tide.commit(a.times, a.Appender.Commit); err != nil {
		return err
	}
	if a.pooled && a.wake != nil {
		a.wake()
	}
	return nil
}
