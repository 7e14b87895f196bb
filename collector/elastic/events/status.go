package events

import (
	"time"

	"flyball/scaler/journal"
)

// Status is how far the entries are sent, for people.
type Status struct {
	Cursor  journal.Seq `json:"cursor"`          // up to here all is there
	Newest  journal.Seq `json:"newest"`          // of the journal
	Behind  int64       `json:"behind"`          // entries that are not there yet
	Lag     float64     `json:"lag_seconds"`     // age of the oldest of them; 0 if there is none
	Sent    int64       `json:"sent"`            // since the start: documents created,
	Known   int64       `json:"known"`           // that were there already,
	Refused int64       `json:"refused"`         // that Elasticsearch does not take,
	Lost    int64       `json:"lost"`            // that aged out before they were sent
	Error   string      `json:"error,omitempty"` // why nothing is sent at present
	Since   time.Time   `json:"since,omitzero"`  // when that began
}

// Status tells how far the entries are sent.
func (s *Shipper) Status() Status {
	s.mu.Lock()
	st := Status{
		Cursor: s.cursor, Newest: s.cursor,
		Sent: s.counts.sent, Known: s.counts.known, Refused: s.counts.refused, Lost: s.counts.lost,
	}
	if s.last != nil {
		st.Error, st.Since = s.last.Error(), s.since
	}
	read := s.sure
	s.mu.Unlock()
	if !read {
		return st
	}
	newest, err := s.o.Journal.Entries(journal.Filter{After: st.Cursor, Limit: 1})
	if err != nil || len(newest) == 0 {
		return st
	}
	oldest, err := s.o.Journal.Entries(journal.Filter{After: st.Cursor, Oldest: true, Limit: 1})
	if err != nil || len(oldest) == 0 {
		return st
	}
	st.Newest = newest[0].Seq
	st.Behind = int64(st.Newest-oldest[0].Seq) + 1
	st.Lag = max(0, s.o.Now().Sub(oldest[0].At).Seconds())
	return st
}

// count changes the counts and the metrics of outcomes.
func (s *Shipper) count(change func(*counts)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.counts
	change(&s.counts)
	s.o.Metrics.count(counts{
		sent: s.counts.sent - before.sent, known: s.counts.known - before.known,
		refused: s.counts.refused - before.refused, lost: s.counts.lost - before.lost,
	})
}
