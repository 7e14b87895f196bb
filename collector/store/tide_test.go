package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// marks collects what is told of late samples.
type marks struct {
	mu  sync.Mutex
	all [][2]time.Time
}

func (m *marks) late(from, to time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = append(m.all, [2]time.Time{from, to})
}

func TestALateCommitIsToldOfWhicheverWayItComes(t *testing.T) {
	at := noon.Add(-time.Minute)
	for _, c := range []struct {
		name  string
		write func(*Store)
	}{
		{"scraped", func(s *Store) { put(t, s, at, 1, "x") }},
		{"received", func(s *Store) { receive(t, s, at, 1, "x") }},
		{"recorded", func(s *Store) {
			app := s.Recorded().Appender(t.Context())
			if _, err := app.Append(0, metric(t, s, "x"), at.UnixMilli(), 1); err != nil {
				t.Fatal(err)
			}
			if err := app.Commit(); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, Options{})
			var m marks
			s.Settle(at, m.late)
			c.write(s)
			if len(m.all) != 0 {
				t.Fatalf("told of a sample at the line as late: %v", m.all)
			}
			s = open(t, Options{})
			s.Settle(noon, m.late)
			c.write(s)
			if want := [][2]time.Time{{at, at.Add(time.Millisecond)}}; !slices.EqualFunc(m.all, want, func(a, b [2]time.Time) bool {
				return a[0].Equal(b[0]) && a[1].Equal(b[1])
			}) {
				t.Errorf("told %v, want %v", m.all, want)
			}
		})
	}
}

func TestOnlyWhatIsBelowTheLineIsToldOf(t *testing.T) {
	s := open(t, Options{})
	var m marks
	s.Settle(noon, m.late)
	app := s.Appendable().AppenderV2(t.Context())
	for _, at := range []time.Time{noon.Add(-3 * time.Second), noon.Add(-2 * time.Second), noon.Add(time.Second)} {
		if _, err := app.Append(0, metric(t, s, "x"), 0, at.UnixMilli(), 1, nil, nil, storage.AOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	if len(m.all) != 1 || !m.all[0][0].Equal(noon.Add(-3*time.Second)) || !m.all[0][1].Equal(noon) {
		t.Errorf("told %v", m.all)
	}
}

func TestDrawingALineWaitsForCommitsUnderWayAndHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, drawn, slow := newTide(), make(chan int), make(chan int)
		var told marks
		begun := make(chan int)
		go func() {
			_ = d.commit(span{true, 5, 5}, func() error { close(begun); <-slow; return nil })
		}()
		<-begun
		go func() { d.move(10, told.late); close(drawn) }()
		synctest.Wait()
		select {
		case <-drawn:
			t.Fatal("line was drawn past a commit that did not know of it")
		default:
		}
		if err := d.commit(span{true, 5, 20}, func() error { return nil }); err != nil { // would wait for ever
			t.Fatal(err)
		}
		if len(told.all) != 1 || told.all[0][1].UnixMilli() != 10 {
			t.Errorf("told %v while the line was drawn", told.all)
		}
		close(slow)
		<-drawn
	})
}

// Writers and a reader at once: whatever a reader of a settled stretch does not
// see must have been told of. The series are there beforehand: upstream's index
// moves references of new ones under a reader's eyes.
func TestASettledStretchIsWholeButForWhatIsToldOf(t *testing.T) {
	s := open(t, Options{})
	const writers, each = 4, 300
	series := func(w int) string { return fmt.Sprintf(`x{w="%d"}`, w) }
	for w := range writers {
		receive(t, s, noon.Add(time.Hour), 1, series(w))
	}
	var m marks
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(w)))
			for i := range each {
				at := noon.Add(time.Hour - 20*time.Minute + time.Duration(i-r.IntN(40))*time.Second)
				receive(t, s, at.Add(time.Duration(i)*time.Millisecond), 1, series(w))
			}
		})
	}
	done := make(chan int)
	go func() { wg.Wait(); close(done) }()
	seen, line := 0, noon
	for i := range each {
		next := noon.Add(time.Hour - 20*time.Minute + time.Duration(i)*time.Second)
		s.Settle(next, m.late)
		seen += samplesBetween(t, s, line, next)
		line = next
	}
	<-done
	seen += samplesBetween(t, s, line, noon.Add(time.Hour))
	if late := len(m.all); seen+late < writers*each {
		t.Errorf("%d samples seen and %d told of, of %d written", seen, late, writers*each)
	}
}

func samplesBetween(t *testing.T, s *Store, from, to time.Time) (n int) {
	t.Helper()
	q, err := s.Everything().Querier(from.UnixMilli(), to.UnixMilli()-1)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	set := q.Select(t.Context(), false, nil, labels.MustNewMatcher(labels.MatchEqual, "__name__", "x"))
	var it chunkenc.Iterator
	for set.Next() {
		it = set.At().Iterator(it)
		for it.Next() != chunkenc.ValNone {
			n++
		}
	}
	if err := set.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTheOldestSampleIsThatOfEitherDatabase(t *testing.T) {
	s := open(t, Options{})
	for _, c := range []struct {
		name     string
		write    func()
		own, all time.Time
	}{
		{"nothing", func() {}, time.Time{}, time.Time{}},
		{"one received", func() { receive(t, s, noon, 1, "x") }, time.Time{}, noon},
		{"an older one of our own", func() { put(t, s, noon.Add(-time.Minute), 1, "x") }, noon.Add(-time.Minute), noon.Add(-time.Minute)},
		{"one received out of order", func() { receive(t, s, noon.Add(-2*time.Minute), 1, "x") }, noon.Add(-time.Minute), noon.Add(-2 * time.Minute)},
	} {
		c.write()
		if own, all := s.Oldest(); !own.Equal(c.own) || !all.Equal(c.all) {
			t.Errorf("%s: got %v and %v, want %v and %v", c.name, own, all, c.own, c.all)
		}
	}
}

func TestARangeIsEvaluatedOverBothDatabases(t *testing.T) {
	s := open(t, Options{})
	put(t, s, noon, 1, `x{a="own"}`)
	receive(t, s, noon, 2, `x{a="in"}`)
	m, err := s.Range(t.Context(), "sum(x)", noon, noon.Add(20*time.Second), 10*time.Second)
	if err != nil || len(m) != 1 || len(m[0].Floats) != 3 || m[0].Floats[2].F != 3 {
		t.Errorf("%v, %v", m, err)
	}
	if _, err := s.Range(t.Context(), "sum(", noon, noon, time.Second); err == nil {
		t.Error("no error from a bad expression")
	}
}
