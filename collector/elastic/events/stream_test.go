package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"flyball/collector/elastic/cluster"
	"flyball/scaler/journal"
)

// A stream is a data stream in memory: an ID is unique in one backing index, a
// search finds what was refreshed, and a rollover comes when it likes.
type stream struct {
	mu      sync.Mutex
	dice    *rand.Rand // nil: nothing fails
	indices []map[string]bool
	visible []map[string]bool
	refuse  func(cluster.Document) bool
	breaks  func(cluster.Document) bool // the server, at a document
	answer  string                      // of every Do, if it is not ""
	away    error                       // of every request, if it is not nil
	left    int                         // requests until crash
	crash   context.CancelFunc          // the process ends: nothing is heard any more

	deliveries, searches, buried int
}

func newStream() *stream {
	never := func(cluster.Document) bool { return false }
	return &stream{indices: []map[string]bool{{}}, refuse: never, breaks: never}
}

// chance is true in one of n cases.
func (s *stream) chance(n int) bool { return s.dice != nil && s.dice.IntN(n) == 0 }

// step counts a request; at the last one the process ends. A rollover may come.
func (s *stream) step() {
	if s.left--; s.left == 0 && s.crash != nil {
		s.crash()
	}
	if s.chance(3) {
		s.indices = append(s.indices, map[string]bool{})
	}
}

func (s *stream) Deliver(ctx context.Context, _ cluster.Lane, docs []cluster.Document) (map[int]cluster.Refusal, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.step()
	if s.away != nil {
		return nil, s.away
	}
	s.deliveries++
	done, lost := len(docs), false
	if s.chance(3) {
		done, lost = s.dice.IntN(len(docs)+1), true
	}
	refused := map[int]cluster.Refusal{}
	var broken error
	for i, d := range docs[:done] {
		if s.chance(40) {
			s.step()
		}
		if s.refuse(d) {
			refused[i] = cluster.Refusal{Status: 400, Type: "document_parsing_exception", Reason: "no", Field: "x"}
			continue
		}
		if s.breaks(d) {
			broken = &cluster.StatusError{Status: 500, Type: "null_pointer_exception"}
			continue
		}
		s.indices[len(s.indices)-1][d.ID] = true
	}
	if broken != nil {
		return refused, fmt.Errorf("deliver: %w: %w", cluster.ErrUnanswered, broken)
	}
	if lost {
		return nil, fmt.Errorf("deliver: %w", cluster.ErrUnanswered)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return refused, nil
}

func (s *stream) Do(_ context.Context, method, path string, body []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.step()
	path, _, _ = strings.Cut(path, "?")
	switch {
	case s.away != nil:
		return nil, s.away
	case s.chance(4):
		return nil, errors.New("cut")
	case s.answer != "":
		return []byte(s.answer), nil
	case method == "POST" && path == "/logs-flyball.*-default/_refresh":
		s.visible = nil
		for _, index := range s.indices {
			copied := map[string]bool{}
			for id := range index {
				copied[id] = true
			}
			s.visible = append(s.visible, copied)
		}
		return []byte(`{"_shards":{"total":2,"successful":1,"failed":0}}`), nil
	case method == "POST" && path == "/logs-flyball.*-default/_search":
		return s.search(body)
	}
	return nil, fmt.Errorf("no such request: %s %s", method, path)
}

func (s *stream) search(body []byte) ([]byte, error) {
	s.searches++
	var q struct {
		Size  int
		Query struct{ IDs struct{ Values []string } }
	}
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	hits := []map[string]string{}
	for _, index := range s.visible {
		for _, id := range q.Query.IDs.Values {
			if index[id] && len(hits) < q.Size {
				hits = append(hits, map[string]string{"_id": id})
			}
		}
	}
	return json.Marshal(map[string]any{
		"timed_out": false, "_shards": map[string]int{"failed": 0}, "hits": map[string]any{"hits": hits},
	})
}

func (s *stream) Bury(docs []cluster.Document, why []cluster.Refusal) error {
	if len(docs) != len(why) {
		return errors.New("not a reason for each")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buried += len(docs)
	return nil
}

// times is how often each document is there.
func (s *stream) times() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := map[string]int{}
	for _, index := range s.indices {
		for id := range index {
			n[id]++
		}
	}
	return n
}

// asked is how often documents were looked up.
func (s *stream) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.searches
}

// dead is how many documents were buried.
func (s *stream) dead() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buried
}

// set changes the stream while it is in use.
func (s *stream) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// hasty is a shipper that does not wait.
func hasty(j *journal.Journal, c Cluster) *Shipper {
	s := New(Options{Journal: j, Cluster: c})
	s.pace = pace{most: 50, bytes: 1 << 20, gather: time.Millisecond, again: time.Microsecond, rarely: time.Microsecond}
	return s
}

// run runs a shipper until stop is called, which waits for its end.
func run(t testing.TB, s *Shipper) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !cond(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited for a minute and still not: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// shipped says that every entry was sent.
func shipped(s *Shipper) func() bool {
	return func() bool { st := s.Status(); return st.Behind == 0 && st.Cursor > 0 }
}

// onceEach checks that each of the journal's entries is there once, and nothing else.
func onceEach(t testing.TB, j *journal.Journal, n map[string]int) {
	t.Helper()
	entries := 0
	for after := journal.Seq(0); ; {
		es, err := j.Entries(journal.Filter{After: after, Oldest: true, Limit: 1000})
		ok(t, err)
		if len(es) == 0 {
			break
		}
		for _, e := range es {
			after, entries = e.Seq, entries+1
			if got := n[idOf(j.Identity(), e)]; got != 1 {
				t.Errorf("entry %d of kind %s is there %d times", e.Seq, e.Kind, got)
			}
		}
	}
	if entries != len(n) {
		t.Errorf("%d documents of %d entries", len(n), entries)
	}
}
