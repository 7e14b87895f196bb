package cluster

import (
	"errors"
	"fmt"
)

// A tally counts documents that are done with.
type tally struct{ created, known, refused int }

func (t *tally) add(v verdict) {
	switch v {
	case created:
		t.created++
	case known:
		t.known++
	case refused:
		t.refused++
	}
}

// settle notes what became of a batch, and puts back what must be sent again.
func (d *delivery) settle(b batch, r *bulk) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.failure != nil {
		d.failed(b, r.failure)
		return
	}
	d.cluster.health.took()
	done := map[string]tally{}
	var left []int
	for i, n := range b.at {
		v := d.judge(n, r.answers[i])
		if v == again {
			left = append(left, n)
			continue
		}
		t := done[d.docs[n].Stream]
		t.add(v)
		done[d.docs[n].Stream] = t
	}
	d.turn.settled = d.turn.settled || len(done) > 0
	for stream, t := range done {
		d.count(stream, t)
	}
	if len(left) > 0 {
		d.waiting = append(d.waiting, batch{at: left})
	}
}

// judge says what an answer means for the document at n, and notes it.
func (d *delivery) judge(n int, a answer) verdict {
	v, t := a.verdict()
	if v == again && t == broken {
		if d.broken[n]++; d.broken[n] >= mostBroken {
			v = refused
		}
	}
	switch v {
	case refused:
		d.refused[n] = a.refusal()
	case again:
		d.turn.slow = d.turn.slow || t.slow()
		d.retry(t, 1)
		e := &StatusError{Status: a.status, Type: a.typ, Reason: a.reason, genuine: true}
		d.doubt(n, t, a.typ, e)
		if d.heard != t {
			d.trouble(t, fmt.Errorf("write to %s: %w", d.docs[n].Stream, e))
		}
	}
	return v
}

// failed notes that a request failed as a whole.
func (d *delivery) failed(b batch, err error) {
	t := troubleWith(err)
	var status StatusError
	if s := (*StatusError)(nil); errors.As(err, &s) {
		status = *s
		d.turn.after = max(d.turn.after, s.after)
	}
	d.retry(t, len(b.at))
	d.trouble(t, err)
	if !unconnected(err) {
		for _, n := range b.at {
			d.doubt(n, t, status.Type, err)
		}
	}
	if d.halve(b, t, status) {
		d.turn.settled = true
		return
	}
	if t == garbled {
		b.garbled++
	}
	d.turn.stop = true
	d.turn.slow = d.turn.slow || t.slow()
	d.waiting = append(d.waiting, b)
}

// halve says whether the trouble may lie in what was sent: then it is sent in two
// parts; a single document is refused, if Elasticsearch says that it is the trouble.
func (d *delivery) halve(b batch, t trouble, e StatusError) bool {
	switch {
	case t == tooLarge:
		size := 0
		for _, n := range b.at {
			size += weight(d.docs[n])
		}
		d.cluster.limit.shrink(size)
	case t == malformed && d.cluster.health.takes():
	case t == garbled && b.garbled > 0 && len(b.at) > 1:
	default:
		return false
	}
	if len(b.at) > 1 {
		d.waiting = append(d.waiting, b.halves()...)
		return true
	}
	n := b.at[0]
	d.refused[n] = Refusal{Status: e.Status, Type: e.Type, Reason: e.Reason, Field: fieldOf(e.Reason)}
	d.count(d.docs[n].Stream, tally{refused: 1})
	return true
}

// doubt notes that a document with an ID may be there, and that nobody said so.
func (d *delivery) doubt(n int, t trouble, typ string, err error) {
	if d.docs[n].ID != "" && d.unanswered == nil && !undone(t, typ) {
		d.unanswered = err
	}
}

// trouble notes why documents must be sent again, and logs what is new in this
// delivery.
func (d *delivery) trouble(t trouble, err error) {
	d.last = err
	if t == stopped {
		return
	}
	d.cluster.complain(err)
	if d.heard != t {
		d.cluster.options.Log.Warn("documents are sent to elasticsearch again", "reason", string(t), "err", err)
	}
	d.heard = t
}

func (d *delivery) retry(t trouble, documents int) {
	d.cluster.options.Metrics.retries.WithLabelValues(string(t)).Add(float64(documents))
	d.cluster.health.count(func(s *Status) { s.Retried += uint64(documents) })
}

func (d *delivery) count(stream string, t tally) {
	d.cluster.options.Metrics.settled(stream, t)
	d.cluster.health.count(func(s *Status) {
		s.Created += uint64(t.created)
		s.Known += uint64(t.known)
		s.Refused += uint64(t.refused)
	})
}
