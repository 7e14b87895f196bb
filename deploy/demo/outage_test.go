package demo

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"flyball/rules"
	"flyball/scaler/journal"
)

func TestAnOutageIsHeldUntilTheSignalIsHeardAgain(t *testing.T) {
	began := time.Unix(1_700_000_000, 0)
	tick := func(second int, v rules.Verdict, r, signal rules.Reason) journal.Tick {
		return journal.Tick{Out: rules.Decision{
			At: began.Add(time.Duration(second) * time.Second), Verdict: v, Reason: r, Signals: []rules.Judged{{Reason: signal}},
		}}
	}
	silent := func(second int) journal.Tick {
		return tick(second, rules.Keep, rules.MissingData, rules.MissingData)
	}
	fresh := tick(11, rules.Keep, rules.InBand, rules.InBand)
	before := silent(2)
	after := tick(33, rules.Keep, rules.Stabilising, rules.BySignal)
	for _, c := range []struct {
		name   string
		ticks  []journal.Tick
		held   int
		others int
		wentOn time.Duration // 0: it did not
		failed bool
	}{
		{"held", []journal.Tick{before, fresh, silent(12), silent(13), silent(31), after}, 2, 0, 3 * time.Second, false},
		{"acted", []journal.Tick{silent(12), tick(13, rules.ScaleIn, rules.BySignal, rules.BySignal), after}, 1, 1, 3 * time.Second, true},
		{"held for another reason", []journal.Tick{silent(12), tick(13, rules.Keep, rules.StaleData, rules.StaleData), after}, 1, 1, 3 * time.Second, true},
		{"noticed nothing", []journal.Tick{before, fresh, after}, 0, 0, 3 * time.Second, true},
		{"heard nothing again", []journal.Tick{silent(12), silent(31), tick(32, rules.Keep, rules.LowCoverage, rules.LowCoverage)}, 1, 0, 0, true},
	} {
		o := judged(c.ticks, began.Add(10*time.Second), began.Add(30*time.Second))
		var wentOn time.Duration
		if o.wentOn != nil {
			wentOn = *o.wentOn
		}
		if o.held != c.held || len(o.others) != c.others || wentOn != c.wentOn || (o.failed() != nil) != c.failed {
			t.Errorf("%s: %+v, went on after %s, %v", c.name, o, wentOn, o.failed())
		}
	}
}

// played is a show with an Elasticsearch and a Flyball that answer what they are
// told to, by path.
func played(t *testing.T, answers map[string]any) *show {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/metrics-*-demo"), "?")
		if err := json.NewEncoder(w).Encode(answers[path]); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return &show{
		api:     newAPI(server.Listener.Addr().String()),
		stage:   &stage{elastic: &elastic{Namespace: "demo", base: server.URL, client: server.Client()}},
		history: newHistory(),
	}
}

func TestEventsThatAreLostOrDoubledFailTheDemo(t *testing.T) {
	held := journal.Page{Entries: []journal.Entry{{Seq: 1}, {Seq: 2}, {Seq: 3}}}
	for _, c := range []struct {
		name  string
		there []int
		want  elasticReport
		ok    bool
	}{
		{"all", []int{1, 2, 3, 4}, elasticReport{Events: 3}, true},
		{"one twice", []int{1, 2, 2, 3}, elasticReport{Events: 3, EventsDoubled: 1}, false},
		{"one lost", []int{1, 3}, elasticReport{Events: 2, EventsLost: 1}, false},
	} {
		var hits []any
		for _, seq := range c.there {
			hits = append(hits, map[string]any{"fields": map[string]any{"event.sequence": []int{seq}}})
		}
		s := played(t, map[string]any{
			"/api/flyball/v1/entries": held,
			"/logs-*-demo/_search":    map[string]any{"hits": map[string]any{"hits": hits}},
			",logs-*-demo/_refresh":   map[string]any{},
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		var got elasticReport
		err := s.countEvents(ctx, &got)
		cancel()
		if (err == nil) != c.ok || got != c.want {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

func TestSamplesThatAreLostFailTheDemo(t *testing.T) {
	for _, c := range []struct {
		there int
		ok    bool
	}{{120, true}, {119, false}} {
		s := played(t, map[string]any{
			"/api/v1/query":         map[string]any{"data": map[string]any{"result": []any{map[string]any{"value": []any{0, "120"}}}}},
			"/_count":               map[string]any{"count": c.there},
			",logs-*-demo/_refresh": map[string]any{},
		})
		s.history.began = time.Now().Add(-time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		var got elasticReport
		err := s.countSamples(ctx, &got)
		cancel()
		if (err == nil) != c.ok || got.SamplesLost != 120-c.there {
			t.Errorf("%d of 120 samples: %+v, %v", c.there, got, err)
		}
	}
}

func TestWhatCannotBeRemovedIsSaid(t *testing.T) {
	status := http.StatusMethodNotAllowed
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodDelete || !strings.Contains(r.URL.Path, "demo") {
			t.Errorf("asked %s %s", r.Method, r.URL.Path)
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	e := &elastic{Namespace: "demo", base: server.URL, client: server.Client()}
	left, err := e.remove(t.Context())
	if err != nil || !strings.Contains(left, "metrics-*-demo") || !strings.Contains(left, "405") {
		t.Errorf("a server that cannot delete: %q, %v", left, err)
	}
	for _, status = range []int{http.StatusOK, http.StatusNotFound} {
		if left, err := e.remove(t.Context()); left != "" || err != nil {
			t.Errorf("a server that answers %d: %q, %v", status, left, err)
		}
	}
	server.Close()
	if _, err := e.remove(t.Context()); err == nil {
		t.Error("nobody answers, and that is no error")
	}
}
