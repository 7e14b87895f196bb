package setup

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// What the test server is without, and other versions, are played from testdata:
// the answers there are written by hand from Elastic's API documents, not taken from
// a server. Templates that are put are given back in the form of 9.2: settings nested
// and as text, defaults filled in, and the dates that 9.2 adds.

// A recording plays a server.
type recording struct {
	url string

	mu      sync.Mutex
	answers map[string]recorded
	kept    map[string]object // templates by path
	asked   []string          // everything but GET
}

type recorded struct {
	Method string          `json:"method"`
	Path   string          `json:"path"`
	Status int             `json:"status"`
	Body   json.RawMessage `json:"body"`
}

// play starts a server of a file's answers; mark stands for $MARK in them.
func play(t *testing.T, file, mark string) *recording {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Answers []recorded `json:"answers"`
	}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), "$MARK", mark)), &f); err != nil {
		t.Fatal(err)
	}
	r := &recording{answers: map[string]recorded{}, kept: map[string]object{}}
	for _, a := range f.Answers {
		r.answers[a.Method+" "+a.Path] = a
	}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	r.url = s.URL
	return r
}

// ServeHTTP answers as it is written, and keeps templates.
func (r *recording) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	w.Header().Set("Content-Type", "application/json")
	body, _ := io.ReadAll(q.Body)
	if q.Method != http.MethodGet {
		r.asked = append(r.asked, strings.TrimSpace(q.Method+" "+q.URL.Path+" "+string(body)))
	}
	kind, name, _ := strings.Cut(strings.TrimPrefix(q.URL.Path, "/"), "/")
	a, ok := r.answers[q.Method+" "+q.URL.Path]
	switch {
	case ok:
		w.WriteHeader(a.Status)
		_, _ = w.Write(a.Body)
	case strings.HasSuffix(kind, "_template") && q.Method == http.MethodPut:
		var content object
		if err := json.Unmarshal(body, &content); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.kept[kind+"/"+name] = content
		_, _ = w.Write([]byte(`{"acknowledged":true}`))
	case strings.HasSuffix(kind, "_template"):
		_ = json.NewEncoder(w).Encode(r.list(strings.TrimPrefix(kind, "_")))
	default:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"no handler found for uri [` + q.URL.Path + `] and method [` + q.Method + `]"}`))
	}
}

// list gives templates back as 9.2 does.
func (r *recording) list(kind string) object {
	var all []object
	for path, content := range r.kept {
		k, name, _ := strings.Cut(path, "/")
		if k != "_"+kind {
			continue
		}
		c := plain(content)
		for _, when := range []string{"created_date", "modified_date"} {
			c[when], c[when+"_millis"] = "2026-11-21T10:00:00.000Z", 1795255200000
		}
		if _, ok := c["data_stream"]; ok {
			c["data_stream"] = object{"hidden": false, "allow_custom_routing": false}
		}
		t, _ := c["template"].(object)
		if flat, ok := t["settings"].(object); ok {
			t["settings"] = nested(flat)
		}
		if l, ok := t["lifecycle"].(object); ok {
			l["enabled"] = true
		}
		all = append(all, object{"name": name, kind: c})
	}
	return object{kind + "s": all}
}

// nested writes settings as a server does.
func nested(flat object) object {
	root := object{}
	for name, v := range flat {
		path, at := strings.Split(name, "."), root
		for _, p := range path[:len(path)-1] {
			if _, ok := at[p].(object); !ok {
				at[p] = object{}
			}
			at = at[p].(object)
		}
		if _, list := v.([]any); !list {
			v = word(v)
		}
		at[path[len(path)-1]] = v
	}
	return root
}

// changes are the requests that changed something, since the last call.
func (r *recording) changes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.asked
	r.asked = nil
	return out
}

var usual = Streams{Namespace: "default", Retention: days(30)}

func TestTemplatesInTheFormOf92AreOurs(t *testing.T) {
	r := play(t, "nine", "")
	a, ds := asker{r.url}, []Dataset{Samples(), Events(), cpu("nine")}
	r.answers["GET /_resolve/index/metrics-prometheus.collector-default"] = r.answers["GET /_resolve/index/metrics-system.nine-default"]
	r.answers["GET /_resolve/index/logs-flyball.*-default"] = recorded{Status: 200, Body: []byte(`{"indices":[],"aliases":[],"data_streams":[]}`)}
	first, _ := apply(t, a, usual, ds, Version)
	if n := len(r.changes()); n != 7 || len(first.Left()) != 0 {
		t.Errorf("the first time: %d requests, %+v", n, first)
	}
	second, _ := apply(t, a, usual, ds, Version)
	if got := r.changes(); len(got) != 0 || len(second.Left()) != 0 {
		t.Errorf("the second time: %v, %+v", got, second)
	}
}

func TestAnotherRetentionIsGivenToDataStreamsFirst(t *testing.T) {
	r := play(t, "nine-retention", usual.mark(cpu("nine")))
	a, ds := asker{r.url}, []Dataset{cpu("nine")}
	apply(t, a, usual, ds, Version)
	r.changes()
	week := usual
	week.Retention = days(7)
	report, _ := apply(t, a, week, ds, Version)
	got := r.changes()
	if len(got) != 2 || got[0] != `PUT /_data_stream/metrics-system.nine-default/_lifecycle {"data_retention":"7d"}` || !strings.HasPrefix(got[1], "PUT /_component_template/flyball-default@lifecycle ") {
		t.Errorf("%v", got)
	}
	if !slices.Contains(did(report, "system.nine"), Retained) || len(report.Left()) != 0 {
		t.Errorf("%+v", report)
	}
}

func TestARetentionThatAUserSetIsLeft(t *testing.T) {
	r := play(t, "nine-retention-users", usual.mark(cpu("nine")))
	a, ds := asker{r.url}, []Dataset{cpu("nine")}
	apply(t, a, usual, ds, Version)
	r.changes()
	week := usual
	week.Retention = days(7)
	report, _ := apply(t, a, week, ds, Version)
	if left := report.Left(); len(left) != 1 || left[0].Why != `somebody set its retention to "90d"` {
		t.Errorf("%+v", left)
	}
	if got := r.changes(); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

func TestALifecyclePolicyMustBeThere(t *testing.T) {
	s := Streams{Namespace: "default", ILMPolicy: "ours"}
	there := play(t, "policy-there", "")
	if r, _ := apply(t, asker{there.url}, s, []Dataset{cpu("nine")}, Version); len(r.Left()) != 0 {
		t.Errorf("%+v", r)
	}
	if got := there.changes(); !strings.Contains(got[0], `"settings":{"index.lifecycle.name":"ours"}`) || strings.Contains(strings.Join(got, ""), "data_retention") {
		t.Errorf("%v", got)
	}
	for _, tt := range []struct{ url, want string }{
		{play(t, "policy-missing", "").url, `there is no lifecycle policy "ours"; make it`},
		{server(t).url, "it has no index lifecycle management; leave ilm_policy out"},
	} {
		_, err := Apply(t.Context(), reach(t, tt.url), s, nil, (&lines{}).logger())
		if !errors.Is(err, ErrServer) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want %s", err, tt.want)
		}
	}
}

func TestAServerThatLacksAFeatureIsToldWhich(t *testing.T) {
	for _, tt := range []struct{ file, want string }{
		{"old", "version 8.12.2 lacks more than 21 dimensions, of more than 1,024 bytes, bulk requests that insist on a data stream, fields beyond the limit that cost no document (ignore_dynamic_beyond_limit); upgrade it to 8.14 or later"},
		{"seven", "time series data streams"},
		{"serverless", ""},
		{"nine", ""},
	} {
		_, err := Apply(t.Context(), reach(t, play(t, tt.file, "").url), usual, []Dataset{cpu("nine")}, (&lines{}).logger())
		if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, ErrServer) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %s", tt.file, err, tt.want)
		}
	}
}

func TestDoctorFindsWhatTheKeyMayNot(t *testing.T) {
	newest := time.UnixMilli(1795262810108)
	for _, tt := range []struct {
		file string
		ok   bool
		text string
	}{
		{"nine-rights", true, "all privileges are there"},
		{"nine-few-rights", false, "missing are: manage_index_templates, create_doc on metrics-system.nine-default"},
	} {
		r := play(t, tt.file, usual.mark(cpu("nine")))
		a, ds := asker{r.url}, []Dataset{cpu("nine")}
		apply(t, a, usual, ds, Version)
		fs := Check(t.Context(), reach(t, r.url), usual, ds, newest.Add(time.Minute))
		for _, f := range fs {
			if f.What == "rights" && (f.OK != tt.ok || f.Text != tt.text) {
				t.Errorf("%s: %+v", tt.file, f)
			}
			if f.What != "rights" && !f.OK {
				t.Errorf("%s: %+v", tt.file, f)
			}
			if !f.OK && f.Hint == "" {
				t.Errorf("%s: %+v says not what to do", tt.file, f)
			}
		}
		if last := fs[len(fs)-1]; last.Text != "metrics-system.nine-default: the newest document is of 2026-11-21 12:06:50 UTC, 1m0s ago" {
			t.Errorf("%+v", last)
		}
	}
	fs := Check(t.Context(), reach(t, play(t, "denied", "").url), usual, nil, newest)
	if len(fs) != 1 || fs[0].OK || fs[0].What != "reachable" || !strings.Contains(fs[0].Text, "401") {
		t.Errorf("%+v", fs)
	}
}
