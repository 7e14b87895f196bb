package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"flyball/deploy/testservers"
)

// hasty is a pace for tests: nothing of it is too short to be waited for.
func hasty() pace {
	return pace{least: time.Millisecond, most: 30 * time.Millisecond, slow: 10 * time.Millisecond, asked: 50 * time.Millisecond}
}

// reach returns a hasty cluster at an address, for one test.
func reach(t testing.TB, timeout time.Duration, urls ...string) *Cluster {
	t.Helper()
	c, err := New(Config{URLs: urls, Compress: true, Timeout: model.Duration(timeout)}, Options{Dir: t.TempDir(), Agent: "flyball/test"})
	if err != nil {
		t.Fatal(err)
	}
	c.pace = hasty()
	t.Cleanup(c.Close)
	return c
}

// must asks and returns the answer.
func must(t testing.TB, c *Cluster, method, path, body string) []byte {
	t.Helper()
	var text []byte
	if body != "" {
		text = []byte(body)
	}
	answer, err := c.Do(context.Background(), method, path, text)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer
}

// series makes a template for time series, and returns the name of a data stream.
func series(t testing.TB, c *Cluster, name string) string {
	t.Helper()
	must(t, c, http.MethodPut, "/_index_template/metrics-"+name, `{"index_patterns":["metrics-`+name+`-*"],"data_stream":{},"priority":500,"template":{
		"settings":{"index.mode":"time_series","index.routing_path":["host"],"index.look_back_time":"1d"},
		"mappings":{"dynamic":false,"properties":{"@timestamp":{"type":"date"},"host":{"type":"keyword","time_series_dimension":true},
			"n":{"type":"double","time_series_metric":"gauge"}}}}}`)
	return "metrics-" + name + "-test"
}

// logs makes a template for documents with IDs, and returns the name of a data stream.
func logs(t testing.TB, c *Cluster, name string) string {
	t.Helper()
	must(t, c, http.MethodPut, "/_index_template/logs-"+name, `{"index_patterns":["logs-`+name+`-*"],"data_stream":{},"priority":500,"template":{
		"mappings":{"dynamic":"strict","properties":{"@timestamp":{"type":"date"},"n":{"type":"double"},"k":{"type":"keyword"}}}}}`)
	return "logs-" + name + "-test"
}

// points are n documents of time series, of which every bad-th is refused; none if
// bad is 0. pad is put into each.
func points(stream string, n, bad, pad int) []Document {
	docs := make([]Document, n)
	at := time.Now().UTC().Truncate(time.Second).Add(-time.Hour)
	for i := range docs {
		value := fmt.Sprint(i)
		if bad > 0 && i%bad == bad-1 {
			value = `"none"`
		}
		docs[i] = Document{Stream: stream, Body: fmt.Appendf(nil, `{"@timestamp":%q,"host":"h%d","n":%s,"pad":%q}`,
			at.Add(time.Duration(i/7)*time.Second).Format(time.RFC3339), i%7, value, strings.Repeat("x", pad))}
	}
	return docs
}

// count tells how often each value of n is in a data stream.
func count(t testing.TB, c *Cluster, stream string) map[int]int {
	t.Helper()
	must(t, c, http.MethodPost, "/"+stream+"/_refresh", "")
	counts := map[int]int{}
	var after []any
	for {
		q := map[string]any{"size": 5000, "_source": []string{"n"}, "sort": []any{map[string]string{"n": "asc"}, map[string]string{"_seq_no": "asc"}}}
		if after != nil {
			q["search_after"] = after
		}
		text, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Hits struct {
				Hits []struct {
					Source struct{ N float64 } `json:"_source"`
					Sort   []any               `json:"sort"`
				} `json:"hits"`
			} `json:"hits"`
		}
		if err := json.Unmarshal(must(t, c, http.MethodPost, "/"+stream+"/_search", string(text)), &answer); err != nil {
			t.Fatal(err)
		}
		for _, h := range answer.Hits.Hits {
			counts[int(h.Source.N)]++
			after = h.Sort
		}
		if len(answer.Hits.Hits) < 5000 {
			return counts
		}
	}
}

// exactly checks that the documents of points are in a data stream, each once, but
// for the bad ones, which were refused.
func exactly(t testing.TB, c *Cluster, stream string, n, bad int, refused map[int]Refusal) {
	t.Helper()
	want := map[int]int{}
	var no []int
	for i := range n {
		if bad > 0 && i%bad == bad-1 {
			no = append(no, i)
			continue
		}
		want[i] = 1
	}
	if got := count(t, c, stream); !maps.Equal(got, want) {
		t.Errorf("%d documents are there, of %d; missing or doubled: %v", len(got), len(want), differ(got, want))
	}
	if got := slices.Sorted(maps.Keys(refused)); !slices.Equal(got, no) {
		t.Errorf("refused are %v, want %v", got, no)
	}
	for i, r := range refused {
		if r.Status != 400 || r.Field != "n" || r.Type != "document_parsing_exception" {
			t.Errorf("document %d is refused with %+v", i, r)
		}
	}
}

