package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/elastic/go-elasticsearch/v8/esutil"
)

// reasons are Elasticsearch 8.19.21's own, and the field that each is about.
func reasons() map[string]string {
	return map[string]string{
		`[1:51] failed to parse field [prometheus.metrics.up] of type [double] in document with id '9n'. Preview of field's value: 'abc': For input string: "abc"`:         "prometheus.metrics.up",
		`[1:63] failed to parse field [n] of type [double] in a time series document at [2026-11-21T11:54:11.352Z]. Preview of field's value: 'failed to parse field [x]'`: "n",
		`[1:51] object mapping for [o.p] tried to parse field [p] as object, but found a concrete value`:                                                                   "o.p",
		`[1:56] mapping set to strict, dynamic introduction of [y] within [o.x] is not allowed`:                                                                            "o.x.y",
		`[1:57] mapping set to strict, dynamic introduction of [unknown] within [_doc] is not allowed`:                                                                     "unknown",
		`mapper [prometheus.metrics.a] cannot be changed from type [long] to [double]`:                                                                                     "prometheus.metrics.a",
		"Mapper for [n] conflicts with existing mapper: Cannot update parameter [time_series_metric] from [gauge] to [counter]":                                            "n",
		`[1:55] Field name cannot contain only whitespace: [dyn. ]`:                                                                                                        "dyn. ",
		`[1:7] failed to parse: data stream timestamp field [@timestamp] is missing`:                                                                                       "@timestamp",
		`Document contains at least one immense term in field="k" (whose UTF8 encoding is longer than the max length 32766)`:                                               "k",
		`[1:47] failed to parse: [1:54] Non-standard token 'NaN' at [Source: (byte[])"{"a":"failed to parse field [b]","n":NaN}"; line: 1, column: 54]`:                    "",
		`Limit of total fields [5] has been exceeded while adding new fields [4]`:                                                                                          "",
		`the document timestamp [2020-01-01T00:00:00.000Z] is outside of ranges of currently writable indices [[a,b]]`:                                                     "",
		`Error extracting routing: source didn't contain any routing fields`:                                                                                               "",
		``: "",
	}
}

func TestReasonsNameTheirField(t *testing.T) {
	for reason, want := range reasons() {
		if got := fieldOf(reason); got != want {
			t.Errorf("%q is about %q, want %q", reason, got, want)
		}
	}
}

func FuzzFieldOf(f *testing.F) {
	for r := range reasons() {
		f.Add(r)
	}
	f.Fuzz(func(t *testing.T, reason string) {
		field := fieldOf(reason)
		for part := range strings.SplitSeq(field, ".") {
			if !strings.Contains(reason, part) {
				t.Errorf("%q is about %q", reason, field)
			}
		}
		if strings.ContainsAny(field, "[]") {
			t.Errorf("the field is %q", field)
		}
	})
}

func TestAnswersAreReadAsTheLibraryReadsThem(t *testing.T) {
	nine := string(recorded(t, "bulk.json"))
	for _, c := range []struct {
		text  string
		items int
		fast  bool
	}{
		{`{"items":[{"create":{"status":201}}]}`, 1, true},
		{`{"items":[{"create":{"status":201}},{"create":{"status":429,"error":{"type":"a","reason":"b]}"}}}]}`, 2, true},
		{nine, 5, true},
		{`{"took":1,"errors":false,"items":[{"create":{"status":201}}]}`, 1, false},
		{`{ "items" : [ {"create":{"status":201}} ] }`, 1, false},
		{`{"items":[]}`, 0, false},
		{`{"items":[{"create":{"status":201}},null]}`, 2, false},
	} {
		if _, ok := readItems([]byte(c.text), c.items); ok != c.fast {
			t.Errorf("%s: that it is read fast is %t", c.text, ok)
		}
		sameAsLibrary(t, []byte(c.text))
	}
}

// sameAsLibrary checks that an answer is read as encoding/json reads it.
func sameAsLibrary(t *testing.T, text []byte) {
	t.Helper()
	var want esutil.BulkIndexerResponse
	wantErr := json.Unmarshal(text, &want)
	var got esutil.BulkIndexerResponse
	err := decoder{len(want.Items)}.UnmarshalFromReader(bytes.NewReader(text), &got)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%s: the error is %v, want %v", text, err, wantErr)
	}
	if err == nil && len(want.Items) > 0 && !reflect.DeepEqual(got.Items, want.Items) {
		t.Errorf("%s is read as %+v, want %+v", text, got.Items, want.Items)
	}
}

