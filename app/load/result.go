package load

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Figures are what is told of a run or of a step. Latencies are in milliseconds,
// in the open model from the time at which a request was due.
type Figures struct {
	Requests   int     `json:"requests"` // due, sent or not
	Failed     int     `json:"failed"`
	Throughput float64 `json:"throughput"` // expected answers per second
	P50        float64 `json:"p50_ms"`
	P95        float64 `json:"p95_ms"`
	P99        float64 `json:"p99_ms"`
	Max        float64 `json:"max_ms"`
}

// StepResult is the result of one step. Requests, failures and latencies are those of the
// requests due in it; throughput is of the answers that came in it.
type StepResult struct {
	Name  string  `json:"name"`
	Level float64 `json:"level"` // users or requests per second, mean
	From  float64 `json:"from_seconds"`
	To    float64 `json:"to_seconds"`
	Figures
}

// Result is what came of a run.
type Result struct {
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"` // until the last answer
	Figures
	Errors map[string]int `json:"errors"` // failed requests by kind
	Steps  []StepResult   `json:"steps,omitempty"`
	Knee   *Knee          `json:"knee,omitempty"`
}

// result gives the figures. The load ended at one time and its last answer came at
// a later one; steps that did not begin before the end are left out.
func (r *recorder) result(ended, answered time.Time) Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	length := ended.Sub(r.start)
	res := Result{
		Started: r.start,
		Seconds: answered.Sub(r.start).Seconds(),
		Figures: r.all.figures(answered.Sub(r.start)),
		Errors:  maps.Clone(r.errs),
	}
	for i := range r.steps {
		s := &r.steps[i]
		if s.from >= length {
			break
		}
		to := min(s.to, length)
		res.Steps = append(res.Steps, StepResult{
			Name: s.name, Level: s.level, From: s.from.Seconds(), To: to.Seconds(),
			Figures: s.figures(to - s.from),
		})
	}
	res.Knee = findKnee(res.Steps)
	return res
}

func (c count) figures(length time.Duration) Figures {
	return Figures{
		Requests:   c.requests,
		Failed:     c.failed,
		Throughput: rate(c.good, length.Seconds()),
		P50:        milliseconds(c.hist, 50),
		P95:        milliseconds(c.hist, 95),
		P99:        milliseconds(c.hist, 99),
		Max:        longest(c.hist),
	}
}

func longest(h *hdrhistogram.Histogram) float64 { return float64(h.Max()) / 1000 }

// Text writes the result for people.
func (r Result) Text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "STEP\tREQUESTS\tFAILED\tPER SECOND\tP50 MS\tP95 MS\tP99 MS\tMAX MS\t")
	for _, s := range r.Steps {
		s.line(t, s.Name)
	}
	r.line(t, "all")
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	_, err := fmt.Fprintf(w, "\nfailed: %d of %d%s\n%s", r.Failed, r.Requests, errorList(r.Errors), r.kneeText())
	if err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

func (f Figures) line(w io.Writer, name string) {
	fmt.Fprintf(w, "%s\t%d\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t\n", name, f.Requests, f.Failed, f.Throughput, f.P50, f.P95, f.P99, f.Max)
}

// errorList writes the kinds of failures, sorted, or nothing.
func errorList(errs map[string]int) string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(errs)) {
		parts = append(parts, fmt.Sprintf("%s %d", kind, errs[kind]))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func (r Result) kneeText() string {
	switch {
	case len(ascending(r.Steps)) < 2:
		return ""
	case r.Knee == nil:
		return "throughput was still growing at the highest step\n"
	}
	return fmt.Sprintf("throughput stopped growing at %s: %.1f per second, p99 %.1f ms\n", r.Knee.Step, r.Knee.Throughput, r.Knee.P99)
}
