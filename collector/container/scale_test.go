package container

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// many has an engine run so many containers, of all shapes.
func many(e *recording, n int) {
	e.t.Helper()
	for i := range n {
		s := shapes()[i%len(shapes())]
		e.addQuietly(fmt.Sprintf("web-%03d", i), s[0], s[1])
	}
}

// gather scrapes as /collect does, and counts the series of one metric.
func gather(t testing.TB, w *Watch, metric string) int {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(w)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == metric {
			return len(f.GetMetric())
		}
	}
	return 0
}

// peak is the most memory that was in use while f ran, and above what was before.
func peak(f func()) uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before, most := m.HeapAlloc, m.HeapAlloc
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
		}
	}()
	f()
	close(stop)
	<-done
	return most - before
}

// A machine that is busy with other things makes single scrapes slow; so one of
// many that keeps the bound will do for the time, and none may break it for memory.
func TestTwoHundredContainersAreReadInASecondAndThirtyMegabytes(t *testing.T) {
	e := newRecording(t)
	many(e, 200)
	w := watch(t, e.Socket, timeout(time.Minute))
	w.beat = time.Hour
	run(t, w)
	best := time.Hour
	for tries := 0; best > time.Second && tries < 20; tries++ {
		begun := time.Now()
		if n := gather(t, w, "container_memory_working_set_bytes"); n != 200 {
			t.Fatalf("%d containers told what they use, want 200", n)
		}
		best = min(best, time.Since(begun))
	}
	if best > time.Second {
		t.Errorf("took %s, want at most 1s", best)
	}
	for range 3 {
		if used := peak(func() { gather(t, w, "container_state") }); used > 30e6 {
			t.Errorf("took %d bytes, want at most 30 MB", used)
		} else {
			t.Logf("scraped in %s with at most %d kB more in use", best.Round(time.Millisecond), used/1000)
		}
	}
}

func BenchmarkScrapeOf200Containers(b *testing.B) {
	e := newRecording(b)
	many(e, 200)
	w := watch(b, e.Socket, timeout(30*time.Second))
	w.beat = time.Hour
	run(b, w)
	b.ReportAllocs()
	for b.Loop() {
		gather(b, w, "container_memory_working_set_bytes")
	}
}

func openFiles(t testing.TB) int {
	t.Helper()
	fs, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fs)
}

func TestAThousandTargetsThatComeAndGoLeaveNothing(t *testing.T) {
	e := newRecording(t)
	many(e, 3)
	once := func() {
		w, err := New(Config{Name: "a", Socket: e.Socket}, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		if n := gather(t, w, "container_state"); n != 3 {
			t.Errorf("%d containers, want 3", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	once()
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	for range 1000 {
		once()
	}
	eventually(t, 10*time.Second, "as many goroutines and files as before", func() bool {
		return runtime.NumGoroutine() <= goroutines && openFiles(t) <= files
	})
}
