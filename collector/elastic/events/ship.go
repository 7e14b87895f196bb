package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"flyball/collector/elastic/cluster"
	"flyball/scaler/journal"
)

// ship sends a batch, and returns once every entry of it is there or was given up,
// and the cursor has moved. An error means that ctx has ended, or that the journal
// could not be read.
func (s *Shipper) ship(ctx context.Context, batch []journal.Entry) error {
	s.missed(batch)
	docs := make([]cluster.Document, len(batch))
	for i, e := range batch {
		var err error
		if docs[i], err = s.document(e); err != nil {
			return err
		}
	}
	t := try{docs: docs, doubt: batch[0].Seq <= s.doubt}
	for wait := s.pace.again; ; wait = min(2*wait, s.pace.rarely) {
		err := s.deliver(ctx, t)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.failed("send events to Elasticsearch", err)
		t.after(err)
		sleep(ctx, wait)
	}
	s.advance(batch[len(batch)-1].Seq)
	return nil
}

// A try is one of several to send documents.
type try struct {
	docs   []cluster.Document
	doubt  bool            // some may be there
	broken int             // how often in a row the server answered with 500, which breaks on a
	why    cluster.Refusal // document, as the others are there by the next try
}

// mostBroken is how often the server may break until documents are given up.
const mostBroken = 10

// after makes the next try after one that failed.
func (t *try) after(err error) {
	t.doubt = true
	e, ok := errors.AsType[*cluster.StatusError](err)
	if ok && e.Status == http.StatusInternalServerError && errors.Is(err, cluster.ErrUnanswered) {
		t.broken++
		t.why = cluster.Refusal{Status: e.Status, Type: e.Type, Reason: e.Reason}
		return
	}
	t.broken = 0
}

// deliver tries once. In doubt it looks first which documents are there.
func (s *Shipper) deliver(ctx context.Context, t try) error {
	docs := t.docs
	rest := docs
	var err error
	if t.doubt {
		var there map[string]bool
		if there, err = s.lookUp(ctx, docs); err != nil {
			return fmt.Errorf("look up which events are there: %w", err)
		}
		rest = slices.DeleteFunc(slices.Clone(docs), func(d cluster.Document) bool { return there[d.ID] })
	}
	refused := map[int]cluster.Refusal{}
	if t.broken >= mostBroken {
		for i := range rest {
			refused[i] = t.why
		}
	} else if refused, err = s.o.Cluster.Deliver(ctx, cluster.Events, rest); err != nil {
		return err
	}
	s.count(func(c *counts) {
		c.known += int64(len(docs) - len(rest))
		c.sent += int64(len(rest) - len(refused))
		c.refused += int64(len(refused))
	})
	s.bury(rest, refused)
	return nil
}

