package main

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"flyball/deploy/testservers"
)

const steadyConfig = `
listen: %s
prometheus:
  global: {scrape_interval: 1s, scrape_timeout: 900ms}
  scrape_configs: [{job_name: many, static_configs: [{targets: [%s]}]}]
pools:
  web:
    process:
      command: [%s, serve, --listen, "{addr}", --db, %s/app.db]
      ports: 20300-20399
    ready: {http: /readyz}
    traffic: {balance: %s}
elasticsearch:
  urls: [%s]
  timeout: 8s
  namespace: %s
  ship: {every: 1s, drop: ['{job="flyball"}', '{__name__=~".+_bucket"}']}
  views: {every: 2s}
`

// steadyRule asks both the store and Elasticsearch, and wants two members of either.
const steadyRule = `
scale:
  web:
    mode: act
    min: 2
    max: 2
    signals:
      requests:
        query: sum by (member) (rate(http_requests_total{pool="web"}[10s]))
        per_member: 1000
      workers:
        source: elastic
        index: metrics-prometheus.collector-%s
        filter: 'prometheus.labels.pool: web'
        avg: prometheus.metrics.up
        by: prometheus.labels.member
        over: 20s
        every: 1s
        out: {above: 5, add: 1}
        in: {below: 0.5}
`

// A steady is a Flyball that watches a pool and ships thousands of series into an
// Elasticsearch of its own, which goes away in every way there is.
type steady struct {
	*shipping
	line *testservers.Proxy
	busy atomic.Bool // every request is answered with 429
}

func newSteady(t *testing.T) *steady {
	t.Helper()
	es := testservers.StartElasticsearch(t)
	s := &steady{line: testservers.StartProxy(t, es.Addr())}
	r := &rig{t: t, dir: t.TempDir(), addr: freeAddress(t), balance: freeAddress(t)}
	s.shipping = &shipping{rig: r, es: es, namespace: "steady"}
	r.app = buildApp(t, r.dir)
	t.Cleanup(r.clear)
	pass := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.line.Addr()})
	pass.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if s.busy.Load() {
			w.Header().Set("X-Elastic-Product", "Elasticsearch")
			http.Error(w, `{"error":{"type":"es_rejected_execution_exception","reason":"busy"},"status":429}`, http.StatusTooManyRequests)
			return
		}
		pass.ServeHTTP(w, q)
	}))
	t.Cleanup(door.Close)
	targets := exposing(t, 1000) + ", " + exposing(t, 1000) + ", " + exposing(t, 1000)
	r.write("flyball.yaml", fmt.Sprintf(steadyConfig, r.addr, targets, r.app, r.dir, r.balance, door.URL, s.namespace))
	r.write("rules/web.scale.yaml", fmt.Sprintf(steadyRule, s.namespace))
	return s
}

// A pulse is how steadily a stretch of time was lived through.
type pulse struct {
	seconds   float64
	targets   int
	missed    int           // scrapes, of the target that missed most
	longest   time.Duration // between two scrapes of a target
	usual     time.Duration // that 99 of 100 of those distances do not exceed
	judged    float64
	judgement float64 // seconds that 99 of 100 judgements did not exceed, by buckets
	slowest   float64 // seconds that none exceeded
}

func (p pulse) String() string {
	return fmt.Sprintf("%.1f s, %d targets: %d scrapes missed at most, distances up to %s, p99 %s; %.0f judgements, p99 within %g s, all within %g s",
		p.seconds, p.targets, p.missed, p.longest, p.usual, p.judged, p.judgement, p.slowest)
}

// pulse lives through a stretch and measures it.
func (s *steady) pulse(d time.Duration) pulse {
	s.t.Helper()
	before, from := s.judgements(), time.Now()
	<-time.After(d)
	after, to := s.judgements(), time.Now()
	p := pulse{seconds: to.Sub(from).Seconds()}
	var gaps []time.Duration
	for _, ats := range s.scrapes(from, to) {
		p.targets++
		p.missed = max(p.missed, int(to.Sub(from)/time.Second)-len(ats))
		for i := 1; i < len(ats); i++ {
			gaps = append(gaps, ats[i].Sub(ats[i-1]))
		}
	}
	if len(gaps) == 0 {
		s.t.Fatal("nothing was scraped")
	}
	slices.Sort(gaps)
	p.longest, p.usual = gaps[len(gaps)-1], gaps[len(gaps)*99/100]
	p.judged = after[math.Inf(1)] - before[math.Inf(1)]
	for _, le := range slices.Backward(slices.Sorted(maps.Keys(after))) {
		n := after[le] - before[le]
		if n >= p.judged {
			p.slowest = le
		}
		if n >= 0.99*p.judged {
			p.judgement = le
		}
	}
	return p
}

