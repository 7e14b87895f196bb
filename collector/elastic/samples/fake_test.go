package samples

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flyball/collector/elastic/cluster"
)

// fake is an Elasticsearch with one time series data stream: a document is known by
// its agent, labels, time and fingerprint.
type fake struct {
	mu     sync.Mutex
	t      testing.TB
	docs   map[string]doc
	pits   map[string][]doc
	asked  int // lookups
	buried []cluster.Document
	why    []cluster.Refusal

	refuse func(doc) *cluster.Refusal               // nil: takes all
	before func(docs []cluster.Document) (take int) // before a delivery: how many are taken before it dies
	after  func(docs []cluster.Document)            // after a delivery
	fail   func(method, path string) error          // of requests
}

// doc is one document.
type doc struct {
	At         time.Time `json:"@timestamp"`
	Agent      string    `json:"agent.id"`
	Host       string    `json:"host.name"`
	Prometheus struct {
		Labels      map[string]string  `json:"labels"`
		Metrics     map[string]float64 `json:"metrics"`
		Fingerprint string             `json:"metrics_names_fingerprint"`
	} `json:"prometheus"`
}

// id is what the server makes of a document's dimensions and time.
func (d doc) id() string {
	return fmt.Sprint(d.At.UnixMilli(), " ", d.Agent, " ", d.Prometheus.Fingerprint, " ", d.Prometheus.Labels)
}

func newFake(t testing.TB) *fake {
	return &fake{t: t, docs: map[string]doc{}, pits: map[string][]doc{}}
}

func (f *fake) read(d cluster.Document) doc {
	f.t.Helper()
	var got doc
	if d.Stream != "metrics-prometheus.collector-default" || d.ID != "" {
		f.t.Errorf("a document is for %s, with the id %q", d.Stream, d.ID)
	}
	if err := json.Unmarshal(d.Body, &got); err != nil {
		f.t.Fatalf("%s: %v", d.Body, err)
	}
	if keys := strings.Count(string(d.Body), `"m`); len(got.Prometheus.Metrics) == 0 {
		f.t.Errorf("a document has no metrics: %s %d", d.Body, keys)
	}
	return got
}

func (f *fake) Deliver(ctx context.Context, _ cluster.Lane, docs []cluster.Document) (map[int]cluster.Refusal, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	take := len(docs)
	if f.before != nil {
		take = f.before(docs)
	}
	f.mu.Lock()
	refused := map[int]cluster.Refusal{}
	for i, d := range docs[:take] {
		got := f.read(d)
		if f.refuse != nil {
			if why := f.refuse(got); why != nil {
				refused[i] = *why
				continue
			}
		}
		if _, known := f.docs[got.id()]; !known {
			f.docs[got.id()] = got
		}
	}
	f.mu.Unlock()
	if f.after != nil {
		f.after(docs)
	}
	return refused, nil
}

func (f *fake) Bury(docs []cluster.Document, why []cluster.Refusal) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range docs {
		f.read(d)
		f.buried = append(f.buried, cluster.Document{Stream: d.Stream, Body: slices.Clone(d.Body)})
	}
	f.why = append(f.why, why...)
	return nil
}

func (f *fake) Do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if f.fail != nil {
		if err := f.fail(method, path); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var q struct {
		Size  int
		PIT   struct{ ID string }
		Sort  []map[string]string
		From  []int64 `json:"search_after"`
		Query struct {
			Bool struct {
				Filter []struct {
					Range map[string]struct{ Gte, Lt int64 }
					Term  map[string]string
				}
			}
		}
	}
	if body != nil {
		if err := json.Unmarshal(body, &q); err != nil {
			f.t.Fatalf("%s: %v", body, err)
		}
	}
	switch {
	case strings.HasSuffix(path, "/_refresh"):
		if len(f.docs) == 0 {
			return nil, &cluster.StatusError{Status: http.StatusNotFound, Type: "index_not_found_exception"}
		}
		return []byte(`{}`), nil
	case strings.Contains(path, "/_pit?"):
		id := fmt.Sprint("pit-", len(f.pits))
		f.pits[id] = slices.SortedFunc(maps.Values(f.docs), func(a, b doc) int {
			return cmp.Or(a.At.Compare(b.At), strings.Compare(a.id(), b.id()))
		})
		f.asked++
		return json.Marshal(map[string]string{"id": id})
	case path == "/_pit":
		delete(f.pits, q.PIT.ID)
		return []byte(`{}`), nil
	case strings.HasSuffix(path, "default/_search"):
		var newest int64
		for _, d := range f.docs {
			newest = max(newest, d.At.UnixMilli())
		}
		return []byte(fmt.Sprintf(`{"hits":{"hits":[{"sort":[%d]}]}}`, newest)), nil
	case path == "/_search":
		a := map[string]any{}
		var hits []any
		for i, d := range f.pits[q.PIT.ID] {
			at := d.At.UnixMilli()
			if len(q.From) == 2 && (at < q.From[0] || at == q.From[0] && int64(i) <= q.From[1]) || len(hits) == q.Size {
				continue
			}
			fits := true
			for _, x := range q.Query.Bool.Filter {
				if r, ok := x.Range["@timestamp"]; ok {
					fits = fits && at >= r.Gte && at < r.Lt
				}
				if id, ok := x.Term["agent.id"]; ok {
					fits = fits && id == d.Agent
				}
			}
			if fits {
				hits = append(hits, map[string]any{"sort": []int64{at, int64(i)}, "_source": map[string]any{"prometheus": d.Prometheus}})
			}
		}
		a["hits"] = map[string]any{"hits": hits}
		a["pit_id"] = q.PIT.ID
		return json.Marshal(a)
	}
	f.t.Fatalf("a request that nobody expected: %s %s", method, path)
	return nil, nil
}

// samples are all that is held, by series and time; one that is held twice is a failure.
func (f *fake) samples() map[string]map[int64]float64 {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]map[int64]float64{}
	for _, d := range f.docs {
		for name, v := range d.Prometheus.Metrics {
			key := seriesKey(name, d.Prometheus.Labels)
			if out[key] == nil {
				out[key] = map[int64]float64{}
			}
			if _, twice := out[key][d.At.UnixMilli()]; twice {
				f.t.Errorf("%s at %v is there twice", key, d.At)
			}
			out[key][d.At.UnixMilli()] = v
		}
	}
	return out
}

func seriesKey(name string, ls map[string]string) string {
	return fmt.Sprint(name, ls)
}