func TestAnAnswerThatDoesNotFitIsGarbled(t *testing.T) {
	for _, text := range []string{
		``, `{}`, `[]`, `{"items":[]}`, `{"items":[{"create":{"status":201}}]}`, `{"items":[{"create":{"status":201}},`,
		`{"items":[{"create":{"status":201}},{"create":{"status":201}},{"create":{"status":201}}]}`,
		`{"items":[{"create":{"status":201}},{"create":{"status":201}}]}{}`, `{"items":[{"create":{"status":201}} {"create":{"status":201}}]}`,
	} {
		err := decoder{2}.UnmarshalFromReader(strings.NewReader(text), &esutil.BulkIndexerResponse{})
		if !errors.Is(err, errGarbled) {
			t.Errorf("%s: the error is %v", text, err)
		}
	}
	lost := errors.New("lost")
	if err := (decoder{2}).UnmarshalFromReader(iotest.ErrReader(lost), &esutil.BulkIndexerResponse{}); !errors.Is(err, lost) || errors.Is(err, errGarbled) {
		t.Errorf("the error of a connection is %v", err)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"items":[{"create":{"status":201}},{"create":{"status":429,"error":{"type":"a","reason":"b"}}}]}`))
	f.Add([]byte(`{"items":[{"create":{"status":201}}]}`))
	f.Add([]byte(`{"items":[{"a":{"error":{}}},{}]}`))
	f.Fuzz(func(t *testing.T, text []byte) { sameAsLibrary(t, text) })
}

func TestErrorsAreRead(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   string
	}{
		{
			403, `{"error":{"root_cause":[{"type":"x"}],"type":"cluster_block_exception","reason":"blocked by: [FORBIDDEN/6/cluster read-only (api)];"},"status":403}`,
			"Elasticsearch answers 403 Forbidden: cluster_block_exception: blocked by: [FORBIDDEN/6/cluster read-only (api)];: somebody blocked the index",
		},
		{403, `{"error":{"type":"security_exception","reason":"unauthorized"}}`, "unauthorized: give the key or the user the privileges auto_configure, create_doc, read, view_index_metadata and manage on"},
		{405, `{"error":"Incorrect HTTP method for uri [/_bulk]","status":405}`, "Elasticsearch answers 405 Method Not Allowed: Incorrect HTTP method for uri [/_bulk]"},
		{400, `{"error":{"type":"a","reason":"b","caused_by":{"type":"c","reason":"d","caused_by":{"reason":"b"}}}}`, "Elasticsearch answers 400 Bad Request: a: b: d"},
		{502, `<html>secret</html>`, "Elasticsearch answers 502 Bad Gateway"},
		{503, ``, "Elasticsearch answers 503 Service Unavailable"},
		{500, `{"error":5}`, "Elasticsearch answers 500 Internal Server Error"},
		{404, `{"error":{"type":"index_not_found_exception","reason":"no such index [x]"}}`, "no template makes a data stream of that name: run `flyball elastic setup`"},
		{400, `{"error":{"reason":"line\nother` + strings.Repeat("ä", 2000) + `"}}`, "Elasticsearch answers 400 Bad Request: line otherä"},
	} {
		e := parseStatusError(c.status, []byte(c.body))
		if !strings.Contains(e.Error(), c.want) || strings.Contains(e.Error(), "secret") || len(e.Reason) > mostReason {
			t.Errorf("%s: the error is %q, want %q", c.body, e, c.want)
		}
	}
}

func FuzzStatusError(f *testing.F) {
	f.Add(400, []byte(`{"error":{"type":"a","reason":"b","caused_by":{"type":"c","reason":"d"}}}`))
	f.Add(405, []byte(`{"error":"x"}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		e := parseStatusError(status, body)
		if !utf8.ValidString(e.Error()) || strings.ContainsAny(e.Error(), "\n\r") || len(e.Reason) > mostReason || len(e.Type) > mostReason {
			t.Errorf("the error is %q", e)
		}
	})
}

func TestRetryAfterIsHeeded(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "-1": 0, "soon": 0, "1.5": 0, "99999999999999999999": 0,
		"Sat, 21 Nov 2026 12:00:30 GMT": 30 * time.Second, "Sat, 21 Nov 2026 11:00:00 GMT": 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {v}}, now); got != want {
			t.Errorf("%q asks for %s, want %s", v, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("7")
	f.Add("Sat, 21 Nov 2026 12:00:30 GMT")
	f.Fuzz(func(t *testing.T, v string) {
		if d := retryAfter(http.Header{"Retry-After": {v}}, time.Unix(1e9, 0)); d < 0 {
			t.Errorf("%q asks for %s", v, d)
		}
	})
}

func TestWhatAClusterSaysOfItselfIsRead(t *testing.T) {
	for body, want := range map[string]Info{
		`{"cluster_name":"a","version":{"number":"8.19.21"}}`: {Name: "a", Version: "8.19.21"},
		`{"cluster_name":"a"}`:                                {}, `{`: {}, `[]`: {},
	} {
		i, err := parseInfo([]byte(body))
		if i != want || (err == nil) != (want != Info{}) {
			t.Errorf("%s is %+v, %v", body, i, err)
		}
	}
	for body, want := range map[string]int64{
		`{"nodes":{"x":{"timestamp":1700000000123}}}`: 1700000000123, `{"nodes":{}}`: 0, `{}`: 0, `x`: 0, `{"nodes":{"x":{"timestamp":-1}}}`: 0,
	} {
		at, ok := parseTime([]byte(body))
		if ok != (want != 0) || ok && at.UnixMilli() != want {
			t.Errorf("%s is %s, %t", body, at, ok)
		}
	}
}

func FuzzInfo(f *testing.F) {
	f.Add([]byte(`{"cluster_name":"a","version":{"number":"8.19.21"}}`))
	f.Add([]byte(`{"nodes":{"x":{"timestamp":1700000000123}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if i, err := parseInfo(body); err == nil && i.Version == "" {
			t.Errorf("%s has no version, and no error", body)
		}
		if at, ok := parseTime(body); ok && at.Before(time.Unix(0, 0)) {
			t.Errorf("%s is of %s", body, at)
		}
	})
}

func TestSkewLeavesOutTheWay(t *testing.T) {
	asked := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	answered := asked.Add(4 * time.Second)
	if got := skew(asked.Add(2*time.Second+time.Minute), asked, answered); got != time.Minute {
		t.Errorf("the clock is %s ahead", got)
	}
	at, ok := dateOf(http.Header{"Date": {"Sat, 21 Nov 2026 12:00:02 GMT"}})
	if !ok || skew(at, asked, answered) != 500*time.Millisecond {
		t.Errorf("by the header it is %s ahead", skew(at, asked, answered))
	}
	if _, ok := dateOf(http.Header{}); ok {
		t.Error("a header that is not there tells the time")
	}
}