// judgements are how many took at most so many seconds.
func (s *steady) judgements() map[float64]float64 {
	s.t.Helper()
	res, err := http.Get("http://" + s.addr + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(res.Body)
	f := all["flyball_judgement_duration_seconds"]
	if err != nil || len(f.GetMetric()) != 1 {
		s.t.Fatalf("read /metrics: %d histograms of judgements: %v", len(f.GetMetric()), err)
	}
	out := map[float64]float64{}
	for _, b := range f.GetMetric()[0].GetHistogram().GetBucket() {
		out[b.GetUpperBound()] = float64(b.GetCumulativeCount())
	}
	out[math.Inf(1)] = float64(f.GetMetric()[0].GetHistogram().GetSampleCount())
	return out
}

// scrapes are when each target was scraped, whether it answered or not.
func (s *steady) scrapes(from, to time.Time) map[string][]time.Time {
	s.t.Helper()
	var a struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Values [][2]any
			}
		}
	}
	q := url.Values{"query": {fmt.Sprintf("up[%dms]", to.Sub(from).Milliseconds())}, "time": {strconv.FormatFloat(float64(to.UnixMilli())/1000, 'f', 3, 64)}}
	if !s.get("/api/v1/query?"+q.Encode(), &a) {
		s.t.Fatal("the samples of up are not to be had")
	}
	out := map[string][]time.Time{}
	for _, r := range a.Data.Result {
		for _, v := range r.Values {
			at := time.UnixMilli(int64(math.Round(v[0].(float64) * 1000)))
			out[r.Metric["instance"]] = append(out[r.Metric["instance"]], at)
		}
	}
	return out
}

// lag is how far behind Elasticsearch is, in seconds.
func (s *steady) lag() float64 {
	var st overview
	if !s.get("/api/flyball/v1/status", &st) || st.Elasticsearch == nil || st.Elasticsearch.Samples.Cursor.Unix() <= 0 {
		return math.Inf(1)
	}
	return st.Elasticsearch.Samples.Lag
}

// unlike says what a stretch lacked beside a calm one: what is promised, or twice what
// the calm one had if the machine was too busy for that.
func (p pulse) unlike(calm pulse) (all []string) {
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if p.targets != calm.targets || p.missed > calm.missed+1 {
		say("%d of %d targets, and %d scrapes missed", p.targets, calm.targets, p.missed)
	}
	if most := max(1500*time.Millisecond, 2*calm.longest); p.longest > most {
		say("%s between two scrapes, want at most %s", p.longest, most)
	}
	if most := max(0.128, 4*calm.judgement); p.judgement > most {
		say("judgements took up to %g s, want at most %g s", p.judgement, most)
	}
	if least := 0.8 * calm.judged / calm.seconds * p.seconds; p.judged < least {
		say("%.0f judgements, want %.0f", p.judged, least)
	}
	return all
}

// through lives through a stretch without Elasticsearch and through the one in which it
// is supplied again, and says what they lacked beside a calm one.
func (s *steady) through(away, back func(), calm pulse) []string {
	s.t.Helper()
	const long = 10 * time.Second
	away()
	p := s.pulse(long)
	lag := s.lag()
	back()
	again := s.pulse(long)
	s.t.Logf("away: %s; %.0f s behind", p, lag)
	s.t.Logf("supplied again: %s", again)
	if lag < long.Seconds()-1 {
		s.t.Fatalf("it was only %.1f s behind", lag)
	}
	s.until("all is sent", 3*time.Minute, func() bool { return s.lag() < 10 })
	return append(p.unlike(calm), again.unlike(calm)...)
}

// A machine that has other work, too, may be late by itself, once. What comes of
// Elasticsearch being away comes each time, so that a stretch that was unlike a calm one
// is lived through again.
func TestScrapesAndDecisionsStaySteadyWhileElasticsearchIsAwayAndIsSuppliedAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("takes two minutes")
	}
	s := newSteady(t)
	s.start()
	s.until("two members, and all is sent", 2*time.Minute, func() bool { return s.ready() == 2 && s.lag() < 10 })
	calm := s.pulse(10 * time.Second)
	t.Logf("calm: %s", calm)
	if calm.targets < 6 || calm.judged < 5 {
		t.Fatalf("%d targets, %.0f judgements", calm.targets, calm.judged)
	}
	for _, c := range []struct {
		name       string
		away, back func()
	}{
		{"frozen", func() { s.es.Freeze(t) }, func() { s.es.Thaw(t) }},
		{"cut off", s.line.Cut, func() { s.line.Restore(t) }},
		{"answering 429", func() { s.busy.Store(true) }, func() { s.busy.Store(false) }},
	} {
		t.Log(c.name)
		for try := 1; ; try++ {
			lacks := s.through(c.away, c.back, calm)
			if len(lacks) == 0 {
				break
			}
			if try == 3 {
				t.Fatalf("%s, for the third time: %s", c.name, strings.Join(lacks, "; "))
			}
			t.Logf("not like a calm one, so it is tried again: %s", strings.Join(lacks, "; "))
		}
	}
}