func differ(got, want map[int]int) []string {
	var ds []string
	for i, n := range want {
		if got[i] != n && len(ds) < 20 {
			ds = append(ds, fmt.Sprintf("%d: %d times", i, got[i]))
		}
	}
	for i, n := range got {
		if want[i] == 0 && len(ds) < 20 {
			ds = append(ds, fmt.Sprintf("%d: %d times", i, n))
		}
	}
	return ds
}

// randomFault is what a request can meet.
func randomFault(rnd *rand.Rand) fault {
	some := func() func(int) bool {
		salt, share := rnd.IntN(1000), 2+rnd.IntN(9)
		return func(i int) bool { return (i*7919+salt)%share == 0 }
	}
	switch rnd.IntN(18) {
	case 0:
		return items(429, "es_rejected_execution_exception", false, some())
	case 1:
		return items(503, "unavailable_shards_exception", false, some())
	case 2:
		return items(503, "node_closed_exception", true, some()) // it was done all the same
	case 3:
		return items(500, "illegal_state_exception", rnd.IntN(2) == 0, some())
	case 4:
		return items(403, "security_exception", false, some())
	case 5:
		return whole(503, "")
	case 6:
		return whole(503, `{"error":{"type":"cluster_block_exception","reason":"blocked by: [SERVICE_UNAVAILABLE/1/state not recovered]"},"status":503}`)
	case 7:
		return whole(429, "", "Retry-After", fmt.Sprint(rnd.IntN(3)))
	case 8:
		return whole(401, `{"error":{"type":"security_exception","reason":"unable to authenticate"},"status":401}`)
	case 9:
		return whole(502, "")
	case 10:
		return cutOff(true, 0)
	case 11:
		return cutOff(false, 0)
	case 12:
		return cutOff(false, rnd.Float64())
	case 13:
		return fewer
	case 14:
		return []fault{more, blank}[rnd.IntN(2)]
	case 15:
		return rubbish
	case 16:
		return larger(2000 + rnd.IntN(6000))
	}
	return nil
}

// Whatever befalls requests, the documents that are there in the end are those that
// were sent, each once, and the bad ones are refused.
func TestWhateverBefallsRequestsEachDocumentIsThereOnce(t *testing.T) {
	es := testservers.SharedElasticsearch(t)
	p := startFaulty(t, es)
	direct := reach(t, 30*time.Second, es.URL())
	const n, bad = 700, 50
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			stream := series(t, direct, fmt.Sprintf("befall%d", seed))
			c := reach(t, 20*time.Second, p.server.URL)
			c.limit.bytes = 8 << 10
			rnd := rand.New(rand.NewPCG(seed, 1))
			p.meet(func(i int) fault {
				if i > 120 || rnd.IntN(3) == 0 { // faults end at some time
					return nil
				}
				return randomFault(rnd)
			})
			refused, err := c.Deliver(t.Context(), Samples, points(stream, n, bad, 40))
			if err != nil {
				t.Fatal(err)
			}
			p.meet(nil)
			exactly(t, direct, stream, n, bad, refused)
			s := c.Status()
			if s.Created+s.Known != n-n/bad || s.Refused != n/bad {
				t.Errorf("the status counts %d created, %d known, %d refused of %d", s.Created, s.Known, s.Refused, n)
			}
		})
	}
}

