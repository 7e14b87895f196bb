package query

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"flyball/collector/elastic/cluster"
	"flyball/rules"
)

// fake answers as Elasticsearch does: the field is a number, and api-1 is at value.
// Its fields are read and written with change.
type fake struct {
	mu     sync.Mutex
	value  float64
	delay  time.Duration
	err    error
	silent bool
	asked  []time.Time // searches
	bodies []string
}

func (f *fake) Do(ctx context.Context, _, path string, body []byte) ([]byte, error) {
	if strings.Contains(path, "_field_caps") {
		return []byte(`{"indices":["m"],"fields":{"load":{"double":{"aggregatable":true,"time_series_metric":"gauge"}},"host.name":{"keyword":{"aggregatable":true}},"@timestamp":{"date":{"aggregatable":true}}}}`), nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked, f.bodies = append(f.asked, time.Now()), append(f.bodies, string(body))
	if !f.wait(ctx) {
		return nil, ctx.Err()
	}
	if f.err != nil {
		return nil, f.err
	}
	bucket := fmt.Sprintf(`{"key":"api-1","ahead":{"value":%d},"until_now":{"value":{"value":%g},"newest":{"value":%[1]d}}}`, time.Now().UnixMilli(), f.value)
	if f.silent {
		bucket = ""
	}
	return []byte(`{"timed_out":false,"_shards":{"total":1,"failed":0},"aggregations":{"by":{"sum_other_doc_count":0,"buckets":[` + bucket + `]}}}`), nil
}

// wait lets the delay pass; false if ctx was done before.
func (f *fake) wait(ctx context.Context) bool {
	delay := f.delay
	f.mu.Unlock()
	defer f.mu.Lock()
	select {
	case <-ctx.Done():
		return false
	case <-time.After(delay):
		return true
	}
}

// change reads or writes the fields.
func (f *fake) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

// times is how often it was asked.
func (f *fake) times() (n int) {
	f.change(func() { n = len(f.asked) })
	return n
}

func load() rules.Elastic {
	return rules.Elastic{Pool: "api", Index: "m", Every: 30 * time.Second, Fold: "avg", Field: "load", By: "host.name", Over: 2 * time.Minute}
}

// bubble runs a querier over a fake for the length of a test, in a time of its own.
func bubble(t *testing.T, f *fake, test func(t *testing.T, s *Querier)) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Search: f, Members: func(string) []string { return []string{"api-1", "api-2"} }, Metrics: NewMetrics(reg)})
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- s.Run(ctx) }()
		synctest.Wait()
		test(t, s)
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
		if _, err := s.Query(t.Context(), rules.Elastic{Pool: "new"}, time.Now()); !errors.Is(err, errEnded) {
			t.Errorf("after its end it answers %v", err)
		}
	})
	return reg
}

// get asks, and says what came and how long it took.
func get(t *testing.T, s *Querier) string {
	t.Helper()
	began := time.Now()
	r, err := s.Query(t.Context(), load(), time.Now())
	took := time.Since(began)
	if err != nil {
		return fmt.Sprintf("%s after %s", strings.TrimPrefix(err.Error(), "query Elasticsearch: "), took)
	}
	return fmt.Sprintf("%g of %s after %s", r.Points[0].Value, time.Since(r.Newest), took)
}

func expect(t *testing.T, s *Querier, want string) {
	t.Helper()
	if got := get(t, s); got != want {
		t.Errorf("at %s it answers %s, want %s", time.Now().Format("04:05"), got, want)
	}
}

func TestItIsAskedAsOftenAsTheRuleSaysWhoeverWantsToKnow(t *testing.T) {
	f := &fake{value: 0.5, delay: 100 * time.Millisecond}
	bubble(t, f, func(t *testing.T, s *Querier) {
		expect(t, s, "0.5 of 100ms after 100ms") // the first waits
		f.change(func() { f.value = 0.7 })
		for range 29 {
			time.Sleep(time.Second)
			get(t, s)
		}
		expect(t, s, "0.5 of 29.1s after 0s")
		time.Sleep(1200 * time.Millisecond)
		expect(t, s, "0.7 of 200ms after 0s")
		other := load()
		other.Pool = "web"
		if _, err := s.Query(t.Context(), other, time.Now()); err != nil {
			t.Error(err)
		}
		if n := f.times(); n != 3 {
			t.Errorf("it was asked %d times", n)
		}
	})
}

func TestASlowAnswerIsWaitedForOnceAndShortly(t *testing.T) {
	f := &fake{value: 0.5, delay: 5 * time.Second}
	bubble(t, f, func(t *testing.T, s *Querier) {
		expect(t, s, "it has not answered yet after 2s")
		expect(t, s, "it has not answered yet after 0s")
		time.Sleep(4 * time.Second)
		expect(t, s, "0.5 of 6s after 0s")
		f.change(func() { f.delay = time.Hour })
		time.Sleep(28 * time.Second) // the second ask hangs
		expect(t, s, "0.5 of 34s after 0s")
		time.Sleep(15 * time.Second)
		expect(t, s, "no answer in time: make the search cheaper, or every longer after 0s")
		if n := f.times(); n != 3 { // again a second after the failure
			t.Errorf("it was asked %d times", n)
		}
	})
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	s := New(Options{Search: f})
	if _, err := s.Query(impatient, load(), time.Now()); !errors.Is(err, errNotYet) {
		t.Errorf("a judgement that ends does not wait: %v", err)
	}
}

