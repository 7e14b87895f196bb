package samples

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/prometheus/common/model"

	"flyball/collector/elastic/ecs"
)

// Options are what a Shipper needs.
type Options struct {
	Source    Source
	State     State
	Deliver   Elasticsearch
	Config    Config
	Namespace string // of the data stream
	Agent     ecs.Agent
	Log       *slog.Logger     // nil: nothing is logged
	Metrics   *Metrics         // nil: of nobody's
	Now       func() time.Time // nil: time.Now
	Trouble   func(Trouble)    // takes notice of a trouble; may be nil
}

// Elasticsearch is where samples go: a [cluster.Cluster].
type Elasticsearch interface {
	Deliverer
	Asker
}

// A Trouble is something that an operator may want to read of afterwards.
type Trouble struct {
	What  string    // lost or refused
	Text  string    // one sentence: what happened, and what to do
	To    string    // the data stream
	Count int64     // samples, as far as they can be counted
	From  time.Time // of the first, and
	Until time.Time // of the last
}

func (o Options) withDefaults() Options {
	o.Config.Every = cmp.Or(o.Config.Every, model.Duration(defaultEvery))
	o.Config.CatchUp = cmp.Or(o.Config.CatchUp, defaultCatchUp)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Trouble == nil {
		o.Trouble = func(Trouble) {}
	}
	return o
}

// A Shipper sends samples. Run may be called once, Status at any time.
type Shipper struct {
	o       Options
	ledger  *ledger
	reader  *reader
	sender  *sender
	inquiry inquiry
	counts  *counts

	foreign int64   // before it, Elasticsearch may hold what this process did not send
	span    int64   // of the next window, in ms
	rate    float64 // samples a second that come in
	aged    aged    // not told of yet
}

const (
	firstSpan = 60_000
	mostSpan  = 3_600_000
	// reach is how far back the very first cursor is at most: a data stream takes
	// what is of the 7 days before its birth.
	reach = 7*24*time.Hour - time.Hour
)

// New makes a Shipper that goes on where the one before it stopped. That one's Run must
// have returned. Samples that come late from New's return on are not missed, so it is
// called before anything is scraped.
func New(o Options) (*Shipper, error) {
	o = o.withDefaults()
	sel, err := newSelection(o.Config)
	if err != nil {
		return nil, fmt.Errorf("ship samples: %w", err)
	}
	s := &Shipper{o: o, span: firstSpan, counts: &counts{metrics: o.Metrics}}
	if s.ledger, err = openLedger(o.State, o.Now, o.Source.Settle, s.begin); err != nil {
		return nil, err
	}
	stream := ecs.Stream{Type: "metrics", Dataset: dataset, Namespace: o.Namespace}
	c := newCache(sel, stream, o.Agent)
	s.reader = &reader{source: o.Source, cache: c, most: mostSamples}
	s.sender = &sender{deliver: o.Deliver, stream: stream.Name(), log: o.Log, now: o.Now, counts: s.counts, tell: o.Trouble}
	s.inquiry = inquiry{asker: o.Deliver, stream: stream.Name()}
	s.foreign = s.ledger.get().Begun
	return s, nil
}

// begin is the very first cursor.
func (s *Shipper) begin() int64 {
	now := s.o.Now()
	_, oldest := s.o.Source.Oldest()
	if oldest.IsZero() {
		return now.UnixMilli()
	}
	if earliest := now.Add(-reach); oldest.Before(earliest) {
		oldest = earliest
	}
	return oldest.UnixMilli()
}

// Run sends samples until ctx ends, and returns then. Nothing but ctx ends it: what
// fails is tried again.
func (s *Shipper) Run(ctx context.Context) error {
	s.o.Metrics.progress.of.Store(s)
	defer s.o.Metrics.progress.of.CompareAndSwap(s, nil)
	s.retry(ctx, s.adopt)
	for ctx.Err() == nil {
		begun := s.o.Now()
		s.retry(ctx, s.round)
		sleep(ctx, time.Duration(s.o.Config.Every)-s.o.Now().Sub(begun))
	}
	return nil
}

// Status tells how far it is.
func (s *Shipper) Status() Status {
	s.counts.mu.Lock()
	st := s.counts.status
	st.Skipped = maps.Clone(st.Skipped)
	s.counts.mu.Unlock()
	k := s.ledger.get()
	st.Cursor = time.UnixMilli(k.Cursor).UTC()
	st.Lag = max(0, s.o.Now().Sub(st.Cursor)).Seconds()
	st.Dirty = len(k.Dirty)
	return st
}

// sleep waits, at most until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// Waits between tries.
const (
	firstWait = time.Second
	mostWait  = 30 * time.Second
)