// lookUp returns the IDs of docs that are in any backing index of our data streams.
// It counts as not known, which is an error, while a shard does not answer.
func (s *Shipper) lookUp(ctx context.Context, docs []cluster.Document) (map[string]bool, error) {
	const any = "ignore_unavailable=true&allow_no_indices=true"
	streams := "/" + s.stream("*").Name()
	text, err := s.o.Cluster.Do(ctx, http.MethodPost, streams+"/_refresh?"+any, nil)
	if err != nil {
		return nil, fmt.Errorf("refresh: %w", err)
	}
	if err := whole(text); err != nil {
		return nil, fmt.Errorf("refresh: %w", err)
	}
	query, err := json.Marshal(question(docs))
	if err != nil {
		return nil, fmt.Errorf("encode search: %w", err)
	}
	text, err = s.o.Cluster.Do(ctx, http.MethodPost, streams+"/_search?allow_partial_search_results=false&"+any, query)
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	if err := whole(text); err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	var answer struct {
		Hits struct {
			Hits []struct {
				ID string `json:"_id"`
			} `json:"hits"`
		} `json:"hits"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("decode answer of search: %w", err)
	}
	there := make(map[string]bool, len(answer.Hits.Hits))
	for _, h := range answer.Hits.Hits {
		there[h.ID] = true
	}
	s.o.Metrics.lookups.Inc()
	return there, nil
}

// question is the search for documents. It leaves room for IDs that somebody has
// copied into other backing indices.
func question(docs []cluster.Document) any {
	ids := make([]string, len(docs))
	for i, d := range docs {
		ids[i] = d.ID
	}
	return map[string]any{
		"size": min(4*len(ids), 10_000), "_source": false, "track_total_hits": false,
		"query": map[string]any{"ids": map[string]any{"values": ids}},
	}
}

// whole checks that an answer is of all shards.
func whole(text []byte) error {
	var answer struct {
		TimedOut bool `json:"timed_out"`
		Shards   *struct {
			Failed int `json:"failed"`
		} `json:"_shards"`
	}
	switch err := json.Unmarshal(text, &answer); {
	case err != nil:
		return fmt.Errorf("decode answer: %w", err)
	case answer.Shards == nil:
		return fmt.Errorf("answer does not say how many shards it is of")
	case answer.TimedOut || answer.Shards.Failed > 0:
		return fmt.Errorf("%d shards failed (timed out: %t)", answer.Shards.Failed, answer.TimedOut)
	}
	return nil
}

// bury gives up documents that Elasticsearch refused, and journals it once for each
// kind of refusal. That a document about troubles was refused is not journalled:
// that would be refused as well.
func (s *Shipper) bury(docs []cluster.Document, refused map[int]cluster.Refusal) {
	if len(refused) == 0 {
		return
	}
	var dead []cluster.Document
	var why []cluster.Refusal
	for _, i := range slices.Sorted(maps.Keys(refused)) {
		dead, why = append(dead, docs[i]), append(why, refused[i])
	}
	if err := s.o.Cluster.Bury(dead, why); err != nil {
		s.o.Log.Error("event that Elasticsearch refused could not be kept", "events", len(dead), "err", err)
	}
	for i, d := range dead {
		key := d.Stream + " " + why[i].Type + " " + why[i].Field
		if d.Stream == s.stream(shipping).Name() || s.told[key] || len(s.told) == mostTold {
			continue
		}
		s.told[key] = true
		s.note(journal.Trouble{
			What: "refused", To: d.Stream, Count: 1,
			Text: "Elasticsearch refuses events: " + why[i].Type + ": " + why[i].Reason + "; further ones like it are counted only, and kept in the file of dead letters",
		})
	}
}

// mostTold bounds the kinds of refusals that are journalled.
const mostTold = 100

// missed tells of entries whose time in the journal was over before they were sent.
// Those from before our first start are not ours to send.
func (s *Shipper) missed(batch []journal.Entry) {
	last := s.cursor
	for _, e := range batch {
		gap := int64(e.Seq - last - 1)
		first := last == 0
		last = e.Seq
		if gap == 0 || first || e.Seq <= s.heard {
			continue
		}
		s.heard = e.Seq
		s.count(func(c *counts) { c.lost += gap })
		s.note(journal.Trouble{
			What: "lost", To: s.stream("*").Name(), Count: gap, Until: e.At,
			Text: fmt.Sprintf("%d entries of the journal aged out before Elasticsearch took them: it was away for longer than the journal keeps them", gap),
		})
	}
}

// note logs and journals a trouble of ours.
func (s *Shipper) note(t journal.Trouble) {
	s.o.Log.Error("trouble with events for Elasticsearch", "what", t.What, "count", t.Count, "to", t.To, "text", t.Text)
	if err := s.o.Journal.Note(journal.Ship, "", s.o.Now(), t); err != nil {
		s.o.Log.Error("trouble could not be journalled", "what", t.What, "err", err)
	}
}

// advance moves the cursor. If that cannot be kept, a restart looks the documents
// up and finds them.
func (s *Shipper) advance(to journal.Seq) {
	err := s.o.Journal.SetCursor(who, to)
	s.mu.Lock()
	s.cursor, s.last = to, nil
	s.mu.Unlock()
	if err != nil {
		s.failed("keep the place in the journal", err)
	}
}

// failed notes that an attempt failed, which is made again.
func (s *Shipper) failed(what string, err error) {
	s.o.Log.Warn("events wait for Elasticsearch", "what", what, "err", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		s.since = s.o.Now()
	}
	s.last = fmt.Errorf("%s: %w", what, err)
}
