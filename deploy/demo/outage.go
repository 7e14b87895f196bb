package demo

import (
	"context"
	"fmt"
	"time"

	"flyball/rules"
	"flyball/scaler/journal"
)

// An outage is how the pool was judged while Elasticsearch was cut off, and after.
type outage struct {
	held   int            // judgements that kept the size because nothing was heard
	others []string       // judgements after the first of those that were something else
	wentOn *time.Duration // from its return to the first judgement by the signal
}

// judged finds an outage in the pool's judgements, oldest first.
func judged(ticks []journal.Tick, cut, mend time.Time) outage {
	var o outage
	for _, t := range ticks {
		d := t.Out
		silent := d.Verdict == rules.Keep && d.Reason == rules.MissingData
		switch {
		case d.At.Before(cut):
		case d.At.Before(mend) && silent:
			o.held++
		case d.At.Before(mend) && o.held > 0:
			o.others = append(o.others, d.Line())
		case d.At.Before(mend): // what was heard last still counts
		case o.wentOn == nil && heard(d):
			took := d.At.Sub(mend)
			o.wentOn = &took
		}
	}
	return o
}

// heard reports whether all signals of a decision were.
func heard(d rules.Decision) bool {
	for _, s := range d.Signals {
		switch s.Reason {
		case rules.MissingData, rules.StaleData, rules.LowCoverage:
			return false
		}
	}
	return len(d.Signals) > 0
}

// cutOff cuts Flyball off from Elasticsearch, which goes on for everybody else.
func (s *show) cutOff(now time.Time) {
	s.stage.elastic.gate.shut()
	s.history.cut, s.history.mend = now, time.Time{}
	sc := s.stage.script
	s.history.note(now, "Elasticsearch is cut off for %s: the pool is to hold (%s)", sc.mend-sc.cut, rules.MissingData)
}

// reconnect ends that.
func (s *show) reconnect(now time.Time) {
	s.stage.elastic.gate.open()
	s.history.mend = now
	s.history.note(now, "Elasticsearch is back: the pool is to go on")
}

// An elasticReport tells of the Elasticsearch that the signal was read from. Lost
// is what Flyball holds and Elasticsearch does not.
type elasticReport struct {
	Cut           float64  `json:"cut_seconds"`
	Held          int      `json:"held"`     // judgements that kept the size for missing_data meanwhile
	NotHeld       int      `json:"not_held"` // others, after the first of those
	WentOn        *float64 `json:"went_on_seconds"`
	Documents     int      `json:"documents"` // of samples and datasets
	Samples       int      `json:"samples"`   // of http_workers, by way of example
	SamplesLost   int      `json:"samples_lost"`
	Events        int      `json:"events"`
	EventsLost    int      `json:"events_lost"`
	EventsDoubled int      `json:"events_doubled"`
}

// elasticsearch reports on the script that was played.
func (s *show) elasticsearch(ctx context.Context) (*elasticReport, error) {
	h := s.history
	ticks, err := s.api.ticks(ctx, h.cut, time.Now())
	if err != nil {
		return nil, err
	}
	o := judged(ticks, h.cut, h.mend)
	r := &elasticReport{Cut: h.mend.Sub(h.cut).Seconds(), Held: o.held, NotHeld: len(o.others)}
	if o.wentOn != nil {
		took := o.wentOn.Seconds()
		r.WentOn = &took
	}
	if err := s.countEvents(ctx, r); err != nil {
		return r, err
	}
	if err := s.countSamples(ctx, r); err != nil {
		return r, err
	}
	return r, o.failed()
}

// failed names what an outage should have shown and did not.
func (o outage) failed() error {
	switch {
	case o.held == 0:
		return fmt.Errorf("%w: Elasticsearch was cut off, and no judgement held the pool for it", ErrFailed)
	case len(o.others) > 0:
		return fmt.Errorf("%w: while Elasticsearch was cut off, the pool was judged otherwise: %s", ErrFailed, o.others[0])
	case o.wentOn == nil:
		return fmt.Errorf("%w: the signal was not heard again after Elasticsearch was back", ErrFailed)
	}
	return nil
}

