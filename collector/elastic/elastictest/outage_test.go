package elastictest

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"flyball/collector/elastic/samples"
	"flyball/deploy/testservers"
)

// mostHeap is how much more of the heap may be in use while a backlog is made up for,
// however long it is. A window has 200,000 samples of 40 bytes, half as much again while
// it grows: 12 MB; the documents that wait 4 MB; two requests on their way 10 MB, their
// compressed forms and answers 5 MB; a read of the store some. That is half as much
// again; mostly it is 15 MB.
const mostHeap = 48 << 20

// An hourglass is a clock that somebody turns.
type hourglass struct{ ahead atomic.Int64 }

// now is the present, moved by what was turned.
func (g *hourglass) now() time.Time { return time.Now().Add(time.Duration(g.ahead.Load())) }

// A heap tells how much of the heap is in use at most.
type heap struct {
	before, most uint64
	stop, done   chan struct{}
}

// inUse is what is in use of the heap, garbage apart.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// watchHeap looks again and again, from now on.
func watchHeap() *heap {
	h := &heap{before: inUse(), stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(h.done)
		for {
			h.most = max(h.most, inUse())
			select {
			case <-h.stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return h
}

// grown ends the watch, and tells by how much the heap had grown at most.
func (h *heap) grown() uint64 {
	close(h.stop)
	<-h.done
	return h.most - min(h.most, h.before)
}

// settled waits until the store has made blocks of what is old enough for them.
func (r *rig) settled() {
	r.t.Helper()
	await(r.t, "the store is at rest", func() bool {
		all, err := r.metrics.Gather()
		if err != nil {
			r.t.Fatal(err)
		}
		at := map[string]float64{}
		for _, f := range all {
			if m := f.GetMetric(); len(m) == 1 {
				at[f.GetName()] = m[0].GetGauge().GetValue()
			}
		}
		head := at["prometheus_tsdb_head_max_time"] - at["prometheus_tsdb_head_min_time"]
		return head > 0 && head < float64((3*time.Hour+time.Minute).Milliseconds())
	})
}

// outage ships for five minutes, lets Elasticsearch be away for some time of the
// shipper's clock, and ships what gathered meanwhile. It returns by how much the heap
// had grown.
func outage(t *testing.T, es *testservers.Elasticsearch, away, interval time.Duration, targets, metrics int) uint64 {
	t.Helper()
	line := testservers.StartProxy(t, es.Addr())
	r := newRig(t, es.URL(), "http://"+line.Addr(), usual)
	now := time.Now().Truncate(time.Second)
	calm := 5 * time.Minute
	began := time.Now()
	r.write(now.Add(-away-calm), int((away+calm)/interval), targets, metrics, interval)
	r.settled()
	t.Logf("written in %.1f s", time.Since(began).Seconds())
	glass := &hourglass{}
	glass.ahead.Store(int64(-away))
	r.now = glass.now

	h := watchHeap()
	t.Logf("%d MB before", h.before>>20)
	s, stop := r.ship(samples.Config{Every: model.Duration(time.Second), CatchUp: 10_000_000})
	await(t, "the first minutes were sent", func() bool { return s.Status().Lag < 10 })
	line.Cut()
	for range 12 {
		glass.ahead.Add(int64(away / 12))
		<-time.After(200 * time.Millisecond)
	}
	if st := s.Status(); st.Lag < (away - time.Minute).Seconds() {
		t.Errorf("it is only %.0f s behind, although Elasticsearch was away", st.Lag)
	}
	sent := s.Status().Samples
	line.Restore(t)
	began = time.Now()
	await(t, "all was sent", func() bool { return s.Status().Cursor.After(now) })
	took := time.Since(began).Seconds()
	stop()
	grown := h.grown()
	t.Logf("%d samples in %.1f s, %.0f a second; the heap grew by %.1f MB", s.Status().Samples-sent, took, float64(s.Status().Samples-sent)/took, float64(grown)/(1<<20))
	began = time.Now()
	report := r.equalIn(now.Add(-away-calm), now, time.Hour)
	t.Logf("%d samples of %d series in %d documents, compared in %.1f s", report.Samples, report.Series, report.Documents, time.Since(began).Seconds())
	if report.Series != targets*metrics || s.Status().Lost.Samples > 0 {
		t.Errorf("%d series, want %d; %d lost", report.Series, targets*metrics, s.Status().Lost.Samples)
	}
	return grown
}

func TestAfterSixHoursWithoutElasticsearchEachSampleIsThereOnceAndMemoryIsBounded(t *testing.T) {
	es := testservers.StartElasticsearch(t)
	grown := map[time.Duration]uint64{}
	for _, away := range []time.Duration{time.Hour, 6 * time.Hour} {
		t.Run(away.String(), func(t *testing.T) {
			grown[away] = outage(t, es, away, time.Minute, 40, 100)
			if grown[away] > mostHeap {
				t.Errorf("the heap grew by %d MB", grown[away]>>20)
			}
		})
	}
	if more := int64(grown[6*time.Hour]) - int64(grown[time.Hour]); more > 16<<20 {
		t.Errorf("after 6 hours the heap grew by %d MB more than after one", more>>20)
	}
}
