package elastictest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// faults is a reverse proxy that turns away, and breaks off.
type faults struct {
	url     string
	items   atomic.Bool  // turns away every seventh item of a bulk request: it is taken out, and answered with 429
	whole   atomic.Int64 // turns away so many bulk requests
	turned  atomic.Int64 // items that were turned away
	half    atomic.Int64 // breaks off so many bulk requests when half of them has arrived
	unheard atomic.Int64 // and so many before their answer has
}

func startFaults(t *testing.T, target string) *faults {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	f := &faults{}
	pass := httputil.NewSingleHostReverseProxy(u)
	pass.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bulk := strings.HasSuffix(r.URL.Path, "_bulk")
		switch {
		case bulk && f.whole.Add(-1) >= 0:
			w.Header().Set("X-Elastic-Product", "Elasticsearch")
			http.Error(w, `{"error":{"type":"unavailable_shards_exception","reason":"away"},"status":503}`, http.StatusServiceUnavailable)
		case bulk && f.half.Add(-1) >= 0:
			if r.ContentLength <= 0 {
				t.Error("a bulk request does not tell its length")
			}
			r.Body = io.NopCloser(io.LimitReader(r.Body, r.ContentLength/2))
			pass.ServeHTTP(httptest.NewRecorder(), r) // fails: it announced more
			panic(http.ErrAbortHandler)
		case bulk && f.unheard.Add(-1) >= 0:
			pass.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case bulk && f.items.Load():
			f.someItems(w, r, u)
		default:
			pass.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	f.url = srv.URL
	return f
}

// cut breaks off five requests.
func (f *faults) cut(t *testing.T, where *atomic.Int64) {
	t.Helper()
	where.Store(5)
	await(t, "requests were broken off", func() bool { return where.Load() <= 0 })
}

// someItems passes on all items but every seventh.
func (f *faults) someItems(w http.ResponseWriter, r *http.Request, to *url.URL) {
	lines, header, err := bulkLines(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var left bytes.Buffer
	var out []bool
	for i := 0; i+1 < len(lines); i += 2 {
		away := i/2%7 == 3
		out = append(out, away)
		if !away {
			left.Write(lines[i])
			left.WriteByte('\n')
			left.Write(lines[i+1])
			left.WriteByte('\n')
		}
	}
	q, err := http.NewRequestWithContext(r.Context(), http.MethodPost, to.String()+r.URL.RequestURI(), &left)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	q.Header.Set("Content-Type", header)
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(f.merge(text, out))
}

// bulkLines are the lines of a bulk request.
func bulkLines(r *http.Request) (lines [][]byte, contentType string, err error) {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(body); err != nil {
			return nil, "", err
		}
	}
	text, err := io.ReadAll(body)
	return bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")), r.Header.Get("Content-Type"), err
}

// merge puts the items that were turned away back into the answer.
func (f *faults) merge(text []byte, away []bool) []byte {
	var a map[string]json.RawMessage
	var items, all []json.RawMessage
	if json.Unmarshal(text, &a) != nil || json.Unmarshal(a["items"], &items) != nil {
		return text
	}
	for _, out := range away {
		if out {
			f.turned.Add(1)
			all = append(all, json.RawMessage(`{"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"busy"}}}`))
			continue
		}
		all, items = append(all, items[0]), items[1:]
	}
	a["items"], _ = json.Marshal(all)
	text, _ = json.Marshal(a)
	return text
}
