package web_test

import (
	"bufio"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"flyball/app/web"
)

// series gives the value of a series as /metrics shows it, or "".
func (a app) series(t *testing.T, name string) string {
	t.Helper()
	lines := bufio.NewScanner(strings.NewReader(read(t, a.do(t, "GET", "/metrics", ""))))
	for lines.Scan() {
		if value, found := strings.CutPrefix(lines.Text(), name+" "); found {
			return value
		}
	}
	return ""
}

// ask sends a request for a page in the background, and says when it was answered.
func (a app) ask(ctx context.Context, wg *sync.WaitGroup, into *answered) {
	start := time.Now()
	wg.Go(func() {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/new", nil))
		into.mu.Lock()
		defer into.mu.Unlock()
		into.codes = append(into.codes, w.Code)
		into.after = append(into.after, time.Since(start))
	})
	synctest.Wait()
}

type answered struct {
	mu    sync.Mutex
	codes []int
	after []time.Duration
}

// workers is an app whose capacity is known, with a store that is not used. It has
// to be made within the bubble, as its queue has.
func workers(t *testing.T, n, queue int) app {
	t.Helper()
	service, err := web.New(web.Config{
		Store: &knobs{}, Registry: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
		Workers: n, Queue: queue, ServiceTime: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return app{Service: service}
}

func TestRequestsQueueForAWorkerAndTheRestIsTurnedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := workers(t, 2, 3)
		var wg sync.WaitGroup
		var got answered
		for range 7 {
			a.ask(t.Context(), &wg, &got)
		}
		for name, want := range map[string]string{"http_requests_in_flight": "2", "http_requests_queued": "3", "http_workers": "2"} {
			if v := a.series(t, name); v != want {
				t.Errorf("%s is %q, want %s", name, v, want)
			}
		}
		if a.Open() != 5 {
			t.Errorf("%d open, want 5", a.Open())
		}
		wg.Wait()
		const ms = time.Millisecond
		if diff := cmp.Diff([]time.Duration{0, 0, 50 * ms, 50 * ms, 100 * ms, 100 * ms, 150 * ms}, got.after); diff != "" {
			t.Errorf("answered after (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]int{503, 503, 200, 200, 200, 200, 200}, got.codes); diff != "" {
			t.Errorf("codes (-want +got):\n%s", diff)
		}
		if v := a.series(t, `http_requests_total{code="503",method="GET",route="/new"}`); v != "2" {
			t.Errorf("%s turned away, want 2", v)
		}
		if v := a.series(t, `http_request_duration_seconds_bucket{method="GET",route="/new",le="0.05"}`); v != "4" {
			t.Errorf("%s within 50 ms, want 4", v)
		}
	})
}

func TestAClientThatWentAwayLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := workers(t, 1, 1)
		var wg sync.WaitGroup
		var got answered
		a.ask(t.Context(), &wg, &got)
		ctx, leave := context.WithCancel(t.Context())
		a.ask(ctx, &wg, &got)
		leave()
		synctest.Wait()
		if v := a.series(t, "http_requests_queued"); v != "0" {
			t.Errorf("%s queued, want 0", v)
		}
		a.ask(t.Context(), &wg, &got) // has the place of the one that left
		wg.Wait()
		if diff := cmp.Diff([]int{499, 200, 200}, got.codes); diff != "" {
			t.Errorf("codes (-want +got):\n%s", diff)
		}
	})
}

func TestProbesAndMetricsNeedNoWorkerAndAreNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := workers(t, 1, 0)
		var wg sync.WaitGroup
		var got answered
		a.ask(t.Context(), &wg, &got)
		for _, path := range []string{"/livez", "/metrics"} {
			if res := a.do(t, "GET", path, ""); res.StatusCode != 200 {
				t.Errorf("%s: %s while the worker is busy", path, res.Status)
			}
		}
		a.Withdraw()
		if res := a.do(t, "GET", "/readyz", ""); res.StatusCode != 503 {
			t.Errorf("readyz: %s", res.Status)
		}
		wg.Wait()
		metrics := read(t, a.do(t, "GET", "/metrics", ""))
		for _, path := range []string{"/livez", "/readyz", "/metrics"} {
			if strings.Contains(metrics, `route="`+path) {
				t.Errorf("%s is counted among the users' requests", path)
			}
		}
	})
}

func TestStoreOperationsAreCountedByOutcome(t *testing.T) {
	a := newApp(t, nil)
	a.with(t, "a")
	a.do(t, "GET", "/api/products/a", "")
	a.do(t, "GET", "/api/products/none", "")
	a.do(t, "PUT", "/api/products/a", book, asJSON, `If-Match: "x"`)
	for name, want := range map[string]string{
		`store_operations_total{operation="create",outcome="ok"}`:                 "1",
		`store_operations_total{operation="get",outcome="ok"}`:                    "1",
		`store_operations_total{operation="get",outcome="not_found"}`:             "1",
		`store_operations_total{operation="update",outcome="conflict"}`:           "1",
		`store_operations_total{operation="delete",outcome="error"}`:              "0",
		`store_operation_duration_seconds_count{operation="get"}`:                 "2",
		`http_requests_total{code="503",method="GET",route="/"}`:                  "0",
		`http_requests_total{code="404",method="GET",route="/api/products/{id}"}`: "1",
	} {
		if v := a.series(t, name); v != want {
			t.Errorf("%s is %q, want %s", name, v, want)
		}
	}
}

func TestNewRefusesNegativeNumbers(t *testing.T) {
	_, err := web.New(web.Config{Workers: -1, Queue: -1, ServiceTime: -1})
	for _, word := range []string{"workers", "queue", "service time"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("got %v, want a word on %s", err, word)
		}
	}
}
