package samples

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/common/model"
)

// Ways to send a window.
type way int

const (
	plainly way = iota // nobody sent any of it before
	heir               // somebody may have: all of labels and a time, or nothing
	lately             // all has been sent, but for what came late
)

// send sends a window.
func (s *Shipper) send(ctx context.Context, w *window, how way) error {
	for why, n := range w.skipped {
		s.counts.skip(why, n)
	}
	if how != plainly {
		s.inquiry.agent = s.o.Agent.ID
		if w.From < s.ledger.get().Born { // the journal was another, and so was the agent
			s.inquiry.agent = ""
		}
		if err := s.inquiry.mark(ctx, s.reader.cache, w); err != nil {
			return err
		}
	}
	for _, g := range w.groups {
		for from, to := 0, 0; from < len(g.rows); from = to {
			for to = from + 1; to < len(g.rows) && g.rows[to].at == g.rows[from].at; {
				to++
			}
			if err := s.sendAt(ctx, g, g.rows[from:to], how); err != nil {
				return err
			}
		}
	}
	return s.sender.flush(ctx)
}

// sendAt sends a group's samples of one time.
func (s *Shipper) sendAt(ctx context.Context, g *group, rows []row, how way) error {
	if how == plainly {
		return s.sender.put(ctx, g, rows)
	}
	left := missingOf(rows)
	if how == heir && len(left) == len(rows) {
		return s.sender.put(ctx, g, rows)
	}
	if how == lately {
		s.counts.repaired(len(left))
	}
	return s.sender.putEach(ctx, g, left)
}

// missingOf puts those samples first that Elasticsearch does not have, and returns them.
func missingOf(rows []row) []row {
	n := 0
	for i, r := range rows {
		if !r.there {
			rows[i], rows[n] = rows[n], r
			n++
		}
	}
	return rows[:n]
}

// mostMended is how many dirty stretches are read again before it goes on.
const mostMended = 16

// mend reads dirty stretches again, and sends what Elasticsearch does not have of them.
func (s *Shipper) mend(ctx context.Context) error {
	defer func() { s.o.Metrics.dirty.Set(float64(len(s.ledger.get().Dirty))) }()
	for range mostMended {
		at, ok := s.ledger.take(s.span)
		if !ok {
			return nil
		}
		err := s.mendOne(ctx, at)
		if errors.Is(err, errTooMany) {
			s.span = max((at.To-at.From)/2, 1)
			err = nil
			if err := s.ledger.done(false); err != nil {
				return err
			}
			continue
		}
		if e := s.ledger.done(err == nil); e != nil || err != nil {
			return errors.Join(err, e)
		}
	}
	return nil
}

func (s *Shipper) mendOne(ctx context.Context, at stretch) error {
	if at.From >= at.To {
		return nil
	}
	w, err := s.reader.read(ctx, at)
	if err != nil {
		return err
	}
	defer w.clear()
	if err := s.send(ctx, w, lately); err != nil {
		return err
	}
	s.noticeAged()
	return nil
}

// noticeLoss sees whether the store has dropped samples that were not sent.
func (s *Shipper) noticeLoss() error {
	first, _ := s.o.Source.Oldest()
	k := s.ledger.get()
	if first.IsZero() || first.UnixMilli() == k.Own {
		return nil
	}
	own := first.UnixMilli()
	from := max(k.Cursor, k.Own)
	if k.Own != 0 && from < own {
		length := time.Duration(own-from) * time.Millisecond
		s.counts.lost(byRetention, 0, length)
		s.o.Log.Error("samples were dropped from the store before they could be shipped", "from", time.UnixMilli(from).UTC(), "until", first)
		s.o.Trouble(Trouble{
			What: "lost", To: s.sender.stream, From: time.UnixMilli(from).UTC(), Until: first,
			Text: fmt.Sprintf("the store dropped samples of %s before Elasticsearch was there to take them: keep more (storage.tsdb.retention)", model.Duration(length)),
		})
	}
	return s.ledger.update(func(k *kept) { k.Own = own })
}

// noticeAged takes over what was too old in a window.
func (s *Shipper) noticeAged() {
	a := s.counts.aged
	s.counts.aged = aged{}
	if a.count == 0 {
		return
	}
	s.counts.lost(byAge, a.count, time.Duration(a.span.To-a.span.From)*time.Millisecond)
	if s.aged.count == 0 {
		s.aged.span = a.span
	}
	s.aged.count += a.count
	s.aged.span = stretch{min(s.aged.span.From, a.span.From), max(s.aged.span.To, a.span.To)}
}

// tellAged tells of what was too old, once for many windows.
func (s *Shipper) tellAged() {
	a := s.aged
	s.aged = aged{}
	if a.count == 0 {
		return
	}
	from, until := time.UnixMilli(a.span.From).UTC(), time.UnixMilli(a.span.To).UTC()
	s.o.Log.Error("samples are too old for the data stream", "samples", a.count, "from", from, "until", until, "stream", s.sender.stream)
	s.o.Trouble(Trouble{
		What: "lost", To: s.sender.stream, Count: int64(a.count), From: from, Until: until,
		Text: fmt.Sprintf("%d samples were too old for the data stream when Elasticsearch was there to take them: it takes what is up to 7 days old at its birth, and what its indices still cover", a.count),
	})
}
