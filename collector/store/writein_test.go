package store

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/util/compression"

	"flyball/rules"
)

// send posts samples of one series as a sender of remote write 1.0.
func send(t *testing.T, target string, ls map[string]string, at time.Time, v float64) int {
	t.Helper()
	ts := prompb.TimeSeries{Samples: []prompb.Sample{{Value: v, Timestamp: at.UnixMilli()}}}
	for _, name := range []string{"__name__", "member", "pool"} {
		if ls[name] != "" {
			ts.Labels = append(ts.Labels, prompb.Label{Name: name, Value: ls[name]})
		}
	}
	body, err := (&prompb.WriteRequest{Timeseries: []prompb.TimeSeries{ts}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	body, err = compression.Encode(compression.Snappy, body, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(target, "application/x-protobuf", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestForgedSeriesWrittenInDriveNoPoolAndAreReadOverTheAPI(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := open(t, Options{Registerer: reg})
	now := time.Now()
	put(t, s, now, 1, `load{pool="web",member="web-1"}`)
	srv := serve(t, s, reg, "")
	forged := map[string]string{"__name__": "load", "pool": "web", "member": "web-2"}
	if code := send(t, srv.URL+"/api/v1/write", forged, now, 1000); code != http.StatusNoContent {
		t.Fatalf("write answers %d", code)
	}
	wantPoints(t, s, "web", `sum(load{pool="web"})`, now, "=1")
	if _, body := get(t, srv.URL+"/api/v1/query?query=sum(load)"); !bytes.Contains([]byte(body), []byte(`"1001"`)) {
		t.Errorf("the API does not read both: %s", body)
	}
	// Late samples are taken, and wrong bodies refused.
	if code := send(t, srv.URL+"/api/v1/write", forged, now.Add(-10*time.Minute), 1); code != http.StatusNoContent {
		t.Errorf("a late sample answers %d", code)
	}
	resp, err := http.Post(srv.URL+"/api/v1/write", "application/x-protobuf", bytes.NewReader([]byte("x")))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a body of nonsense answers %d", resp.StatusCode)
	}
}

func TestARecordingRuleIsNoWayInForForgedSeries(t *testing.T) {
	s := open(t, Options{})
	put(t, s, noon, 1, `load{pool="web",member="web-1"}`)
	receive(t, s, noon, 1000, `load{pool="web",member="web-2"}`)
	q := s.RuleQuery()
	for _, c := range []struct {
		kind string
		want float64
	}{{"recording", 1}, {"alerting", 1001}} {
		v, err := q(origin(t, c.kind), "sum(load)", noon)
		if err != nil || len(v) != 1 || v[0].F != c.want {
			t.Errorf("%s rule reads %v, %v; want %v", c.kind, v, err, c.want)
		}
	}
	if err := s.Accept(map[string][]string{"web": {"load"}}); err != nil {
		t.Fatal(err)
	}
	if v, err := q(origin(t, "recording"), "sum(load)", noon); err != nil || v[0].F != 1001 {
		t.Errorf("recording rule reads %v, %v of accepted series; want 1001", v, err)
	}
}

func TestWhatIsStoredIsWrittenOutAndTakenIn(t *testing.T) {
	for _, message := range []string{"prometheus.WriteRequest", "io.prometheus.write.v2.Request"} {
		t.Run(message, func(t *testing.T) {
			central := open(t, Options{})
			in := central.WriteHandler()
			came := make(chan int, 100)
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				in.ServeHTTP(w, r)
				came <- 1
			}))
			defer srv.Close()
			s, err := Open(Options{Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Apply(config(t, fmt.Sprintf("remote_write: [{url: %q, protobuf_message: %s, queue_config: {batch_send_deadline: 50ms}}]", srv.URL, message))); err != nil {
				t.Fatal(err)
			}
			// A watcher of the log that is not there yet misses a notice, and looks by
			// itself every 15 s only. So write until it takes.
			now := time.Now().Add(time.Second)
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for done := false; !done; {
				now = now.Add(time.Millisecond)
				put(t, s, now, 7, `x{member="web-1"}`)
				select {
				case <-came:
					done = true
				case <-tick.C:
				case <-t.Context().Done():
					t.Fatal("nothing came")
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := central.Accept(map[string][]string{"": {"x"}}); err != nil {
				t.Fatal(err)
			}
			r, err := central.Query(t.Context(), rules.PromQL{Expr: "x"}, now)
			if err != nil || told(r) != "web-1=7" {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}
