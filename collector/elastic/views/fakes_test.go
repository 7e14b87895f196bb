package views

import (
	"context"
	"encoding/json"
	"slices"
	"sync"

	"flyball/collector/elastic/cluster"
)

// memory keeps state as the journal does.
type memory struct {
	mu   sync.Mutex
	kept map[string][]byte
	err  error
}

func (m *memory) Keep(who string, state any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	b, err := json.Marshal(state)
	if m.kept == nil {
		m.kept = map[string][]byte{}
	}
	m.kept[who] = b
	return err
}

func (m *memory) Kept(who string, state any) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.kept[who]
	if !ok || m.err != nil {
		return false, m.err
	}
	return true, json.Unmarshal(b, state)
}

// sink is an Elasticsearch that knows documents by their dimensions and time.
type sink struct {
	refuse func(d cluster.Document) *cluster.Refusal // nil: nothing
	before func(ctx context.Context) error           // called before a delivery

	mu     sync.Mutex
	bodies []string
	known  map[string]int // how often each was sent
	buried []cluster.Document
	sizes  []int
}

func (s *sink) Deliver(ctx context.Context, lane cluster.Lane, docs []cluster.Document) (map[int]cluster.Refusal, error) {
	if s.before != nil {
		if err := s.before(ctx); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sizes = append(s.sizes, len(docs))
	refused := map[int]cluster.Refusal{}
	for i, d := range docs {
		if s.refuse != nil {
			if why := s.refuse(d); why != nil {
				refused[i] = *why
				continue
			}
		}
		key := identity(d)
		if s.known == nil {
			s.known = map[string]int{}
		}
		if s.known[key]++; s.known[key] == 1 {
			s.bodies = append(s.bodies, string(d.Body))
		}
	}
	return refused, ctx.Err()
}

// identity is what a time series makes a document's id of.
func identity(d cluster.Document) string {
	var x struct {
		At          string `json:"@timestamp"`
		Host        string `json:"host.name"`
		Fingerprint string `json:"prometheus.labels_fingerprint"`
	}
	if err := json.Unmarshal(d.Body, &x); err != nil {
		panic(err)
	}
	return d.Stream + " " + x.At + " " + x.Host + " " + x.Fingerprint
}

func (s *sink) Bury(docs []cluster.Document, why []cluster.Refusal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buried = append(s.buried, docs...)
	return nil
}

// all are the documents that are there, in the order in which they came.
func (s *sink) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.bodies)
}

// void takes documents and counts them.
type void struct{ documents, bytes int }

func (v *void) Deliver(_ context.Context, _ cluster.Lane, docs []cluster.Document) (map[int]cluster.Refusal, error) {
	for _, d := range docs {
		v.documents++
		v.bytes += len(d.Body)
	}
	return nil, nil
}

func (v *void) Bury([]cluster.Document, []cluster.Refusal) error { return nil }
