package cluster

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

// smallDocuments are like those of samples: ten samples each, in some 850 bytes.
func smallDocuments(n int) []Document {
	docs := make([]Document, n)
	for i := range docs {
		var b strings.Builder
		fmt.Fprintf(&b, `{"@timestamp":"2026-11-21T12:00:00.123Z","ecs":{"version":"8.11.0"},"data_stream":{"type":"metrics","dataset":"prometheus.collector","namespace":"bench"},"event":{"dataset":"prometheus.collector","module":"prometheus"},"service":{"address":"10.0.0.%d:9100","type":"node"},"prometheus.labels.instance":"10.0.0.%d:9100","prometheus.labels.job":"node","prometheus.labels.device":"sda%d","prometheus.metrics_names_fingerprint":"8f2a1c77"`, i%250, i%250, i)
		for m := range 10 {
			fmt.Fprintf(&b, `,"prometheus.metrics.node_disk_%d_total":%d.25`, m, i*7+m)
		}
		b.WriteByte('}')
		docs[i] = Document{Stream: "metrics-prometheus.collector-bench", Body: []byte(b.String())}
	}
	return docs
}

func indices(n int) []int {
	at := make([]int, n)
	for i := range at {
		at[i] = i
	}
	return at
}

// cpuTime is what this process has used.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDeliver tells CPU time for a million samples, of which a document has
// ten. The server, which only counts lines it is told of, is part of the process.
func BenchmarkDeliver(b *testing.B) {
	const items = 5000
	taken := `{"items":[` + strings.Repeat(`{"create":{"status":201}},`, items-1) + `{"create":{"status":201}}]}`
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Elastic-Product", "Elasticsearch")
		_, _ = io.WriteString(w, taken)
	}))
	defer sink.Close()
	docs := smallDocuments(items)
	if n := len(divide(docs, indices(items), mostBytes)); n != 1 {
		b.Fatalf("the documents make %d requests", n)
	}
	for _, compress := range []bool{true, false} {
		b.Run(fmt.Sprintf("compress=%t", compress), func(b *testing.B) {
			c, err := New(Config{URLs: []string{sink.URL}, Compress: compress, Timeout: model.Duration(time.Minute)}, Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			b.ReportAllocs()
			began := cpuTime(b)
			for b.Loop() {
				if refused, err := c.Deliver(b.Context(), Samples, docs); err != nil || len(refused) > 0 {
					b.Fatal(refused, err)
				}
			}
			perDoc := (cpuTime(b) - began).Seconds() / float64(b.N) / items
			b.ReportMetric(perDoc*1e5, "CPU-s/million-samples")
			b.ReportMetric(0, "ns/op")
		})
	}
}
