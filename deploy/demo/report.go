package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// A report is what --report writes. The p99s are the worst second of the calm
// before the rise (its first three seconds left out: the app warms up), of the
// whole run, and of the hold's last seconds, twenty at the most.
type report struct {
	Requests   int     `json:"requests"`
	Failed     int     `json:"failed"`
	MembersMax int     `json:"members_max"`
	MembersEnd int     `json:"members_end"`
	FirstOut   float64 `json:"first_scale_out_seconds"` // from the load's crossing to the decision
	ScaleOuts  int     `json:"scale_outs"`
	ScaleIns   int     `json:"scale_ins"`
	Kills      int     `json:"kills"`
	P99Before  float64 `json:"p99_ms_before"`
	P99Worst   float64 `json:"p99_ms_worst"`
	P99After   float64 `json:"p99_ms_after"`
	Decisions  int     `json:"decisions"`

	Elasticsearch *elasticReport `json:"elasticsearch,omitempty"`
}

// conclude writes the report of a script that was played to its end, and judges it.
func (s *show) conclude(ctx context.Context) error {
	s.observe(ctx)
	s.sum()
	var elastic error
	if s.stage.elastic != nil {
		s.report.Elasticsearch, elastic = s.elasticsearch(ctx)
	}
	s.view.conclude(s.report)
	if err := s.save(); err != nil {
		return err
	}
	return errors.Join(s.failed(), elastic)
}

// sum fills in what the load and the journal told.
func (s *show) sum() {
	h, r, sc := s.history, &s.report, s.stage.script
	_, before := sc.span("CALM")
	from, after := sc.span("HOLD")
	from = max(after-20*time.Second, (from+after)/2)
	r.Requests, r.Failed = h.last.Answers, h.last.Failed
	r.MembersEnd, r.Decisions = len(h.pool.Members), h.all
	r.ScaleOuts, r.ScaleIns = h.outs, h.ins
	r.P99Worst = h.worst().p99
	for _, x := range h.samples {
		r.MembersMax = max(r.MembersMax, x.members)
		switch {
		case x.at > 3*time.Second && x.at <= before:
			r.P99Before = max(r.P99Before, x.p99)
		case x.at > from && x.at <= after:
			r.P99After = max(r.P99After, x.p99)
		}
	}
	if !h.firstOut.IsZero() {
		r.FirstOut = (h.since(h.firstOut) - sc.crossing()).Seconds()
	}
}

// save writes the report to the file that it is wanted in.
func (s *show) save() error {
	if s.o.Report == "" {
		return nil
	}
	b, err := json.MarshalIndent(s.report, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.o.Report, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// failed names what the load and the pool should have shown and did not.
func (s *show) failed() error {
	r := s.report
	switch {
	case r.Failed > 0:
		return fmt.Errorf("%w: %d of %d requests failed: %v", ErrFailed, r.Failed, r.Requests, s.history.last.Errors)
	case s.stage.elastic != nil && (r.ScaleOuts == 0 || r.ScaleIns == 0):
		return fmt.Errorf("%w: the pool grew %d times and shrank %d times", ErrFailed, r.ScaleOuts, r.ScaleIns)
	}
	return nil
}
