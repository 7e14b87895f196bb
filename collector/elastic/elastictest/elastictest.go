// Package elastictest compares, for tests, what a store holds with what an
// Elasticsearch has of it: series by series, sample by sample.
package elastictest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// An Asker sends one request to Elasticsearch and returns the answer's body: a
// cluster.Cluster.
type Asker interface {
	Do(ctx context.Context, method, path string, body []byte) ([]byte, error)
}

// A Report is how the samples of a stretch of time compare.
type Report struct {
	Series    int // that have samples in the store that can be sent
	Samples   int // of them
	Documents int

	Lost    int // samples of the store that Elasticsearch has not
	Doubled int // samples that it has more than once
	Wrong   int // samples whose number differs
	Foreign int // samples that it has and the store has not

	Examples []string // a few of them
}

// Err is an error unless each sample is there, once, with its number.
func (r Report) Err() error {
	if r.Lost+r.Doubled+r.Wrong+r.Foreign == 0 {
		return nil
	}
	return fmt.Errorf("of %d samples of %d series, %d are lost, %d doubled, %d wrong, and %d came from nowhere: %s",
		r.Samples, r.Series, r.Lost, r.Doubled, r.Wrong, r.Foreign, strings.Join(r.Examples, "; "))
}

func (r *Report) example(format string, args ...any) {
	if len(r.Examples) < 10 {
		r.Examples = append(r.Examples, fmt.Sprintf(format, args...))
	}
}

// found is the samples of a series in Elasticsearch, by time.
type found map[int64]*sample

type sample struct {
	value float64
	count int
	seen  bool
}

// Compare compares the samples from a time to another (ms since 1970, the second one not
// included) that the store holds and can be sent with those of a data stream. Native
// histograms count by their count and sum. Labels by which series are left out may be nil.
func Compare(ctx context.Context, store storage.Queryable, es Asker, stream string, from, to int64, skip func(labels.Labels) bool) (Report, error) {
	var r Report
	there, err := r.read(ctx, es, stream, from, to)
	if err != nil {
		return r, fmt.Errorf("read %s: %w", stream, err)
	}
	q, err := store.Querier(from, to-1)
	if err != nil {
		return r, fmt.Errorf("read the store: %w", err)
	}
	set := q.Select(ctx, false, nil, labels.MustNewMatcher(labels.MatchEqual, "", ""))
	for set.Next() {
		if ls := set.At().Labels(); skip == nil || !skip(ls) {
			r.series(ls, set.At().Iterator(nil), from, to, there)
		}
	}
	if err := errors.Join(set.Err(), q.Close()); err != nil {
		return r, fmt.Errorf("read the store: %w", err)
	}
	for name, s := range there {
		for at, x := range s {
			if !x.seen {
				r.Foreign++
				r.example("%s at %d is not in the store", name, at)
			}
			if x.count > 1 {
				r.Doubled++
				r.example("%s at %d is there %d times", name, at, x.count)
			}
		}
	}
	return r, nil
}

// series compares one series of the store.
func (r *Report) series(ls labels.Labels, it chunkenc.Iterator, from, to int64, there map[string]found) {
	name, rest := ls.Get(model.MetricNameLabel), ls.MatchLabels(false, model.MetricNameLabel).String()
	number, count, sum := there[name+rest], there[name+"_count"+rest], there[name+"_sum"+rest]
	any := false
	for t := it.Next(); t != chunkenc.ValNone; t = it.Next() {
		at := it.AtT()
		if at < from || at >= to {
			continue
		}
		if t == chunkenc.ValFloat {
			_, v := it.At()
			any = r.sample(name+rest, at, v, number) || any
			continue
		}
		_, h := it.AtFloatHistogram(nil)
		any = r.sample(name+"_count"+rest, at, h.Count, count) || any
		any = r.sample(name+"_sum"+rest, at, h.Sum, sum) || any
	}
	if any {
		r.Series++
	}
}

// sample compares one sample, if it can be sent.
func (r *Report) sample(key string, at int64, v float64, there found) bool {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return false
	}
	r.Samples++
	got := there[at]
	switch {
	case got == nil:
		r.Lost++
		r.example("%s at %d is lost", key, at)
	case math.Float64bits(got.value) != math.Float64bits(v):
		r.Wrong++
		r.example("%s at %d is %v, and %v in the store", key, at, got.value, v)
		fallthrough
	default:
		got.seen = true
	}
	return true
}

type object = map[string]any

// page is how many documents an answer has.
const page = 2000

// read reads all samples of a data stream.
func (r *Report) read(ctx context.Context, es Asker, stream string, from, to int64) (map[string]found, error) {
	all := map[string]found{}
	if _, err := es.Do(ctx, http.MethodPost, "/"+stream+"/_refresh", nil); err != nil {
		return nil, err
	}
	var pit struct{ ID string }
	text, err := es.Do(ctx, http.MethodPost, "/"+stream+"/_pit?keep_alive=2m", nil)
	if err := cmp.Or(err, json.Unmarshal(text, &pit)); err != nil {
		return nil, err
	}
	body := object{
		"size": page, "_source": []string{"prometheus.labels", "prometheus.metrics"},
		"query": object{"range": object{"@timestamp": object{"gte": from, "lt": to, "format": "epoch_millis"}}},
		"sort":  []any{object{"@timestamp": "asc"}, object{"_shard_doc": "asc"}},
	}
	for {
		body["pit"] = object{"id": pit.ID, "keep_alive": "2m"}
		hits, err := search(ctx, es, body)
		if err != nil {
			return nil, err
		}
		for _, h := range hits {
			r.Documents++
			h.into(all)
		}
		if len(hits) < page {
			break
		}
		body["search_after"] = hits[len(hits)-1].Sort
	}
	text, err = json.Marshal(object{"id": pit.ID})
	if err == nil {
		_, err = es.Do(ctx, http.MethodDelete, "/_pit", text)
	}
	return all, err
}

// A hit is one document.
type hit struct {
	Sort   []int64
	Source struct {
		Prometheus struct {
			Labels  map[string]string
			Metrics map[string]float64
		}
	} `json:"_source"`
}

func (h hit) into(all map[string]found) {
	rest := labels.FromMap(h.Source.Prometheus.Labels).String()
	for name, v := range h.Source.Prometheus.Metrics {
		k := name + rest
		if all[k] == nil {
			all[k] = found{}
		}
		if x := all[k][h.Sort[0]]; x != nil {
			x.count++
			continue
		}
		all[k][h.Sort[0]] = &sample{value: v, count: 1}
	}
}

func search(ctx context.Context, es Asker, body object) ([]hit, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	text, err = es.Do(ctx, http.MethodPost, "/_search", text)
	if err != nil {
		return nil, err
	}
	var a struct {
		Shards struct{ Failed int } `json:"_shards"`
		Hits   struct{ Hits []hit }
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return nil, err
	}
	if a.Shards.Failed > 0 {
		return nil, errors.New("a part of the answer is missing")
	}
	return a.Hits.Hits, nil
}
