// Package events sends the journal's entries to Elasticsearch, each as one document
// in the words of the Elastic Common Schema, exactly once.
//
// Decisions, steps and orders go to logs-flyball.scaling-<namespace>, loads of
// configuration and rules and the service's life to logs-flyball.config-, troubles
// of shipping to logs-flyball.shipping-, and what this version has no words for to
// logs-flyball.event-. event.code is the journal's kind. In Kibana's query language:
//
//	what was done to a pool             rule.name : web and event.type : (change or start or end)
//	scaling out                         event.code : decision and event.action : scale_out
//	all of one decision and its steps   trace.id : "web-20261120T100015.250Z"
//	steps that failed                   event.code : end and event.outcome : failure
//	what touched a machine              related.hosts : web-3
//	when a refusal began                flyball.refusals.began : rate_limited
//	when it ended                       flyball.refusals.ended : rate_limited
//	every decision under it             flyball.refusals.now : rate_limited
//	verdicts not carried out, and why   event.type : denied and event.reason : paused
//	decisions that a signal was blind   flyball.decision.signals.reason : missing_data
//	words of an explanation             message : requests or flyball.explanation : requests
//	what operators ordered              event.code : order and user.name : alice
//	a file that was refused             event.action : load and event.outcome : failure
//	what was lost on the way            event.code : ship and event.action : lost
//
// A refusal is the word by which a verdict is not carried out (paused, drift,
// ...), by which a limit kept the size (rate_limited, at_max, ...), or by which a
// pool keeps its size though a signal is not at its target (missing_data, hold, ...).
// It begins with the first decision of a pool that names it, and ends with the
// next that does not.
//
// Exactly once: an entry's document has an ID that follows from the journal and the
// entry, and is only ever created. As an ID is unique in one backing index only, a
// document that may have been sent before is looked up in the whole data stream
// first: those of entries that were in the journal at the start, and those of a
// request that nobody answered. What remains is a request that Elasticsearch still
// holds back while the look-up and a rollover pass.
package events

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"flyball/collector/elastic/cluster"
	"flyball/collector/elastic/ecs"
	"flyball/scaler/journal"
)

// who is the name of the cursor in the journal.
const who = "elastic"

// A Cluster is the Elasticsearch that documents go to.
type Cluster interface {
	// Deliver creates documents, and returns once each is there, was there or was
	// refused for good. With an error it is not known which are there.
	Deliver(ctx context.Context, lane cluster.Lane, docs []cluster.Document) (refused map[int]cluster.Refusal, err error)
	// Do sends one JSON request.
	Do(ctx context.Context, method, path string, body []byte) ([]byte, error)
	// Bury keeps documents that are given up.
	Bury(docs []cluster.Document, why []cluster.Refusal) error
}

// Options are what a Shipper needs.
type Options struct {
	Journal   *journal.Journal
	Cluster   Cluster
	Namespace string // last part of the data streams' names; "" is default
	Agent     ecs.Agent
	Log       *slog.Logger          // nil: silent
	Metrics   *Metrics              // nil: of nobody's
	Now       func() time.Time      // nil: [time.Now]
	Forms     map[journal.Kind]Form // of further kinds, or in place of ours
}

// A Shipper sends the journal's entries. Run may be called once; two Shippers of
// one journal must not run at a time.
type Shipper struct {
	o     Options
	forms map[journal.Kind]Form
	past  *past
	pace  pace
	told  map[string]bool // refusals that were journalled; Run's alone, as the next
	heard journal.Seq     // up to here gaps were told of

	mu     sync.Mutex
	cursor journal.Seq // up to here all is there
	sure   bool        // the cursor was read
	doubt  journal.Seq // up to here documents may be there already
	counts counts
	last   error // of the last attempt; nil if it was good
	since  time.Time
}

// A pace is how long things may take.
type pace struct {
	most   int           // entries of a batch
	bytes  int           // of a batch's bodies, beyond which it has one more entry at most
	gather time.Duration // how long a batch waits to fill
	again  time.Duration // first wait after a failure; it doubles
	rarely time.Duration // up to this
}

type counts struct{ sent, known, refused, lost int64 }

// New returns a Shipper. Nothing is read or sent yet.
func New(o Options) *Shipper {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Namespace == "" {
		o.Namespace = "default"
	}
	s := &Shipper{
		o: o, past: newPast(o.Journal), told: map[string]bool{},
		pace: pace{most: 500, bytes: 4 << 20, gather: time.Second, again: time.Second, rarely: 30 * time.Second},
	}
	s.forms = forms(s.past)
	maps.Copy(s.forms, o.Forms)
	return s
}

// Run sends entries as they are written, until ctx ends or the journal is closed,
// neither of which is an error. Elasticsearch being away holds up nothing but Run.
func (s *Shipper) Run(ctx context.Context) error {
	s.o.Metrics.follow(s)
	defer s.o.Metrics.follow(nil)
	for wait := s.pace.again; ctx.Err() == nil; wait = min(2*wait, s.pace.rarely) {
		err := s.follow(ctx)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		s.failed("follow the journal", err)
		sleep(ctx, wait)
	}
	return nil
}

// follow sends batch after batch; nil means that the journal was closed.
func (s *Shipper) follow(ctx context.Context) error {
	if err := s.resume(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	entries := make(chan found)
	reading.Go(func() {
		defer close(entries)
		for e, err := range s.o.Journal.Follow(ctx, s.cursor) {
			select {
			case entries <- found{e, err}:
			case <-ctx.Done():
				return
			}
		}
	})
	for {
		batch, err := s.gather(ctx, entries)
		if len(batch) > 0 {
			if err := s.ship(ctx, batch); err != nil {
				return err
			}
		}
		if err != nil || len(batch) == 0 {
			return err
		}
	}
}

// resume reads how far we were. Whatever the journal holds by now may have been
// sent by an earlier process that did not hear the answer.
func (s *Shipper) resume() error {
	s.past.forget()
	s.mu.Lock()
	defer s.mu.Unlock()
	newest, err := s.o.Journal.Entries(journal.Filter{Limit: 1})
	if err != nil {
		return err
	}
	if len(newest) > 0 {
		s.doubt = max(s.doubt, newest[0].Seq)
	}
	if s.sure {
		return nil
	}
	s.cursor, err = s.o.Journal.Cursor(who)
	s.sure = err == nil
	return err
}

// found is what following the journal yields.
type found struct {
	entry journal.Entry
	err   error
}

// gather waits for an entry, and then for more until the batch is full or has
// waited. It is empty when there are no more.
func (s *Shipper) gather(ctx context.Context, entries <-chan found) ([]journal.Entry, error) {
	var batch []journal.Entry
	var full <-chan time.Time
	for bytes := 0; len(batch) < s.pace.most && bytes < s.pace.bytes; {
		select {
		case f, ok := <-entries:
			if !ok || f.err != nil {
				return batch, f.err
			}
			if full == nil {
				timer := time.NewTimer(s.pace.gather)
				defer timer.Stop()
				full = timer.C
			}
			batch = append(batch, f.entry)
			bytes += len(f.entry.Body)
		case <-full:
			return batch, nil
		case <-ctx.Done():
			return nil, nil
		}
	}
	return batch, nil
}

// sleep waits, or until ctx ends.
func sleep(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
