package query

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"flyball/collector/elastic/cluster"
	"flyball/rules"
)

// errNetwork is one of a connection.
var errNetwork = errors.New("dial tcp: connection refused")

// noon is when answers here are read.
func noon() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

// Answers as a 9.x server gives them, made after its API's description: nothing of
// that version runs here.
func TestAnswersOfLaterVersionsAreRead(t *testing.T) {
	ms := noon().Add(-5 * time.Second).UnixMilli()
	bucket := fmt.Sprintf(`{"key":"api-1","doc_count":3,"ahead":{"value":%d,"value_as_string":"x"},"until_now":{"doc_count":3,"value":{"value":0.25},"newest":{"value":%[1]d.0,"value_as_string":"x"}}}`, ms)
	aggs := `"aggregations":{"by":{"doc_count_error_upper_bound":0,"sum_other_doc_count":0,"buckets":[` + bucket + `]}}`
	clusters := func(status string, skipped, partly int) string {
		return fmt.Sprintf(`"_clusters":{"total":2,"successful":%d,"skipped":%d,"running":0,"partial":%d,"failed":0,"details":{"(local)":{"status":"successful","indices":"m","took":3,"timed_out":false,"_shards":{"total":1,"successful":1,"skipped":0,"failed":0}},"ams":{"status":%q,"indices":"m","timed_out":false}}}`, 2-skipped-partly, skipped, partly, status)
	}
	for _, c := range []struct{ name, answer, want string }{
		{"one cluster", `{"took":2,"timed_out":false,"_shards":{"total":3,"successful":3,"skipped":2,"failed":0},"hits":{"max_score":null,"hits":[]},` + aggs + `}`, "api-1 0.25 5s, newest 5s"},
		{"several clusters", `{"took":2,"timed_out":false,"num_reduce_phases":3,"_shards":{"total":3,"successful":3,"skipped":0,"failed":0},` + clusters("successful", 0, 0) + `,` + aggs + `}`, "api-1 0.25 5s, newest 5s"},
		{"a cluster that was skipped", `{"timed_out":false,"_shards":{"total":3,"successful":3,"skipped":0,"failed":0},` + clusters("skipped", 1, 0) + `,` + aggs + `}`, "1 of the clusters"},
		{"a cluster of which a part answered", `{"timed_out":false,"_shards":{"total":3,"successful":3,"skipped":0,"failed":0},` + clusters("partial", 0, 1) + `,` + aggs + `}`, "1 of the clusters"},
		{"a member whose name is a number", `{"timed_out":false,"_shards":{"total":1},` + strings.Replace(aggs, `"api-1"`, "7", 1) + `}`, "read the answer"},
		{"a member without a name", `{"timed_out":false,"_shards":{"total":1},` + strings.Replace(aggs, `"key":"api-1",`, "", 1) + `}`, "names no member"},
		{"a member that is named twice", `{"timed_out":false,"_shards":{"total":1},` + strings.Replace(aggs, bucket, bucket+","+bucket, 1) + `}`, `the member "api-1" twice`},
		{"no value", `{"timed_out":false,"_shards":{"total":1},` + strings.Replace(aggs, "0.25", "null", 1) + `}`, "no data"},
		{"something else", `{"status":"ok"}`, "not one to a search"},
		{"a page", `<html>`, "read the answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := readSimple([]byte(c.answer), load(), noon())
			got := reads(r, noon())
			if err != nil {
				got = err.Error()
			}
			if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
				t.Errorf("reads %s, want %s", got, c.want)
			}
		})
	}
}

func TestAFailureSaysWhatToDo(t *testing.T) {
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for _, c := range []struct {
		ctx   context.Context
		err   error
		cause cause
		want  string
	}{
		{t.Context(), errNetwork, unreachable, "query Elasticsearch: dial tcp: connection refused"},
		{late, errNetwork, timedOut, "query Elasticsearch: no answer in time: make the search cheaper, or every longer"},
		{t.Context(), &cluster.StatusError{Status: 401}, refused, "query Elasticsearch: it does not know us: check api_key_file, or username and password_file"},
		{t.Context(), &cluster.StatusError{Status: 403, Type: "security_exception", Reason: "action is unauthorized"}, refused, "query Elasticsearch: m may not be read: give the key or the user the privilege read on it"},
		{t.Context(), &cluster.StatusError{Status: 429, Type: "es_rejected_execution_exception", Reason: "full"}, unavailable, "query Elasticsearch: full"},
		{t.Context(), &cluster.StatusError{Status: 504, Type: "search_timeout_exception", Reason: "Time exceeded"}, timedOut, "query Elasticsearch: Time exceeded: make the search cheaper, or every longer"},
		{t.Context(), &cluster.StatusError{Status: 503, Type: "search_phase_execution_exception"}, partial, "query Elasticsearch: a part of m did not answer: status 503 Service Unavailable"},
		{t.Context(), fmt.Errorf("wrapped: %w", &cluster.StatusError{Status: http.StatusBadGateway}), unavailable, "query Elasticsearch: status 502 Bad Gateway"},
	} {
		err := failed(c.ctx, "m", c.err)
		if err.Error() != c.want || causeOf(err) != c.cause {
			t.Errorf("%v is told as %s: %v, want %s", c.err, causeOf(err), err, c.want)
		}
	}
	if !errors.Is(failed(t.Context(), "m", errNetwork), errNetwork) {
		t.Error("the error itself is lost")
	}
}

// FuzzAnswer reads anything as an answer: whatever is taken for a reading can be
// judged by.
func FuzzAnswer(f *testing.F) {
	f.Add(`{"timed_out":false,"_shards":{"total":1},"aggregations":{"by":{"buckets":[{"key":"a","until_now":{"value":{"value":1e308},"newest":{"value":1e300}}}]}}}`, "aggregations.by.buckets[*].v", "key", "t")
	f.Add(`{"_shards":{"total":1},"hits":{"total":{"value":3}},"t":"2026-11-21T10:00:00Z"}`, "hits.total.value", "", "t")
	f.Add(`{"_shards":{"total":1},"l":[{"k":"a","v":1,"t":1e12},{"k":"a","v":null,"t":"x"}]}`, "l[*].v", "k", "t")
	f.Fuzz(func(t *testing.T, answer, value, member, when string) {
		simple, err := readSimple([]byte(answer), load(), noon())
		sound(t, simple, err)
		q := rules.Elastic{Index: "m", Body: "{}", ValuePath: value, MemberPath: member, TimePath: when}
		raw, err := readRaw([]byte(answer), q, []string{"a", "api-1"}, noon())
		sound(t, raw, err)
		_ = checkFields([]byte(answer), load())
	})
}

// sound checks a reading, or that there is none beside an error.
func sound(t *testing.T, r rules.Reading, err error) {
	t.Helper()
	if err != nil {
		if len(r.Points) > 0 || err.Error() == "" {
			t.Errorf("beside %v it reads %+v", err, r)
		}
		return
	}
	if len(r.Points) == 0 || len(r.Points) != len(r.Seen) || r.Newest.IsZero() || r.Newest.After(noon()) {
		t.Errorf("it reads %+v", r)
	}
	for _, p := range r.Points {
		if at := r.Seen[p.Member]; at.IsZero() || at.After(r.Newest) || math.IsNaN(p.Value) {
			t.Errorf("%v was seen at %s", p, at)
		}
	}
}
