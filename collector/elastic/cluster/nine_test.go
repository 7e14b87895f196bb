package cluster

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// recorded is an answer of Elasticsearch 9.x; see testdata/nine/README.md.
func recorded(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/nine/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(b)
}

func TestElasticsearchNineIsUnderstood(t *testing.T) {
	root, bulk := recorded(t, "root.json"), recorded(t, "bulk.json")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
			reply(w, http.StatusOK, root)
		default:
			reply(w, http.StatusOK, bulk)
		}
	}))
	defer s.Close()
	c := reach(t, time.Minute, s.URL)
	i, err := c.Info(t.Context())
	if err != nil || i.Name != "production" || i.Version != "9.2.1" || !i.Clocked || i.Skew.Round(time.Minute) != time.Hour {
		t.Errorf("it is %+v, %v", i, err)
	}
	refused, err := c.Deliver(t.Context(), Events, make9("logs-flyball.scaling-default", 5))
	if err != nil {
		t.Fatal(err)
	}
	want := map[int]Refusal{
		1: {Status: 201, Type: "failure_store"},
		2: {Status: 400, Type: "document_parsing_exception", Field: "event.duration"},
		4: {Status: 400, Type: "strict_dynamic_mapping_exception", Field: "rule.other"},
	}
	for i := range 5 {
		got := refused[i]
		if (got.Reason == "") != (want[i].Type == "") {
			t.Errorf("document %d: the reason is %q", i, got.Reason)
		}
		got.Reason = ""
		if got != want[i] {
			t.Errorf("document %d is refused with %+v, want %+v", i, got, want[i])
		}
	}
	if s := c.Status(); s.Created != 1 || s.Known != 1 || s.Refused != 3 {
		t.Errorf("the status is %+v", s)
	}
}

func make9(stream string, n int) []Document {
	docs := make([]Document, n)
	for i := range docs {
		docs[i] = Document{Stream: stream, ID: string(rune('a' + i)), Body: []byte(`{}`)}
	}
	return docs
}