// patience is how long what was shipped may take to be found.
const patience = 20 * time.Second

// untilFound asks until all is there. asked reports whether there was an answer
// at all.
func (s *show) untilFound(ctx context.Context, what string, all func(context.Context) (bool, error)) (asked bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last error
	err = poll(ctx, 500*time.Millisecond, what, func() bool {
		err := s.stage.elastic.refresh(ctx)
		found := false
		if err == nil {
			found, err = all(ctx)
		}
		if err == nil {
			asked = true
		} else {
			last = err
		}
		return found
	})
	if err != nil && !asked {
		return false, last
	}
	return asked, err
}

// compare counts the journal's entries against those in Elasticsearch.
func (r *elasticReport) compare(es []journal.Entry, there map[journal.Seq]int) {
	r.Events, r.EventsLost, r.EventsDoubled = 0, 0, 0
	for _, e := range es {
		n := there[e.Seq]
		r.Events += min(n, 1)
		r.EventsLost += max(1-n, 0)
		r.EventsDoubled += max(n-1, 0)
	}
}

// countEvents compares the journal's entries with those in Elasticsearch.
func (s *show) countEvents(ctx context.Context, r *elasticReport) error {
	es, err := s.api.entries(ctx, 0)
	if err != nil {
		return err
	}
	asked, err := s.untilFound(ctx, "the journal's entries to be in Elasticsearch", func(ctx context.Context) (bool, error) {
		there, err := s.stage.elastic.sequences(ctx)
		if err != nil {
			return false, err
		}
		r.compare(es, there)
		return r.EventsLost == 0, nil
	})
	switch {
	case !asked:
		return err
	case err != nil || r.EventsDoubled > 0:
		return fmt.Errorf("%w: of %d entries of the journal %d are not in Elasticsearch and %d are there twice",
			ErrFailed, len(es), r.EventsLost, r.EventsDoubled)
	}
	return nil
}

// countSamples compares one metric's samples since the script began with those in
// Elasticsearch.
func (s *show) countSamples(ctx context.Context, r *elasticReport) error {
	until := time.Now().Truncate(time.Second)
	from := s.history.began.Truncate(time.Second)
	held, err := s.api.samples(ctx, `http_workers{pool="web"}`, from, until)
	if err != nil {
		return err
	}
	all := map[string]any{"bool": map[string]any{"filter": []any{
		map[string]any{"exists": map[string]any{"field": "prometheus.metrics.http_workers"}},
		map[string]any{"term": map[string]any{"prometheus.labels.pool": "web"}},
		map[string]any{"range": map[string]any{"@timestamp": map[string]any{
			"gt": from.UnixMilli(), "lte": until.UnixMilli(), "format": "epoch_millis",
		}}},
	}}}
	asked, err := s.untilFound(ctx, "all samples to be in Elasticsearch", func(ctx context.Context) (bool, error) {
		n, err := s.stage.elastic.count(ctx, all)
		if err != nil {
			return false, err
		}
		r.Samples, r.SamplesLost = n, held-n
		return n == held, nil
	})
	switch {
	case !asked:
		return err
	case err != nil:
		return fmt.Errorf("%w: Flyball holds %d samples of http_workers, Elasticsearch %d", ErrFailed, held, r.Samples)
	}
	r.Documents, err = s.stage.elastic.count(ctx, map[string]any{"match_all": map[string]any{}})
	return err
}

// finish takes from Elasticsearch what was the demo's own, and says what is left.
func (s *show) finish(ctx context.Context) error {
	e := s.stage.elastic
	if e == nil {
		return nil
	}
	left, err := e.remove(ctx)
	if left != "" {
		s.view.say("In Elasticsearch, %s", left)
	}
	if err != nil {
		err = fmt.Errorf("remove what the demo wrote to Elasticsearch (%s, %s): %w", e.metrics(), e.events(), err)
	}
	return err
}