func TestAFailureIsToldAtOnceAndTriedAgainSoonerAndSooner(t *testing.T) {
	f := &fake{value: 0.01}
	reg := bubble(t, f, func(t *testing.T, s *Querier) {
		expect(t, s, "0.01 of 0s after 0s")
		f.change(func() {
			f.err = &cluster.StatusError{Status: http.StatusServiceUnavailable, Type: "search_phase_execution_exception", Reason: "Partial shards failure"}
		})
		time.Sleep(30 * time.Second)
		synctest.Wait()
		expect(t, s, "a part of m did not answer: Partial shards failure after 0s")
		f.change(func() { f.asked = nil })
		began := time.Now()
		for range 6 {
			time.Sleep(15 * time.Second)
			get(t, s)
		}
		var at []string
		f.change(func() {
			for _, x := range f.asked {
				at = append(at, x.Sub(began).String())
			}
		})
		if got, want := strings.Join(at, " "), "1s 3s 7s 15s 31s 1m1s"; got != want {
			t.Errorf("it was asked again at %s, want %s", got, want)
		}
		f.change(func() { f.err = nil })
		time.Sleep(30 * time.Second)
		synctest.Wait()
		expect(t, s, "0.01 of 29s after 0s")
		f.change(func() { f.silent = true })
		time.Sleep(time.Second)
		synctest.Wait()
		if _, err := s.Query(t.Context(), load(), time.Now()); !errors.Is(err, rules.ErrNoData) {
			t.Errorf("no document is %v", err)
		}
	})
	if got := testutil.ToFloat64(counter(t, reg, "partial")); got != 7 {
		t.Errorf("%g partial answers were counted", got)
	}
	if got := testutil.ToFloat64(counter(t, reg, "no_data")); got != 1 {
		t.Errorf("%g answers without data were counted", got)
	}
}

// counter is the one of failures for a reason.
func counter(t *testing.T, reg *prometheus.Registry, reason string) prometheus.Collector {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := prometheus.NewGauge(prometheus.GaugeOpts{Name: "found"})
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "flyball_elastic_query_failures_total" && m.GetLabel()[0].GetValue() == reason {
				out.Set(m.GetCounter().GetValue())
				return out
			}
		}
	}
	t.Fatalf("no counter for %s", reason)
	return nil
}

func TestAQuestionThatNobodyAsksIsNoLongerAsked(t *testing.T) {
	f := &fake{value: 0.5}
	reg := bubble(t, f, func(t *testing.T, s *Querier) {
		get(t, s)
		time.Sleep(10 * time.Minute)
		if n := f.times(); n != 6 { // until 150 s after
			t.Errorf("it was asked %d times", n)
		}
		expect(t, s, "0.5 of 0s after 0s") // and begins anew
		time.Sleep(30 * time.Second)
		quick := load()
		quick.Every = time.Second // judgements may be 15 s apart
		for range 10 {
			if _, err := s.Query(t.Context(), quick, time.Now()); err != nil {
				t.Error(err)
			}
			time.Sleep(15 * time.Second)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.pollers) != 1 {
			t.Errorf("%d questions are asked", len(s.pollers))
		}
	})
	if n, err := testutil.GatherAndCount(reg, "flyball_elastic_query_newest_timestamp_seconds"); n != 1 || err != nil {
		t.Errorf("%d pools have an age: %v", n, err)
	}
}

func TestOnlyPresentMembersAreAskedFor(t *testing.T) {
	f := &fake{value: 0.5}
	bubble(t, f, func(t *testing.T, s *Querier) { get(t, s) })
	for _, part := range []string{`"include":["api-1","api-2"]`, `{"terms":{"host.name":["api-1","api-2"]}}`, `"size":2`, `"track_total_hits":false`, `"timeout":"8000ms"`} {
		if !strings.Contains(f.bodies[0], part) {
			t.Errorf("%s lacks %s", f.bodies[0], part)
		}
	}
}

func TestWhatIsReadIsTheReadersOwnAndNoYoungerThanTheQuestion(t *testing.T) {
	f := &fake{value: 0.5}
	bubble(t, f, func(t *testing.T, s *Querier) {
		get(t, s)
		at := time.Now().Add(-time.Minute)
		r, err := s.Query(t.Context(), load(), at)
		if err != nil || !r.Newest.Equal(at) || !r.Seen["api-1"].Equal(at) {
			t.Errorf("as of %s it reads %+v: %v", at, r, err)
		}
		r.Points[0].Value, r.Seen["api-2"] = 9, at
		if r, _ := s.Query(t.Context(), load(), time.Now()); r.Points[0].Value != 0.5 || len(r.Seen) != 1 {
			t.Errorf("another reader wrote into it: %+v", r)
		}
	})
}

func TestAnotherKindOfQueryIsRefused(t *testing.T) {
	if _, err := New(Options{}).Query(t.Context(), rules.PromQL{}, time.Now()); err == nil || !strings.Contains(err.Error(), "rules.PromQL is no question to it") {
		t.Error(err)
	}
}
