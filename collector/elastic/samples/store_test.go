package samples

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// A testStore is two databases, as the store has them, and a line between what was
// read and what was not.
type testStore struct {
	t       testing.TB
	own, in *tsdb.DB
	mu      sync.Mutex
	until   int64
	late    func(from, to time.Time)
	dropped time.Time // pretended to be the oldest own sample
}

func newStore(t testing.TB) *testStore {
	t.Helper()
	s := &testStore{t: t, until: math.MinInt64}
	open := func(ooo time.Duration) *tsdb.DB {
		o := tsdb.DefaultOptions()
		o.OutOfOrderTimeWindow = ooo.Milliseconds()
		o.XOR2EncodingAllowed = true
		db, err := tsdb.Open(t.TempDir(), nil, nil, o, nil)
		if err != nil {
			t.Fatal(err)
		}
		db.DisableCompactions()
		return db
	}
	s.own, s.in = open(0), open(24*time.Hour)
	t.Cleanup(s.close)
	return s
}

func (s *testStore) close() {
	for _, db := range []*tsdb.DB{s.own, s.in} {
		if err := db.Close(); err != nil {
			s.t.Error(err)
		}
	}
}

func (s *testStore) Everything() storage.Queryable {
	return storage.QueryableFunc(func(from, to int64) (storage.Querier, error) {
		a, err := s.own.Querier(from, to)
		if err != nil {
			return nil, err
		}
		b, err := s.in.Querier(from, to)
		return storage.NewMergeQuerier([]storage.Querier{a, b}, nil, storage.ChainedSeriesMerge), err
	})
}

func (s *testStore) Oldest() (own, all time.Time) {
	if !s.dropped.IsZero() {
		return s.dropped, s.dropped
	}
	for _, db := range []*tsdb.DB{s.own, s.in} {
		least := min(db.Head().MinTime(), db.Head().MinOOOTime())
		if least == math.MaxInt64 {
			continue
		}
		at := time.UnixMilli(least)
		if db == s.own {
			own = at
		}
		if all.IsZero() || at.Before(all) {
			all = at
		}
	}
	return own, all
}

func (s *testStore) Settle(until time.Time, late func(from, to time.Time)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until, s.late = until.UnixMilli(), late
}

// A point is a sample to be written.
type point struct {
	series labels.Labels
	at     time.Time
	value  float64
	h      *histogram.FloatHistogram
}

// write commits samples, those that the database takes.
func (s *testStore) write(db *tsdb.DB, ps ...point) {
	s.t.Helper()
	app := db.Appender(s.t.Context())
	from, to := int64(math.MaxInt64), int64(math.MinInt64)
	for _, p := range ps {
		var err error
		if p.h != nil {
			_, err = app.AppendHistogram(0, p.series, p.at.UnixMilli(), nil, p.h)
		} else {
			_, err = app.Append(0, p.series, p.at.UnixMilli(), p.value)
		}
		switch {
		case errors.Is(err, storage.ErrOutOfOrderSample), errors.Is(err, storage.ErrDuplicateSampleForTimestamp), errors.Is(err, storage.ErrOutOfBounds):
			continue
		case err != nil:
			s.t.Fatal(err)
		}
		from, to = min(from, p.at.UnixMilli()), max(to, p.at.UnixMilli())
	}
	s.mu.Lock()
	until, late := s.until, s.late
	s.mu.Unlock()
	if from < until {
		late(time.UnixMilli(from), time.UnixMilli(min(to, until-1)+1))
	}
	if err := app.Commit(); err != nil {
		s.t.Fatal(err)
	}
}

// scrape commits samples as scraped ones.
func (s *testStore) scrape(ps ...point) { s.t.Helper(); s.write(s.own, ps...) }

// receive commits samples as ones written in from outside.
func (s *testStore) receive(ps ...point) { s.t.Helper(); s.write(s.in, ps...) }

// samples are all numbers that can be sent, by series and time.
func (s *testStore) samples() map[string]map[int64]float64 {
	s.t.Helper()
	q, err := s.Everything().Querier(0, math.MaxInt64)
	if err != nil {
		s.t.Fatal(err)
	}
	defer q.Close()
	out := map[string]map[int64]float64{}
	set := q.Select(context.Background(), false, nil, everything()...)
	for set.Next() {
		ls := set.At().Labels()
		key := seriesKey(ls.Get("__name__"), ls.MatchLabels(false, "__name__").Map())
		it := set.At().Iterator(nil)
		for t := it.Next(); t == chunkenc.ValFloat; t = it.Next() {
			if at, v := it.At(); unfit(v) == "" {
				if out[key] == nil {
					out[key] = map[int64]float64{}
				}
				out[key][at] = v
			}
		}
	}
	if err := set.Err(); err != nil {
		s.t.Fatal(err)
	}
	return out
}

// memory keeps state as JSON, as a journal does.
type memory struct {
	mu    sync.Mutex
	kept  map[string][]byte
	keeps int
	err   error
	at    func(when string) // before and after state is durable; may be nil
}

func newMemory() *memory { return &memory{kept: map[string][]byte{}} }

func (m *memory) Keep(who string, state any) error {
	if m.at != nil {
		m.at("before it is kept")
	}
	m.mu.Lock()
	text, err := json.Marshal(state)
	if err == nil {
		err = m.err
	}
	if err == nil {
		m.kept[who] = text
		m.keeps++
	}
	m.mu.Unlock()
	if m.at != nil {
		m.at("after it was kept")
	}
	return err
}

func (m *memory) Kept(who string, state any) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text, ok := m.kept[who]
	if !ok {
		return false, nil
	}
	return true, json.Unmarshal(text, state)
}

// same compares what is in the store with what Elasticsearch has.
func same(t testing.TB, store, elastic map[string]map[int64]float64) {
	t.Helper()
	lost, extra, wrong := 0, 0, 0
	for key, all := range store {
		for at, v := range all {
			got, ok := elastic[key][at]
			switch {
			case !ok:
				if lost++; lost < 5 {
					t.Errorf("%s at %d is lost", key, at)
				}
			case math.Float64bits(got) != math.Float64bits(v):
				wrong++
			}
		}
	}
	for key, all := range elastic {
		for at := range all {
			if _, ok := store[key][at]; !ok {
				if extra++; extra < 5 {
					t.Errorf("%s at %d came from nowhere", key, at)
				}
			}
		}
	}
	if lost+extra+wrong > 0 {
		t.Errorf("%d samples are lost, %d are wrong, %d came from nowhere", lost, wrong, extra)
	}
}
