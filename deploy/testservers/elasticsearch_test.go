package testservers

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// send sends a document and returns the status and the answer.
func send(t *testing.T, method, url, body string) string {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	answer, _ := io.ReadAll(r.Body)
	return r.Status + " " + string(answer)
}

func TestElasticsearchKeepsItsDataWhenKilledAndLeavesNothing(t *testing.T) {
	var dir string
	t.Run("life", func(t *testing.T) {
		e := StartElasticsearch(t)
		dir = e.Dir()
		if body, err := get(e.URL()); err != nil || !strings.Contains(body, `"number":"`+elasticsearchVersion) {
			t.Errorf("the root page is %s, %v", body, err)
		}
		if got := send(t, http.MethodPut, e.URL()+"/kept/_doc/1", `{"n": 7}`); !strings.HasPrefix(got, "201") {
			t.Errorf("a document: %s", got)
		}
		e.Freeze(t)
		if body, err := get(e.URL()); err == nil {
			t.Errorf("a frozen node answered %s", body)
		}
		e.Thaw(t)
		e.Kill(t)
		if ps := belonging(dir); len(ps) > 0 || answers(e.Addr()) {
			t.Errorf("killed, there are %v", ps)
		}
		e.Restart(t)
		until(t, "the document is there", func() bool {
			body, err := get(e.URL() + "/kept/_doc/1")
			return err == nil && strings.Contains(body, `"_source":{"n": 7}`)
		})
	})
	gone(t, dir)
}

func TestElasticsearchRefusesARepeatedSampleOfATimeSeries(t *testing.T) {
	e := SharedElasticsearch(t)
	got := send(t, http.MethodPut, e.URL()+"/_index_template/series", `{"index_patterns": ["series"], "data_stream": {}, "template": {
		"settings": {"index.mode": "time_series", "index.routing_path": ["host"], "index.look_back_time": "3h"},
		"mappings": {"properties": {
			"@timestamp": {"type": "date"}, "load": {"type": "double"},
			"host": {"type": "keyword", "time_series_dimension": true}}}}}`)
	if !strings.HasPrefix(got, "200") {
		t.Fatalf("a template: %s", got)
	}
	now := time.Now().UTC()
	for _, tt := range []struct{ at, status string }{
		{now.Format(time.RFC3339), "201"},
		{now.Format(time.RFC3339), "409"},
		{now.Add(-2 * time.Hour).Format(time.RFC3339), "201"},
		{now.Add(-4 * time.Hour).Format(time.RFC3339), "400"}, // before the start of the index
	} {
		got := send(t, http.MethodPost, e.URL()+"/series/_doc?op_type=create", fmt.Sprintf(`{"@timestamp": %q, "host": "a", "load": 1}`, tt.at))
		if !strings.HasPrefix(got, tt.status) {
			t.Errorf("a sample at %s: %s, want %s", tt.at, got, tt.status)
		}
	}
}