// retry does something until it succeeds, or ctx ends.
func (s *Shipper) retry(ctx context.Context, do func(context.Context) error) {
	told := ""
	for wait := firstWait; ctx.Err() == nil; wait = min(2*wait, mostWait) {
		err := do(ctx)
		s.counts.failed(err)
		if err == nil || ctx.Err() != nil {
			return
		}
		if err.Error() != told {
			told = err.Error()
			s.o.Log.Warn("samples cannot be shipped for now", "err", err)
		}
		sleep(ctx, wait)
	}
}

// grace is how long a request of a former process may still be under way once the
// server answers.
const grace = 2 * time.Second

// adopt finds out up to when Elasticsearch may hold what this process did not send: what
// the former one had begun, and, if a new journal has begun, all that is there.
func (s *Shipper) adopt(ctx context.Context) error {
	k := s.ledger.get()
	begun := k.Begun > k.Cursor
	if !begun && k.Cursor >= k.Born {
		return nil
	}
	newest, err := s.inquiry.newest(ctx)
	if err != nil {
		return err
	}
	if k.Cursor < k.Born {
		s.foreign = max(s.foreign, min(k.Born, newest+1))
	}
	if begun {
		sleep(ctx, grace)
	}
	return nil
}

// round sends all up to a moment ago, and mends what is dirty.
func (s *Shipper) round(ctx context.Context) error {
	margin := s.ledger.nextMargin()
	for ctx.Err() == nil {
		more, err := s.advance(ctx, s.o.Now().Add(-margin).UnixMilli())
		if err != nil {
			return err
		}
		if err := s.mend(ctx); err != nil {
			return err
		}
		s.reader.cache.sweep(time.UnixMilli(s.ledger.get().Cursor)) // series come and go by the time of what is sent
		if !more {
			break
		}
	}
	s.tellAged()
	return nil
}

// advance sends one window, and says whether there is more to send at once.
func (s *Shipper) advance(ctx context.Context, until int64) (more bool, err error) {
	if err := s.noticeLoss(); err != nil {
		return false, err
	}
	began := s.o.Now()
	at := stretch{From: s.ledger.get().Cursor}
	at.To = min(at.From+s.span, until)
	adopting := at.From < s.foreign
	if adopting {
		at.To = min(at.To, s.foreign)
	}
	if at.From >= at.To {
		return false, nil
	}
	if err := s.settle(ctx, at); err != nil {
		return false, err
	}
	w, err := s.reader.read(ctx, at, s.reader.fold)
	if errors.Is(err, errTooMany) {
		s.span = max((at.To-at.From)/2, 1)
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer w.clear()
	s.o.Metrics.reading.Add(s.o.Now().Sub(began).Seconds())
	how := plainly
	if adopting {
		how = heir
	}
	if err := s.send(ctx, w, how); err != nil {
		return false, err
	}
	s.noticeAged()
	if err := s.ledger.update(func(k *kept) { k.Cursor, k.Begun = at.To, max(k.Begun, at.To) }); err != nil {
		return false, err
	}
	s.measure(w)
	if at.To < until {
		s.pace(ctx, w.count, began)
	}
	return at.To < until, nil
}

// settling is how long a new series may take to be found in the store's index after
// its first sample was committed: upstream moves the entries of others about while it
// enters one.
const settling = 100 * time.Millisecond

// settle begins a stretch: from its return on, what comes late for it is marked.
func (s *Shipper) settle(ctx context.Context, at stretch) error {
	if s.ledger.get().Begun < at.To {
		if err := s.ledger.update(func(k *kept) { k.Begun = at.To }); err != nil {
			return err
		}
	}
	s.o.Source.Settle(time.UnixMilli(s.ledger.get().Begun), s.ledger.late)
	if s.o.Now().UnixMilli()-at.To < time.Minute.Milliseconds() {
		sleep(ctx, settling)
	}
	return ctx.Err()
}

// measure fits the length of windows to what comes in.
func (s *Shipper) measure(w *window) {
	length := w.To - w.From
	now := float64(w.count) * 1000 / float64(length)
	s.rate += (now - s.rate) / 8
	switch {
	case w.count > s.reader.most/2:
		s.span = max(length*int64(s.reader.most/2)/int64(w.count), 1)
	case w.count < s.reader.most/4 && length >= s.span:
		s.span = min(2*s.span, mostSpan)
	}
}

// pace waits, so that a backlog is made up for no faster than is allowed.
func (s *Shipper) pace(ctx context.Context, count int, began time.Time) {
	speed := max(float64(s.o.Config.CatchUp), 2*s.rate)
	sleep(ctx, time.Duration(float64(count)/speed*float64(time.Second))-s.o.Now().Sub(began))
}
