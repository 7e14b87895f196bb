package load

import (
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// step is a part of a run with figures of its own.
type step struct {
	name     string
	level    float64 // users or requests per second, mean
	from, to time.Duration
}

// highest is the longest latency that is told apart from longer ones.
const highest = 10 * time.Minute

// newHistogram records microseconds to three digits.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, highest.Microseconds(), 3)
}

func record(h *hdrhistogram.Histogram, d time.Duration) {
	// A value within the bounds is always taken.
	_ = h.RecordValue(min(max(d, time.Microsecond), highest).Microseconds())
}

func milliseconds(h *hdrhistogram.Histogram, quantile float64) float64 {
	return float64(h.ValueAtQuantile(quantile)) / 1000
}

// recorder counts a run. It is safe for concurrent use.
type recorder struct {
	mu     sync.Mutex
	start  time.Time
	steps  []stepCount
	all    count
	second count // since the last progress
	told   time.Time
	onWire int
	nSent  int
	ended  int
	errs   map[string]int
}

// count is what is counted of any stretch of time.
type count struct {
	requests int // due
	failed   int
	good     int // expected answers that came within the stretch
	hist     *hdrhistogram.Histogram
}

type stepCount struct {
	step
	count
	answers int // of requests due within the step
}

func newRecorder(start time.Time, steps []step) *recorder {
	r := &recorder{start: start, told: start, errs: map[string]int{}}
	r.all.hist, r.second.hist = newHistogram(), newHistogram()
	for _, s := range steps {
		r.steps = append(r.steps, stepCount{step: s, count: count{hist: newHistogram()}})
	}
	return r
}

// at finds the step of a time, or nil.
func (r *recorder) at(t time.Time) *stepCount {
	since := t.Sub(r.start)
	for i := range r.steps {
		if s := &r.steps[i]; since >= s.from && since < s.to {
			return s
		}
	}
	return nil
}

// due counts a request that is due.
func (r *recorder) due(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all.requests++
	r.second.requests++
	if s := r.at(at); s != nil {
		s.requests++
	}
}

// sent counts a request that goes out.
func (r *recorder) sent() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nSent++
	r.onWire++
}

// unsent counts a request that was due and could not be sent.
func (r *recorder) unsent(due time.Time, kind string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail(due, kind)
}

func (r *recorder) fail(due time.Time, kind string) {
	r.errs[kind]++
	r.all.failed++
	r.second.failed++
	if s := r.at(due); s != nil {
		s.failed++
	}
}

// done counts the end of a request: when it was due, when it ended, and how it
// failed or "". The latency of failed requests counts too, as users wait for them too.
func (r *recorder) done(due, end time.Time, kind string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.onWire--
	r.ended++
	took := end.Sub(due)
	record(r.all.hist, took)
	record(r.second.hist, took)
	if s := r.at(due); s != nil {
		record(s.hist, took)
		s.answers++
	}
	if kind != "" {
		r.fail(due, kind)
		return
	}
	r.all.good++
	r.second.good++
	if s := r.at(end); s != nil {
		s.good++
	}
}

// Progress is how a run stands. Rates and latencies are those since the last
// progress, one second ago; totals are of the whole run. A request that has not
// been answered yet is in no latency.
type Progress struct {
	At         time.Time      `json:"at"`
	Elapsed    float64        `json:"elapsed_seconds"`
	Offered    float64        `json:"offered"`    // requests due per second
	Throughput float64        `json:"throughput"` // expected answers per second
	Sent       int            `json:"sent"`
	Answers    int            `json:"answers"` // requests that have ended, failed ones included
	Failed     int            `json:"failed"`
	InFlight   int            `json:"in_flight"`
	P50        float64        `json:"p50_ms"`
	P95        float64        `json:"p95_ms"`
	P99        float64        `json:"p99_ms"`
	Errors     map[string]int `json:"errors"` // failed requests by kind
}

func (r *recorder) progress(now time.Time) Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	seconds := now.Sub(r.told).Seconds()
	p := Progress{
		At:         now,
		Elapsed:    now.Sub(r.start).Seconds(),
		Offered:    rate(r.second.requests, seconds),
		Throughput: rate(r.second.good, seconds),
		Sent:       r.nSent,
		Answers:    r.ended,
		Failed:     r.all.failed,
		InFlight:   r.onWire,
		P50:        milliseconds(r.second.hist, 50),
		P95:        milliseconds(r.second.hist, 95),
		P99:        milliseconds(r.second.hist, 99),
		Errors:     maps.Clone(r.errs),
	}
	r.second.hist.Reset()
	r.second = count{hist: r.second.hist}
	r.told = now
	return p
}

// rate is a number per second, and 0 over no time.
func rate(n int, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return float64(n) / seconds
}

// String is one line for people.
func (p Progress) String() string {
	return fmt.Sprintf("%6.0fs  offered %6.1f/s  answered %6.1f/s  open %4d  p50 %7.1f  p95 %7.1f  p99 %7.1f ms  failed %d%s",
		p.Elapsed, p.Offered, p.Throughput, p.InFlight, p.P50, p.P95, p.P99, p.Failed, errorList(p.Errors))
}
