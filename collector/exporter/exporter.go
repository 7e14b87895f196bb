// Package exporter is what every kind of watched thing has in common. A target
// is reached, then read part by part, all within a deadline; a part that cannot
// be read costs only itself. What a target and its parts may tell is declared
// with them, so that the documentation is made of the code, see [Table].
//
// Every kind tells of itself, too, under its own prefix:
//
//	<kind>_up                      1 if the target was reached
//	<kind>_down{reason}            1 while it is down, with why in one word, see [Reason]
//	<kind>_part_up{part}           1 if the part could be read
//	<kind>_part_down{part, reason} 1 while it cannot, with why in one word
//	<kind>_part_duration_seconds   how long reading the part took
//
// The whole error is in the log, once each time it changes, and in
// [Exporter.Status]; never in a label.
package exporter

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var errClosed = errors.New("the target is not watched any more")

// DefaultTimeout is how long a target may take to tell everything.
const DefaultTimeout = 5 * time.Second

// A Part is one source of numbers that can fail alone.
type Part struct {
	Name    string
	Metrics []Metric // all that Read may give
	Read    func(ctx context.Context, s *Sink) error
}

// Options is what an exporter is made of. Kind and Parts are needed.
type Options struct {
	Kind    string            // prefix of its metrics and name in the log, e.g. pg
	Labels  prometheus.Labels // of all that the target tells, e.g. its name
	Timeout time.Duration     // for all of it; default [DefaultTimeout]
	// Reach makes sure that the target answers, before any part is read; an error
	// means that it is down, and no part is read. Nil: each part sees for itself.
	Reach  func(ctx context.Context) error
	Parts  []Part
	Close  func() error // nil: there is nothing to close
	Logger *slog.Logger // default: discards
	Now    func() time.Time
}

// An Exporter reads one target anew at every scrape. It is a
// [prometheus.Collector], safe for concurrent use: scrapes at the same time take
// turns, so that a target never sees two at once.
type Exporter struct {
	o      Options
	about  about
	turn   chan struct{} // holds one: whose turn it is
	closed bool          // guarded by turn

	mu     sync.Mutex
	descs  map[string]*prometheus.Desc
	status Status
}

// New makes an exporter. Nothing is reached yet.
func New(o Options) *Exporter {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Exporter{
		o: o, about: newAbout(o.Kind), turn: make(chan struct{}, 1),
		descs: map[string]*prometheus.Desc{}, status: Status{Parts: map[string]error{}},
	}
}

// Describe describes nothing: which metrics there are depends on the target.
func (e *Exporter) Describe(chan<- *prometheus.Desc) {}

// Collect reads the target, within the exporter's own timeout.
func (e *Exporter) Collect(out chan<- prometheus.Metric) {
	e.collect(context.Background(), out)
}

// Within is the exporter for one scrape that has a deadline of its own: the
// earlier of the two counts.
func (e *Exporter) Within(ctx context.Context) prometheus.Collector { return within{e, ctx} }

type within struct {
	*Exporter
	ctx context.Context
}

func (w within) Collect(out chan<- prometheus.Metric) { w.collect(w.ctx, out) }

// Close closes what the target keeps open, once a scrape that is under way has ended.
func (e *Exporter) Close() error {
	e.turn <- struct{}{}
	defer func() { <-e.turn }()
	e.closed = true
	if e.o.Close == nil {
		return nil
	}
	return e.o.Close()
}

func (e *Exporter) collect(ctx context.Context, out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(ctx, e.o.Timeout)
	defer cancel()
	s := &Sink{exporter: e, out: out}
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		s.up(e.about, ctx.Err()) // that a scrape takes long is for that one to tell
		return
	}
	if e.closed {
		s.up(e.about, errClosed)
		return
	}
	var err error
	if e.o.Reach != nil {
		err = e.o.Reach(ctx)
	}
	s.up(e.about, err)
	e.note("", err)
	if err != nil {
		return
	}
	for _, p := range e.o.Parts {
		e.read(ctx, s, p)
	}
}

// read reads one part. It may take half of the time that is left, so that one
// that hangs leaves some for the others.
func (e *Exporter) read(ctx context.Context, s *Sink, p Part) {
	begun := e.o.Now()
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, begun.Add(end.Sub(begun)/2))
		defer cancel()
	}
	of := &Sink{exporter: e, out: s.out, declared: p.Metrics, given: map[string]map[string]bool{}}
	err := of.outcome(p.Read(ctx, of))
	up := 1.0
	if err != nil {
		up = 0
		s.give(e.about.partDown, 1, p.Name, Reason(err))
	}
	s.give(e.about.partUp, up, p.Name)
	s.give(e.about.partDuration, e.o.Now().Sub(begun).Seconds(), p.Name)
	e.note(p.Name, err)
}

// note remembers how a part, or with "" the target, did, and logs what changed.
func (e *Exporter) note(part string, err error) {
	e.mu.Lock()
	before := e.status.Parts[part]
	if part == "" {
		before, e.status.Down, e.status.At = e.status.Down, err, e.o.Now()
	} else {
		e.status.Parts[part] = err
	}
	e.mu.Unlock()
	if Reason(before) == Reason(err) {
		return
	}
	log := e.o.Logger.With("kind", e.o.Kind)
	for _, k := range sorted(e.o.Labels) {
		log = log.With(k, e.o.Labels[k])
	}
	switch {
	case err == nil && part == "":
		log.Info("target answers again")
	case err == nil:
		log.Info("part of a target can be read again", "part", part)
	case part == "":
		log.Warn("target is down", "reason", Reason(err), "err", err)
	default:
		log.Warn("part of a target cannot be read", "part", part, "reason", Reason(err), "err", err)
	}
}

// Status is how a target did at its last scrape.
type Status struct {
	At    time.Time        // zero: it was not scraped yet
	Down  error            // nil: it answers
	Parts map[string]error // by part; nil: it could be read
}

// Status tells how the target did at its last scrape.
func (e *Exporter) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.status
	s.Parts = map[string]error{}
	for p, err := range e.status.Parts {
		s.Parts[p] = err
	}
	return s
}

func sorted(ls prometheus.Labels) []string {
	ks := make([]string, 0, len(ls))
	for k := range ls {
		ks = append(ks, k)
	}
	slices.Sort(ks)
	return ks
}
