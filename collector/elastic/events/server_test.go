package events

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"flyball/collector/elastic/cluster"
	"flyball/deploy/testservers"
	"flyball/scaler/journal"
)

func TestMain(m *testing.M) { os.Exit(testservers.Main(m)) }

// A site is a namespace of the shared Elasticsearch, and a journal.
type site struct {
	t         *testing.T
	server    *testservers.Elasticsearch
	direct    *cluster.Cluster // not by way of any proxy
	namespace string
	journal   *journal.Journal
}

func newSite(t *testing.T, namespace string) *site {
	t.Helper()
	server := testservers.SharedElasticsearch(t)
	s := &site{t: t, server: server, direct: connect(t, server.URL()), namespace: namespace, journal: open(t, journal.Options{})}
	s.do("PUT", "/_index_template/events-"+namespace, fmt.Sprintf(`{
		"index_patterns": ["logs-flyball.*-%s"], "data_stream": {}, "priority": 500,
		"template": {"settings": {"number_of_replicas": 0}, "mappings": {"dynamic": false, "properties": {"@timestamp": {"type": "date"}}}}
	}`, namespace))
	return s
}

// connect returns the cluster at an address.
func connect(t *testing.T, address string) *cluster.Cluster {
	t.Helper()
	c, err := cluster.New(cluster.Config{URLs: []string{address}, Timeout: model.Duration(20 * time.Second)}, cluster.Options{Dir: t.TempDir()})
	ok(t, err)
	t.Cleanup(c.Close)
	return c
}

func (s *site) do(method, path, body string) []byte {
	s.t.Helper()
	answer, err := s.direct.Do(s.t.Context(), method, path, []byte(body))
	ok(s.t, err)
	return answer
}

// shipper sends the journal by way of c, in small batches.
func (s *site) shipper(c Cluster) *Shipper {
	sh := New(Options{Journal: s.journal, Cluster: c, Namespace: s.namespace})
	sh.pace = pace{most: 100, bytes: 1 << 20, gather: time.Millisecond, again: time.Millisecond, rarely: 50 * time.Millisecond}
	return sh
}

func (s *site) write(n int) {
	s.t.Helper()
	for i := range n {
		ok(s.t, s.journal.Note(journal.Load, "", epoch.Add(time.Duration(i)), map[string]int{"pools": i}))
	}
}

// rollOver begins the data stream's next backing index.
func (s *site) rollOver() { s.do("POST", "/logs-flyball.config-"+s.namespace+"/_rollover", "") }

// check checks that each entry is there once, and in how many backing indices.
func (s *site) check(indices int) {
	s.t.Helper()
	streams := "/logs-flyball.*-" + s.namespace
	s.do("POST", streams+"/_refresh", "")
	var found struct {
		Hits struct {
			Hits []struct {
				Index string `json:"_index"`
				ID    string `json:"_id"`
			} `json:"hits"`
		} `json:"hits"`
	}
	ok(s.t, json.Unmarshal(s.do("POST", streams+"/_search", `{"size": 10000, "_source": false}`), &found))
	times, in := map[string]int{}, map[string]bool{}
	for _, h := range found.Hits.Hits {
		times[h.ID]++
		in[h.Index] = true
	}
	onceEach(s.t, s.journal, times)
	if len(in) < indices {
		s.t.Errorf("documents are in %d backing indices, want at least %d: nothing was tried", len(in), indices)
	}
}

// finish waits until all is sent.
func (s *site) finish(sh *Shipper) {
	s.t.Helper()
	eventually(s.t, "all is sent", shipped(sh))
}

func TestAThousandEntriesAreThereOnceOverRollovers(t *testing.T) {
	s := newSite(t, "rollover")
	sh := s.shipper(s.direct)
	stop := run(t, sh)
	defer stop()
	for range 4 {
		s.write(250)
		at := sh.Status().Cursor
		eventually(t, "some more are sent", func() bool { return sh.Status().Cursor > at })
		s.rollOver()
	}
	s.finish(sh)
	s.check(4)
}

// TestLivesThatEndInTheMiddleDoubleNothing also takes the last cursors away, as the
// machine's end may, and rolls over between the lives.
func TestLivesThatEndInTheMiddleDoubleNothing(t *testing.T) {
	s := newSite(t, "lives")
	kept, known := journal.Seq(0), int64(0)
	for life := range 8 {
		s.write(100)
		sh := s.shipper(s.direct)
		stop := run(t, sh)
		target := kept + 50
		eventually(t, "some are sent", func() bool { return sh.Status().Cursor >= target || shipped(sh)() })
		stop()
		known += sh.Status().Known
		s.rollOver()
		if life%2 == 0 {
			ok(t, s.journal.SetCursor(who, kept))
		}
		var err error
		kept, err = s.journal.Cursor(who)
		ok(t, err)
	}
	sh := s.shipper(s.direct)
	defer run(t, sh)()
	s.finish(sh)
	if known == 0 {
		t.Error("nothing was looked up and found")
	}
	s.check(4)
}

// A cutter is a proxy that passes requests on, and keeps the answers of some bulk
// requests to itself.
type cutter struct {
	*httptest.Server
	mu   sync.Mutex
	cuts int
	then func() // after a request was carried out, and before its connection is cut
}

func newCutter(t *testing.T, target string, then func()) *cutter {
	t.Helper()
	to, err := url.Parse(target)
	ok(t, err)
	c := &cutter{then: then}
	proxy := httputil.NewSingleHostReverseProxy(to)
	bulks := 0
	proxy.ModifyResponse = func(r *http.Response) error {
		if !strings.HasSuffix(r.Request.URL.Path, "/_bulk") {
			return nil
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if bulks++; bulks%2 == 0 {
			return nil
		}
		c.cuts++
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return err
		}
		c.then()
		return http.ErrAbortHandler
	}
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	c.Server = httptest.NewServer(proxy)
	t.Cleanup(c.Close)
	return c
}

func TestAnswersThatAreCutBeforeARolloverDoubleNothing(t *testing.T) {
	s := newSite(t, "cut")
	c := newCutter(t, s.server.URL(), s.rollOver)
	s.write(100)
	sh := s.shipper(connect(t, c.URL))
	defer run(t, sh)()
	for range 9 {
		s.write(100)
		s.finish(sh)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cuts < 5 || sh.Status().Known < 100 {
		t.Errorf("%d answers were cut, and %d documents found", c.cuts, sh.Status().Known)
	}
	s.check(5)
}

func TestElasticsearchKilledAndRestartedLosesAndDoublesNothing(t *testing.T) {
	s := newSite(t, "killed")
	sh := s.shipper(s.direct)
	defer run(t, sh)()
	s.write(50)
	s.finish(sh)
	for range 2 {
		written := make(chan error, 1)
		go func() {
			var err error
			for i := 0; i < 500 && err == nil; i++ {
				err = s.journal.Note(journal.Load, "", epoch, map[string]int{"pools": i})
			}
			written <- err
		}()
		at := sh.Status().Cursor
		eventually(t, "some more are sent", func() bool { return sh.Status().Cursor > at })
		s.server.Kill(t)
		ok(t, <-written)
		s.server.Restart(t)
		s.rollOver()
		s.finish(sh)
	}
	s.check(2)
}
