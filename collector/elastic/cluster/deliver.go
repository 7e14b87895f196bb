package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	inFlight   = 2  // requests of a delivery at a time
	mostBroken = 10 // answers of 500 that one document gets before it is given up
)

// Deliver creates documents, and returns once each of them is there, was there
// already (409), or was refused for good. What was not answered, and what was
// answered with 429 or 5xx, whole or item by item, is sent again, after a growing
// wait of up to 30 s, or of what the server asks for, until ctx ends. So is what
// was answered with 401, 403 or 404, as the documents cannot help it: see Status. A
// document that was answered with 500 ten times is refused.
//
// refused is by index into docs. An error wraps ctx's, or is ErrUnanswered, which
// only documents with an ID meet; with an error it is not known which documents are
// there, beyond those that were refused.
//
// Memory: a request has at most 5,000 documents and 5 MB before compression, unless
// a single document has more, and a delivery at most two of them at a time. The
// bodies of docs must not change meanwhile. Deliver may be called concurrently.
func (c *Cluster) Deliver(ctx context.Context, lane Lane, docs []Document) (refused map[int]Refusal, err error) {
	d := &delivery{cluster: c, lane: lane, docs: docs, refused: map[int]Refusal{}, broken: map[int]int{}, wait: backoff{pace: c.pace}}
	c.lanes.enter(lane)
	d.held = true
	defer d.release()
	d.waiting = divide(docs, d.checked(), c.limit.get())
	for len(d.waiting) > 0 {
		d.hold()
		d.round(ctx)
		if len(d.waiting) == 0 {
			break
		}
		if err := d.rest(ctx); err != nil {
			return d.refused, d.stopped(err)
		}
		if d.unanswered != nil { // who looks up what is there comes again at once
			return d.refused, fmt.Errorf("deliver documents: %w: %w", ErrUnanswered, d.unanswered)
		}
	}
	return d.refused, nil
}

// A delivery is one call of Deliver.
type delivery struct {
	cluster *Cluster
	lane    Lane
	held    bool // the lane
	docs    []Document
	wait    backoff
	broken  map[int]int // how often a document was answered with 500

	mu         sync.Mutex
	queue      []batch // to be sent in this round,
	waiting    []batch // and in the next
	refused    map[int]Refusal
	unanswered error   // of a request with IDs
	last       error   // the last trouble
	heard      trouble // that was logged
	turn       turn
}

// A turn is what one round came to.
type turn struct {
	settled bool          // some document is done with, or a batch was halved
	stop    bool          // the cluster is not to be had: no more requests
	slow    bool          // somebody must mend something
	after   time.Duration // how long the server wants to be left alone
}

// checked are the indices of the documents that can be sent; the others are
// refused.
func (d *delivery) checked() []int {
	at := make([]int, 0, len(d.docs))
	stream, why := "", checkStream("") // the one before, which mostly is the next one's too
	for i, doc := range d.docs {
		if doc.Stream != stream {
			stream, why = doc.Stream, checkStream(doc.Stream)
		}
		r := why
		if r.Type == "" {
			r = checkText(doc)
		}
		if r.Type != "" {
			d.refused[i] = r
			d.count(doc.Stream, tally{refused: 1})
			continue
		}
		at = append(at, i)
	}
	return at
}

// round sends each batch that waits once, or fewer if the cluster is not to be had.
func (d *delivery) round(ctx context.Context) {
	d.queue, d.waiting, d.turn = d.waiting, nil, turn{}
	var senders sync.WaitGroup
	for range min(inFlight, len(d.queue)) {
		senders.Go(func() {
			for b, ok := d.next(ctx); ok; b, ok = d.next(ctx) {
				d.settle(b, d.cluster.send(ctx, d.docs, b.at))
			}
		})
	}
	senders.Wait()
	d.waiting = append(d.waiting, d.queue...)
}

// next is the batch to send now; false if there is none in this round.
func (d *delivery) next(ctx context.Context) (batch, bool) {
	if d.cluster.lanes.pass(ctx, d.lane) != nil {
		return batch{}, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 || d.turn.stop {
		return batch{}, false
	}
	b := d.queue[0]
	d.queue = d.queue[1:]
	return b, true
}

// rest waits before the next round.
func (d *delivery) rest(ctx context.Context) error {
	if d.turn.settled {
		d.wait.reset()
	}
	if d.turn.slow { // others need not wait for who mends something
		d.release()
	}
	timer := time.NewTimer(d.wait.next(d.turn.slow, d.turn.after, dice))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// hold says that the lane is busy, release that it is not, for this delivery.
func (d *delivery) hold() {
	if !d.held {
		d.cluster.lanes.enter(d.lane)
		d.held = true
	}
}

func (d *delivery) release() {
	if d.held {
		d.cluster.lanes.leave(d.lane)
		d.held = false
	}
}

// stopped is the error of a delivery that ctx has ended.
func (d *delivery) stopped(err error) error {
	open := 0
	for _, b := range d.waiting {
		open += len(b.at)
	}
	if d.last != nil && !errors.Is(d.last, err) {
		return fmt.Errorf("deliver documents: %d of %d are not there: %w; last: %w", open, len(d.docs), err, d.last)
	}
	return fmt.Errorf("deliver documents: %d of %d are not there: %w", open, len(d.docs), err)
}
