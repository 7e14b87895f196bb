package samples

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"flyball/collector/elastic/cluster"
)

// An Asker sends one request, see [cluster.Cluster.Do].
type Asker interface {
	Do(ctx context.Context, method, path string, body []byte) ([]byte, error)
}

// mostHits is how many documents an answer has at most, of 1,000 metrics each at most.
const mostHits = 1000

// An inquiry looks up which samples Elasticsearch holds.
type inquiry struct {
	asker  Asker
	stream string
	agent  string // whose documents; "": anybody's
}

// answer is what a search answers.
type answer struct {
	PIT      string `json:"pit_id"`
	TimedOut bool   `json:"timed_out"`
	Shards   struct {
		Failed int `json:"failed"`
	} `json:"_shards"`
	Hits struct {
		Hits []hit `json:"hits"`
	} `json:"hits"`
}

// A hit is one document. It is sorted by its time in milliseconds since 1970, and
// where it lies.
type hit struct {
	Sort   []int64 `json:"sort"`
	Source struct {
		Prometheus struct {
			Labels  map[string]string          `json:"labels"`
			Metrics map[string]json.RawMessage `json:"metrics"`
		} `json:"prometheus"`
	} `json:"_source"`
}

// object is one of JSON.
type object = map[string]any

// mark finds the samples of a window that Elasticsearch has. What was acknowledged
// before is seen.
func (q inquiry) mark(ctx context.Context, c *cache, w *window) error {
	if w.count == 0 {
		return nil
	}
	return q.each(ctx, w.stretch, func(h hit) {
		g := c.find(h.Source.Prometheus.Labels)
		if g == nil || len(h.Sort) == 0 {
			return
		}
		at := h.Sort[0]
		first := sort.Search(len(g.rows), func(i int) bool { return g.rows[i].at >= at })
		for i := first; i < len(g.rows) && g.rows[i].at == at; i++ {
			if _, ok := h.Source.Prometheus.Metrics[g.rows[i].metric.name]; ok {
				g.rows[i].there = true
			}
		}
	})
}

// find finds the group of labels, if it is known.
func (c *cache) find(names map[string]string) *group {
	ls := labels.FromMap(names)
	for at := hashLabels(ls); c.groups[at] != nil; at++ {
		if g := c.groups[at]; labels.Equal(g.labels, ls) {
			return g
		}
	}
	return nil
}

// each calls do with each document of a stretch, as they are at one moment.
func (q inquiry) each(ctx context.Context, s stretch, do func(hit)) error {
	pit, err := q.open(ctx)
	if err != nil || pit == "" {
		return err
	}
	defer q.close(context.WithoutCancel(ctx), &pit)
	body := object{
		"size": mostHits, "track_total_hits": false, "_source": []string{"prometheus.labels", "prometheus.metrics"},
		"query": object{"bool": object{"filter": q.filter(s)}},
		"sort":  []any{object{"@timestamp": "asc"}, object{"_shard_doc": "asc"}},
	}
	for {
		body["pit"] = object{"id": pit, "keep_alive": keepAlive}
		a, err := q.search(ctx, "/_search", body)
		if err != nil {
			return err
		}
		pit = a.PIT
		for _, h := range a.Hits.Hits {
			do(h)
		}
		if len(a.Hits.Hits) < mostHits {
			return nil
		}
		body["search_after"] = a.Hits.Hits[len(a.Hits.Hits)-1].Sort
	}
}

// keepAlive is how long the server remembers what a search goes on from.
const keepAlive = "2m"

// filter matches the documents of a stretch.
func (q inquiry) filter(s stretch) []any {
	fs := []any{object{"range": object{"@timestamp": object{"gte": s.From, "lt": s.To, "format": "epoch_millis"}}}}
	if q.agent != "" {
		fs = append(fs, object{"term": object{"agent.id": q.agent}})
	}
	return fs
}

// open makes what was acknowledged visible, and fixes it. It returns "" if there is no
// such data stream.
func (q inquiry) open(ctx context.Context) (string, error) {
	at := "/" + url.PathEscape(q.stream)
	_, err := q.asker.Do(ctx, http.MethodPost, at+"/_refresh", nil)
	var text []byte
	if err == nil {
		text, err = q.asker.Do(ctx, http.MethodPost, at+"/_pit?keep_alive="+keepAlive, nil)
	}
	if missing(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look up samples: %w", err)
	}
	var a struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(text, &a); err != nil || a.ID == "" {
		return "", fmt.Errorf("look up samples: read an answer: %w", orMissing(err))
	}
	return a.ID, nil
}

func orMissing(err error) error {
	if err == nil {
		return errors.New("it has no id")
	}
	return err
}

// close lets the server forget; it does so by itself soon.
func (q inquiry) close(ctx context.Context, pit *string) {
	body, err := json.Marshal(object{"id": *pit})
	if err == nil {
		_, _ = q.asker.Do(ctx, http.MethodDelete, "/_pit", body)
	}
}

// search asks once. An answer that is not whole is an error.
func (q inquiry) search(ctx context.Context, path string, body object) (answer, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return answer{}, fmt.Errorf("look up samples: %w", err)
	}
	text, err = q.asker.Do(ctx, http.MethodPost, path, text)
	if err != nil {
		return answer{}, fmt.Errorf("look up samples: %w", err)
	}
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		return answer{}, fmt.Errorf("look up samples: read an answer: %w", err)
	}
	if a.TimedOut || a.Shards.Failed > 0 {
		return answer{}, fmt.Errorf("look up samples: the answer is not whole (%d shards failed, timed out: %t)", a.Shards.Failed, a.TimedOut)
	}
	return a, nil
}

// newest is the time of the newest document, in milliseconds since 1970; 0 if there
// is none.
func (q inquiry) newest(ctx context.Context) (int64, error) {
	at := "/" + url.PathEscape(q.stream)
	if _, err := q.asker.Do(ctx, http.MethodPost, at+"/_refresh", nil); missing(err) {
		return 0, nil
	} else if err != nil {
		return 0, fmt.Errorf("look up samples: %w", err)
	}
	a, err := q.search(ctx, at+"/_search", object{
		"size": 1, "track_total_hits": false, "_source": false, "sort": []any{object{"@timestamp": "desc"}},
	})
	if err != nil || len(a.Hits.Hits) == 0 || len(a.Hits.Hits[0].Sort) == 0 {
		return 0, err
	}
	return a.Hits.Hits[0].Sort[0], nil
}

// missing says whether there is no such data stream.
func missing(err error) bool {
	var status *cluster.StatusError
	return errors.As(err, &status) && status.Status == http.StatusNotFound && strings.Contains(status.Type, "index_not_found")
}
