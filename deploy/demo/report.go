package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// A report is what --report writes. The p99s are the worst second of the calm
// before the rise (its first three seconds left out: the app warms up), of the
// whole run, and of the hold's last twenty seconds.
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
}

// conclude writes the report of a script that was played to its end, and judges it.
func (s *show) conclude(ctx context.Context) error {
	s.observe(ctx)
	h, r := s.history, &s.report
	r.Requests, r.Failed = h.last.Answers, h.last.Failed
	r.MembersEnd, r.Decisions = len(h.pool.Members), h.all
	r.ScaleOuts, r.ScaleIns = h.outs, h.ins
	r.P99Worst = h.worst().p99
	for _, x := range h.samples {
		r.MembersMax = max(r.MembersMax, x.members)
		switch {
		case x.at > 3*time.Second && x.at <= 20*time.Second:
			r.P99Before = max(r.P99Before, x.p99)
		case x.at > 100*time.Second && x.at <= 120*time.Second:
			r.P99After = max(r.P99After, x.p99)
		}
	}
	if !h.firstOut.IsZero() {
		r.FirstOut = (h.since(h.firstOut) - crossing()).Seconds()
	}
	s.view.conclude(*r)
	if s.o.Report != "" {
		b, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(s.o.Report, append(b, '\n'), 0o644); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	if r.Failed > 0 {
		return fmt.Errorf("%w: %d of %d requests failed: %v", ErrFailed, r.Failed, r.Requests, h.last.Errors)
	}
	return nil
}