func TestARequestThatIsNeverAnsweredIsSentAgain(t *testing.T) {
	es := testservers.SharedElasticsearch(t)
	p := startFaulty(t, es)
	direct := reach(t, 30*time.Second, es.URL())
	stream := series(t, direct, "silent")
	c := reach(t, time.Second, p.server.URL)
	p.meet(func(i int) fault {
		if i == 0 {
			return silent
		}
		return nil
	})
	refused, err := c.Deliver(t.Context(), Samples, points(stream, 50, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	exactly(t, direct, stream, 50, 0, refused)
	if s := c.Status(); !strings.Contains(s.Error, "no answer in time (1s)") || s.Known == 0 {
		t.Errorf("the status is %+v", s)
	}
}

func TestRequestsThatAreTooLargeAreSplitAndStaySmall(t *testing.T) {
	es := testservers.SharedElasticsearch(t)
	p := startFaulty(t, es)
	direct := reach(t, 30*time.Second, es.URL())
	stream := series(t, direct, "large")
	c := reach(t, 30*time.Second, p.server.URL)
	const most = 100_000
	p.meet(func(int) fault { return larger(most) })
	docs := points(stream, 400, 0, 1000)
	docs[17].Body = points(stream, 18, 0, 2*most)[17].Body
	refused, err := c.Deliver(t.Context(), Samples, docs)
	if err != nil {
		t.Fatal(err)
	}
	if r := refused[17]; len(refused) != 1 || r.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("refused are %v", refused)
	}
	if got := count(t, direct, stream); len(got) != 399 {
		t.Errorf("%d documents are there", len(got))
	}
	p.meet(func(int) fault { return larger(most) })
	if _, err := c.Deliver(t.Context(), Samples, points(stream, 400, 0, 1000)); err != nil {
		t.Fatal(err)
	}
	for _, size := range p.seen() {
		if size > most {
			t.Errorf("a request of %d bytes was sent, after it was known that %d are too many", size, most)
		}
	}
}

func TestDocumentsWithAnIDAreNotSentAgainIfNobodyAnswered(t *testing.T) {
	es := testservers.SharedElasticsearch(t)
	p := startFaulty(t, es)
	direct := reach(t, 30*time.Second, es.URL())
	stream := logs(t, direct, "once")
	doc := func(id string, n int) Document {
		return Document{Stream: stream, ID: id, Body: fmt.Appendf(nil, `{"@timestamp":"2026-11-21T12:00:00Z","n":%d}`, n)}
	}
	for name, f := range map[string]fault{
		"cut after it was done": cutOff(false, 0), "cut in the answer": cutOff(false, 0.5), "bad gateway": whole(502, ""),
		"fewer items": fewer, "an item of a node that closed": items(503, "node_closed_exception", true, func(int) bool { return true }),
	} {
		t.Run(name, func(t *testing.T) {
			c := reach(t, 30*time.Second, p.server.URL)
			p.meet(func(int) fault { return f })
			_, err := c.Deliver(t.Context(), Events, []Document{doc(strings.ReplaceAll(name, " ", "-"), 1)})
			if !errors.Is(err, ErrUnanswered) {
				t.Errorf("the error is %v", err)
			}
			if n := len(p.seen()); n != 1 {
				t.Errorf("%d requests were sent", n)
			}
		})
	}
	for name, f := range map[string]fault{
		"throttled": whole(429, ""), "throttled items": items(429, "es_rejected_execution_exception", false, func(int) bool { return true }),
		"no shard": items(503, "unavailable_shards_exception", false, func(int) bool { return true }), "denied": whole(403, ""),
	} {
		t.Run(name, func(t *testing.T) {
			c := reach(t, 30*time.Second, p.server.URL)
			p.meet(func(i int) fault {
				if i < 3 {
					return f
				}
				return nil
			})
			if _, err := c.Deliver(t.Context(), Events, []Document{doc(strings.ReplaceAll(name, " ", "-"), 2)}); err != nil {
				t.Error(err)
			}
			if n := len(p.seen()); n != 4 {
				t.Errorf("%d requests were sent", n)
			}
		})
	}
	p.meet(nil)
	c := reach(t, time.Second, "http://127.0.0.1:1") // nobody is there
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := c.Deliver(ctx, Events, []Document{doc("nobody", 3)}); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnanswered) {
		t.Errorf("with nobody there the error is %v", err)
	}
}

func TestElasticsearchIsKilledAndFrozen(t *testing.T) {
	es := testservers.StartElasticsearch(t)
	c := reach(t, 2*time.Second, es.URL())
	stream := series(t, c, "killed")
	const rounds, each = 24, 250
	all := points(stream, rounds*each, 0, 100)
	at := make(chan int)
	done := make(chan error, 1)
	go func() {
		defer close(at)
		for i := range rounds {
			select {
			case at <- i:
			case <-t.Context().Done():
			}
			if refused, err := c.Deliver(t.Context(), Samples, all[i*each:(i+1)*each]); err != nil || len(refused) > 0 {
				done <- fmt.Errorf("round %d: %d refused: %w", i, len(refused), err)
				return
			}
		}
		done <- nil
	}()
	for i := range at {
		switch i {
		case 5:
			es.Kill(t)
			es.Restart(t)
		case 12:
			es.Freeze(t)
			for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
				if !c.Status().Reachable { // it is known that nobody answers
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			es.Thaw(t)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	patient := reach(t, 30*time.Second, es.URL())
	exactly(t, patient, stream, rounds*each, 0, nil)
	if s := c.Status(); !s.Reachable || s.Error == "" || s.Created+s.Known != rounds*each {
		t.Errorf("the status is %+v", s)
	}
}
