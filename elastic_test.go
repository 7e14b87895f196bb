package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"flyball/collector/elastic/cluster"
	"flyball/collector/elastic/elastictest"
	"flyball/collector/store"
	"flyball/deploy/testservers"
	"flyball/scaler/journal"
)

const shippingConfig = `
listen: %s
prometheus:
  global: {scrape_interval: 1s, scrape_timeout: 900ms}
  scrape_configs: [{job_name: many, static_configs: [{targets: [%s]}]}]
elasticsearch:
  urls: [%s]
  namespace: %s
  ship: {every: 1s}
  views: {every: 2s}
`

// exposing serves so many series, whose numbers change with every scrape; ten
// metrics share each set of labels.
func exposing(t *testing.T, series int) (address string) {
	t.Helper()
	var scrapes atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := scrapes.Add(1)
		var b strings.Builder
		for i := range series {
			fmt.Fprintf(&b, "m%d_total{route=\"/r%d\"} %d\n", i%10, i/10, n*int64(i+1))
		}
		_, _ = w.Write([]byte(b.String())) // a killed scraper went away
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// A shipping is a real Flyball that ships into a real Elasticsearch.
type shipping struct {
	*rig
	es        *testservers.Elasticsearch
	namespace string
}

func newShipping(t *testing.T) *shipping {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), addr: freeAddress(t)}
	t.Cleanup(r.clear)
	s := &shipping{rig: r, es: testservers.SharedElasticsearch(t), namespace: strings.ToLower(t.Name())}
	targets := exposing(t, 1000) + ", " + exposing(t, 1000) + ", " + exposing(t, 1000)
	r.write("flyball.yaml", fmt.Sprintf(shippingConfig, r.addr, targets, s.es.URL(), s.namespace))
	return s
}

// reloads has Flyball read its configuration again and again, each of which is an
// entry of the journal, until it is gone.
func (s *shipping) reloads(ctx context.Context) {
	for ctx.Err() == nil {
		token, err := os.ReadFile(filepath.Join(s.dir, "data/token"))
		if err != nil {
			continue // not started yet
		}
		q, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+"/-/reload", nil)
		if err != nil {
			s.t.Error(err)
			return
		}
		q.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		if res, err := http.DefaultClient.Do(q); err == nil {
			res.Body.Close()
		}
	}
}

// live lets Flyball live for a while, and kills it.
func (s *shipping) live(d time.Duration) {
	s.start()
	ctx, cancel := context.WithTimeout(s.t.Context(), d)
	defer cancel()
	s.reloads(ctx)
	s.kill()
}

// settled waits until all up to a moment was sent, and tells how many entries were.
func (s *shipping) settled(at time.Time) journal.Seq {
	s.t.Helper()
	var st overview
	s.until("all to be sent", time.Minute, func() bool {
		e := st.Elasticsearch
		return s.get("/api/flyball/v1/status", &st) && e != nil && e.Samples.Cursor.After(at) && e.Samples.Dirty == 0 && e.Events.Behind == 0
	})
	return st.Elasticsearch.Events.Cursor
}

func TestKilledTwentyTimesWhileItShipsNothingIsLostAndNothingIsDoubled(t *testing.T) {
	s := newShipping(t)
	seed := uint64(time.Now().UnixNano())
	dice := rand.New(rand.NewPCG(seed, 1))
	for range 20 {
		s.live(300*time.Millisecond + time.Duration(dice.Int64N(int64(2500*time.Millisecond))))
	}
	s.start()
	at := time.Now()
	entries := s.settled(at)
	_ = s.service.Process.Signal(syscall.SIGTERM)
	_ = s.service.Wait()
	s.service = nil
	es, err := cluster.New(cluster.Config{URLs: []string{s.es.URL()}}, cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer es.Close()
	t.Logf("seed %d", seed)
	s.compareSamples(es, at)
	s.compareEvents(es, entries)
}

// compareSamples compares what the data folder holds up to a moment with the index.
func (s *shipping) compareSamples(es *cluster.Cluster, until time.Time) {
	s.t.Helper()
	st, err := store.Open(store.Options{Dir: filepath.Join(s.dir, "data")})
	if err != nil {
		s.t.Fatal(err)
	}
	defer st.Close()
	r, err := elastictest.Compare(s.t.Context(), st.Everything(), es, "metrics-prometheus.collector-"+s.namespace, 0, until.UnixMilli(), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Logf("%d samples of %d series in %d documents", r.Samples, r.Series, r.Documents)
	if err := r.Err(); err != nil || r.Series < 3000 {
		s.t.Errorf("%d series: %v", r.Series, err)
	}
}

// compareEvents compares the journal's entries up to a number with the index.
func (s *shipping) compareEvents(es *cluster.Cluster, until journal.Seq) {
	s.t.Helper()
	pattern := "/logs-flyball.*-" + s.namespace
	if _, err := es.Do(s.t.Context(), http.MethodPost, pattern+"/_refresh", nil); err != nil {
		s.t.Fatal(err)
	}
	text, err := es.Do(s.t.Context(), http.MethodPost, pattern+"/_search",
		[]byte(`{"size": 10000, "_source": false, "fields": ["event.sequence"], "sort": ["event.sequence"]}`))
	if err != nil {
		s.t.Fatal(err)
	}
	var a struct {
		Hits struct {
			Hits []struct {
				Fields map[string][]journal.Seq
			}
		}
	}
	if err := json.Unmarshal(text, &a); err != nil {
		s.t.Fatal(err)
	}
	there := map[journal.Seq]int{}
	for _, h := range a.Hits.Hits {
		there[h.Fields["event.sequence"][0]]++
	}
	for seq := journal.Seq(1); seq <= until; seq++ {
		if there[seq] != 1 {
			s.t.Errorf("entry %d is there %d times", seq, there[seq])
		}
	}
	s.t.Logf("%d entries", until)
	if until < 21 { // each life makes one at least
		s.t.Errorf("only %d entries were made", until)
	}
}
