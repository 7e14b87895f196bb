package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunks"
)

// Limits bound how many series are kept. Over a limit new series are refused and
// counted, one by one, and those already known keep flowing; a scrape is never
// dropped for it. Zero is no limit.
type Limits struct {
	Series int // in memory, in each of the two databases; series that ended free their place at the next compaction
	Scrape int // of one target; a series that ended frees its place at the next scrape
}

// errRefused means that a limit keeps a new series out.
var errRefused = errors.New("series limit reached")

// room is the global limit, asked by the database before it makes a series. What
// a scrape reports about itself (`up` and the like) always has room: it is
// bounded by the number of targets, and what is not known to be up cannot be judged.
type room struct {
	limit   uint64
	head    atomic.Pointer[tsdb.Head] // nil while the log is being read: what was kept stays
	refused prometheus.Counter
}

func newRoom(limit int, m *metrics) *room {
	return &room{limit: uint64(max(limit, 0)), refused: m.refused.WithLabelValues(byGlobal)}
}

func (r *room) use(h *tsdb.Head) { r.head.Store(h) }

// PreCreation refuses a series for which there is no room. Concurrent writers
// can each get one series past the limit.
func (r *room) PreCreation(ls labels.Labels) error {
	h := r.head.Load()
	if r.limit == 0 || h == nil || h.NumSeries() < r.limit || isReport(ls.Get(model.MetricNameLabel)) {
		return nil
	}
	r.refused.Inc()
	return errRefused
}

// PostCreation does nothing: the head counts.
func (*room) PostCreation(labels.Labels) {}

// PostDeletion does nothing: the head counts.
func (*room) PostDeletion(map[chunks.HeadSeriesRef]labels.Labels) {}

// isReport tells the series that a scrape reports about itself.
func isReport(name string) bool {
	switch name {
	case "up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling",
		"scrape_series_added", "scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes":
		return true
	}
	return false
}

// forgetAfter is how long the share of a target that is not scraped is remembered.
const forgetAfter = time.Hour

// shares is what is known of each target's series.
type shares struct {
	mu     sync.Mutex
	limit  int
	perJob map[string]int
	of     map[*scrape.Target]*share
	swept  time.Time
}

// A share is one target's part of the series. A target is scraped by one loop at
// a time, so the fields need no lock of their own but for the limit.
type share struct {
	limit  atomic.Int64
	job    string
	labels labels.Labels
	pooled atomic.Bool  // one of its series has the label `pool`
	live   atomic.Int64 // series of its last scrape, or in memory at its first
	used   atomic.Int64 // Unix seconds
}

func newShares(limit int) *shares {
	return &shares{limit: limit, of: map[*scrape.Target]*share{}}
}

// get finds the share of the target that the context is of, or nil. A new share
// starts from how many of the target's series are in memory, so that a restart
// makes no room.
func (s *shares) get(ctx context.Context, h *tsdb.Head, now time.Time) *share {
	t, ok := scrape.TargetFromContext(ctx)
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.of[t]
	if sh == nil {
		sh = s.add(ctx, t, h)
		s.sweep(now)
	}
	sh.used.Store(now.Unix())
	return sh
}

func (s *shares) add(ctx context.Context, t *scrape.Target, h *tsdb.Head) *share {
	lb := labels.NewBuilder(labels.EmptyLabels())
	sh := &share{job: t.DiscoveredLabels(lb).Get("job"), labels: t.Labels(lb)}
	sh.pooled.Store(sh.labels.Has(poolLabel))
	sh.limit.Store(int64(s.limitOf(sh.job)))
	if sh.limit.Load() > 0 {
		n, err := inMemory(ctx, h, sh.labels)
		if err != nil {
			n = 0 // a count that fails costs accuracy of one scrape, nothing else
		}
		sh.live.Store(int64(max(n-leastReport, 0)))
	}
	s.of[t] = sh
	return sh
}

func (s *shares) sweep(now time.Time) {
	if now.Sub(s.swept) < forgetAfter {
		return
	}
	s.swept = now
	maps.DeleteFunc(s.of, func(_ *scrape.Target, sh *share) bool {
		return now.Unix()-sh.used.Load() > int64(forgetAfter/time.Second)
	})
}

func (s *shares) limitOf(job string) int {
	if n := s.perJob[job]; n > 0 {
		return n
	}
	return s.limit
}

func (s *shares) limitJobs(perJob map[string]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.perJob = maps.Clone(perJob)
	for _, sh := range s.of {
		sh.limit.Store(int64(s.limitOf(sh.job)))
	}
}

// inMemory counts the series in the head that have a target's labels.
func inMemory(ctx context.Context, h *tsdb.Head, ls labels.Labels) (n int, err error) {
	var ms []*labels.Matcher
	ls.Range(func(l labels.Label) {
		ms = append(ms, labels.MustNewMatcher(labels.MatchEqual, l.Name, l.Value))
	})
	ix, err := h.Index()
	if err != nil {
		return 0, fmt.Errorf("read index: %w", err)
	}
	defer ix.Close()
	p, err := tsdb.PostingsForMatchers(ctx, ix, ms...)
	if err != nil {
		return 0, fmt.Errorf("count series: %w", err)
	}
	for p.Next() {
		n++
	}
	return n, p.Err()
}
