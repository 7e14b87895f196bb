package views

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"

	"flyball/collector/elastic/ecs"
)

// engine answers expressions over a storage, as the store does.
type engine struct {
	*promql.Engine
	storage.Queryable
}

func (e engine) Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) (promql.Matrix, error) {
	q, err := e.NewRangeQuery(ctx, e.Queryable, nil, expr, from, to, step)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", expr, err)
	}
	defer q.Close()
	res := q.Exec(ctx)
	if res.Err != nil {
		return nil, res.Err
	}
	return append(promql.Matrix{}, res.Value.(promql.Matrix)...), nil
}

// loaded is a storage with the samples of a script of promql's tests; its times begin
// in 1970.
func loaded(t testing.TB, script string) engine {
	t.Helper()
	s := promqltest.LoadedStorage(t, script)
	return engine{promqltest.NewTestEngine(t, false, 5*time.Minute, 50_000_000), s}
}

// at is a time so long after the beginning of a script.
func at(d time.Duration) time.Time { return time.UnixMilli(0).Add(d).UTC() }

var here = ecs.Agent{ID: "7", Host: "here", Version: "1.2", Site: "ams3"}

// all are the shipped views.
func all(t testing.TB) map[string]View {
	t.Helper()
	vs, ps := Load(Config{Shipped: true})
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	out := map[string]View{}
	for _, v := range vs {
		out[v.Name] = v
	}
	return out
}

// documents computes a view at one time over a script, each document flat, in the
// order of labels.
func documents(t testing.TB, v View, script string, when time.Time) []map[string]any {
	t.Helper()
	every := 10 * time.Second
	l := newLayout(v, "default", here, every, "1m")
	r, err := New(Options{Range: loaded(t, script), State: &memory{}, Deliver: &sink{}, Views: []View{v}})
	if err != nil {
		t.Fatal(err)
	}
	rs, present, err := r.compute(t.Context(), l, stretch{from: when, every: every, count: 1})
	if err != nil {
		t.Fatal(err)
	}
	for key, why := range r.broken {
		t.Errorf("%s fails: %s", key, why)
	}
	var out []map[string]any
	for _, record := range rs.all {
		body, ok := l.document(nil, record, when, 0, nil)
		if ok && present[0] {
			out = append(out, flat(t, body))
		}
	}
	return out
}

// flat is a JSON object with the names of all that is in it joined by dots.
func flat(t testing.TB, body []byte) map[string]any {
	t.Helper()
	var nested map[string]any
	if err := json.Unmarshal(body, &nested); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	out := map[string]any{}
	var walk func(prefix string, object map[string]any)
	walk = func(prefix string, object map[string]any) {
		for name, v := range object {
			if below, ok := v.(map[string]any); ok {
				walk(prefix+name+".", below)
				continue
			}
			if _, twice := out[prefix+name]; twice {
				t.Errorf("%s is there twice in %s", prefix+name, body)
			}
			out[prefix+name] = v
		}
	}
	walk("", nested)
	return out
}

func read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
