package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flyball/scaler/journal"
)

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
	return r, errors.Join(o.failed(), s.countEvents(ctx, r), s.countSamples(ctx, r), s.countDocuments(ctx, r))
}

// patience is how long what was shipped may take to be found.
const patience = 20 * time.Second

// slowest is after what time a scrape is in Flyball's store for sure.
const slowest = 3 * time.Second

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
	until := time.Now().Add(-slowest).Truncate(time.Second)
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
	return nil
}

// countDocuments counts all of metrics.
func (s *show) countDocuments(ctx context.Context, r *elasticReport) (err error) {
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
		s.view.say("Elasticsearch keeps %s", left)
	}
	if err != nil {
		err = fmt.Errorf("remove what the demo wrote to Elasticsearch (%s, %s): %w", e.metrics(), e.events(), err)
	}
	return err
}
