package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"flyball/deploy/tools/bench/targets"
)

// A search is an Elasticsearch that is asked what it holds, and what it cost.
type search struct{ url string }

// do sends a request and reads the answer, both JSON; nil is none.
func (e search) do(ctx context.Context, method, path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	if body == nil {
		text = nil
	}
	req, err := http.NewRequestWithContext(ctx, method, e.url+path, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("ask Elasticsearch: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask Elasticsearch: %w", err)
	}
	defer res.Body.Close()
	said, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("%s: %.500s", res.Status, said)
	}
	if err == nil && answer != nil {
		err = json.Unmarshal(said, answer)
	}
	if err != nil {
		return fmt.Errorf("ask Elasticsearch to %s %s: %w", method, path, err)
	}
	return nil
}

// cpu returns the seconds that the server has used, user and system.
func (e search) cpu(ctx context.Context) (float64, error) {
	var answer struct {
		Nodes map[string]struct {
			Process struct {
				CPU struct {
					Total float64 `json:"total_in_millis"`
				}
			}
		}
	}
	err := e.do(ctx, http.MethodGet, "/_nodes/stats/process", nil, &answer)
	total := 0.0
	for _, n := range answer.Nodes {
		total += n.Process.CPU.Total / 1000
	}
	return total, err
}

// A mapping is how an index keeps an object or a field.
type mapping struct {
	Properties map[string]mapping
}

// fields lists the fields below m, by whole names, that are for the targets' series.
func (m mapping) fields(name string) []string {
	var found []string
	for part, sub := range m.Properties {
		whole := part
		if name != "" {
			whole = name + "." + part
		}
		found = append(found, sub.fields(whole)...)
	}
	if len(m.Properties) == 0 && strings.Contains(name, targets.Prefix) {
		found = append(found, name)
	}
	slices.Sort(found)
	return found
}

// values counts the values of the targets' series that are in the index, in
// documents of which the time is in [from, to). What a shipper tells of itself
// and of its scrapes is not counted, and so held against it.
func (e search) values(ctx context.Context, index string, from, to time.Time) (float64, error) {
	if err := e.do(ctx, http.MethodPost, "/"+index+"/_refresh?ignore_unavailable=true", nil, nil); err != nil {
		return 0, err
	}
	var kept map[string]struct{ Mappings mapping }
	if err := e.do(ctx, http.MethodGet, "/"+index+"/_mapping?ignore_unavailable=true", nil, &kept); err != nil {
		return 0, err
	}
	filters := map[string]any{}
	for _, m := range kept {
		for _, f := range m.Mappings.fields("") {
			filters[f] = map[string]any{"exists": map[string]any{"field": f}}
		}
	}
	if len(filters) == 0 {
		return 0, nil
	}
	within := map[string]any{"gte": millis(from), "lt": millis(to), "format": "epoch_millis"}
	ask := map[string]any{
		"size": 0, "track_total_hits": false,
		"query": map[string]any{"range": map[string]any{"@timestamp": within}},
		"aggs":  map[string]any{"values": map[string]any{"filters": map[string]any{"filters": filters}}},
	}
	var answer struct {
		Aggregations struct {
			Values struct {
				Buckets map[string]struct {
					Docs float64 `json:"doc_count"`
				}
			}
		}
	}
	err := e.do(ctx, http.MethodPost, "/"+index+"/_search?request_cache=false", ask, &answer)
	total := 0.0
	for _, b := range answer.Aggregations.Values.Buckets {
		total += b.Docs
	}
	return total, err
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// merge merges an index into one segment, and returns its bytes and documents. The
// sizes are those of the segments: what _stats and _cat tell is up to ten seconds
// old.
func (e search) merge(ctx context.Context, index string) (size, docs float64, err error) {
	if err := e.do(ctx, http.MethodPost, "/"+index+"/_flush", nil, nil); err != nil {
		return 0, 0, err
	}
	if err := e.do(ctx, http.MethodPost, "/"+index+"/_forcemerge?max_num_segments=1", nil, nil); err != nil {
		return 0, 0, err
	}
	var answer struct {
		Indices map[string]struct {
			Shards map[string][]struct {
				Segments map[string]struct {
					Docs float64 `json:"num_docs"`
					Size float64 `json:"size_in_bytes"`
				}
			}
		}
	}
	err = e.do(ctx, http.MethodGet, "/"+index+"/_segments", nil, &answer)
	for _, i := range answer.Indices {
		for _, copies := range i.Shards {
			for _, s := range copies[0].Segments {
				size, docs = size+s.Size, docs+s.Docs
			}
		}
	}
	return size, docs, err
}
