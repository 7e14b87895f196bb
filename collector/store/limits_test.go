package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"

	"flyball/rules"
)

// A loop writes as a scrape loop does: it remembers the references of series it
// wrote, tells of its target, and ends with its report.
type loop struct {
	s      *Store
	ctx    context.Context
	target labels.Labels
	refs   map[string]storage.SeriesRef
	at     time.Time
}

func newLoop(t *testing.T, s *Store, job string, target ...string) *loop {
	t.Helper()
	return loopOf(t, s, labels.FromStrings(append([]string{"job", job}, target...)...))
}

func loopOf(t testing.TB, s *Store, ls labels.Labels) *loop {
	t.Helper()
	job := ls.Get("job")
	at := scrape.NewTarget(ls, &promconfig.DefaultScrapeConfig, model.LabelSet{}, model.LabelSet{"job": model.LabelValue(job)})
	return &loop{s, scrape.ContextWithTarget(t.Context(), at), ls, map[string]storage.SeriesRef{}, noon}
}

// scrape writes one sample of every name, and reports.
func (l *loop) scrape(t *testing.T, names ...string) {
	t.Helper()
	l.at = l.at.Add(time.Second)
	app := l.s.Appendable().AppenderV2(l.ctx)
	for _, name := range append(names, "up", "scrape_duration_seconds", "scrape_samples_scraped",
		"scrape_samples_post_metric_relabeling", "scrape_series_added") {
		lb := labels.NewBuilder(l.target).Set("__name__", name)
		ref, err := app.Append(l.refs[name], lb.Labels(), 0, l.at.UnixMilli(), 1, nil, nil, storage.AOptions{})
		if err != nil {
			t.Fatalf("append %s: %v", name, err)
		}
		if ref != 0 {
			l.refs[name] = ref
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
}

// there counts the series of a selector that have a sample of the last scrape.
func (l *loop) there(t *testing.T, selector string) int {
	t.Helper()
	r, err := l.s.Query(t.Context(), rules.PromQL{Expr: fmt.Sprintf("count(last_over_time(%s[500ms]))", selector)}, l.at)
	if errors.Is(err, rules.ErrNoData) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return int(r.Points[0].Value)
}

func names(prefix string, n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("%s%03d", prefix, i))
	}
	return out
}

const (
	bs = `{__name__=~"b.*"}`
	as = `{__name__=~"a.*"}`
)

func TestOverAScrapesLimitNewSeriesAreRefusedAndOldOnesFlow(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := open(t, Options{Registerer: reg, Limits: Limits{Scrape: 20}})
	l := newLoop(t, s, "j", "instance", "i")
	b := names("b", 15)
	l.scrape(t, b...)
	l.scrape(t, append(names("a", 30), b...)...) // the new ones come first
	if got := l.there(t, bs); got != 15 {
		t.Errorf("%d of 15 old series flow", got)
	}
	if got := l.there(t, as); got != 5 {
		t.Errorf("%d new series were let in, want 5", got)
	}
	if got := l.there(t, "up"); got != 1 {
		t.Error("the scrape's own report was refused")
	}
	refused := gathered(t, reg, "flyball_store_series_refused_total")
	if refused["limit=scrape"] != 25 || refused["limit=global"] != 0 {
		t.Errorf("refused %v, want 25 by the scrape's limit", refused)
	}
	// A failed scrape makes no room.
	l.scrape(t)
	l.scrape(t, append(names("a", 30), b...)...)
	if a, b := l.there(t, as), l.there(t, bs); a+b != 20 || b != 15 {
		t.Errorf("after a failed scrape %d new and %d old series", a, b)
	}
	// What ends does.
	l.scrape(t, names("b", 10)...)
	l.scrape(t, append(names("c", 30), names("b", 10)...)...)
	if got := l.there(t, `{__name__=~"c.*"}`); got != 10 {
		t.Errorf("%d series took the place of those that ended, want 10", got)
	}
}

func TestARestartMakesNoRoomUnderAScrapesLimit(t *testing.T) {
	dir := t.TempDir()
	limits := Limits{Scrape: 20}
	s, err := Open(Options{Dir: dir, Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	b := names("b", 20)
	newLoop(t, s, "j", "instance", "i").scrape(t, b...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir, Limits: limits})
	l := newLoop(t, s, "j", "instance", "i")
	l.at = l.at.Add(time.Minute)
	l.scrape(t, append(names("a", 30), b...)...)
	if a, b := l.there(t, as), l.there(t, bs); a != 0 || b != 20 {
		t.Errorf("after a restart %d new and %d old series flow, want 0 and 20", a, b)
	}
}

func TestEachTargetHasItsOwnLimitAndAJobCanHaveAnother(t *testing.T) {
	s := open(t, Options{Limits: Limits{Scrape: 10}})
	s.LimitScrapes(map[string]int{"big": 25})
	small, big := newLoop(t, s, "small", "instance", "i"), newLoop(t, s, "big", "instance", "i")
	small.scrape(t, names("a", 30)...)
	big.scrape(t, names("a", 30)...)
	if n, m := small.there(t, `{job="small",__name__=~"a.*"}`), big.there(t, `{job="big",__name__=~"a.*"}`); n != 10 || m != 25 {
		t.Errorf("%d and %d series, want 10 and 25", n, m)
	}
	s.LimitScrapes(nil)
	big.scrape(t, names("a", 40)...)
	if m := big.there(t, `{job="big",__name__=~"a.*"}`); m != 25 {
		t.Errorf("a lowered limit leaves %d series, want the 25 that were there", m)
	}
}

func TestOverTheGlobalLimitNewSeriesAreRefusedUntilOldOnesAreGone(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := open(t, Options{Registerer: reg, Limits: Limits{Series: 20}})
	put(t, s, noon, 1, names("b", 20)...)
	put(t, s, noon.Add(time.Second), 1, append(names("a", 3), names("b", 20)...)...)
	count := func(sel string, at time.Time) int {
		r, err := s.Query(t.Context(), rules.PromQL{Expr: "count(" + sel + ")"}, at)
		if errors.Is(err, rules.ErrNoData) {
			return 0
		}
		if err != nil {
			t.Fatal(err)
		}
		return int(r.Points[0].Value)
	}
	if a, b := count(as, noon.Add(time.Second)), count(bs, noon.Add(time.Second)); a != 0 || b != 20 {
		t.Errorf("%d new and %d old series, want 0 and 20", a, b)
	}
	put(t, s, noon.Add(time.Second), 1, "up")
	if count("up", noon.Add(time.Second)) != 1 {
		t.Error("up was refused: what is not known to be up cannot be judged")
	}
	if got := gathered(t, reg, "flyball_store_series_refused_total")["limit=global"]; got != 3 {
		t.Errorf("refused %v, want 3", got)
	}
	later := noon.Add(5 * time.Hour)
	put(t, s, later, 1, `b000`)
	if err := s.db.Head().Truncate(later.UnixMilli()); err != nil {
		t.Fatal(err)
	}
	put(t, s, later, 1, names("a", 3)...)
	if a := count(as, later); a != 3 {
		t.Errorf("%d of 3 new series found the place of those that are gone", a)
	}
}

func TestOverTheGlobalLimitSeriesWrittenInAndRecordedAreRefusedAlone(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := open(t, Options{Registerer: reg, Limits: Limits{Series: 2}})
	receive(t, s, noon, 1, "a", "b", "c", "d")
	app := s.Recorded().Appender(t.Context())
	for _, name := range []string{"r", "s", "t"} {
		if _, err := app.Append(0, metric(t, s, name), noon.UnixMilli(), 1); err != nil {
			t.Error(err)
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := s.Accept(map[string][]string{"": {`{__name__=~".+"}`}}); err != nil {
		t.Fatal(err)
	}
	wantPoints(t, s, "", `count({__name__=~"[abcd]"})`, noon, "=2")
	wantPoints(t, s, "", `count({__name__=~"[rst]"})`, noon, "=2")
	if got := gathered(t, reg, "flyball_store_series_refused_total")["limit=global"]; got != 3 {
		t.Errorf("refused %v, want 3", got)
	}
}

func TestACommitOfAPoolsSeriesIsSignalledOnce(t *testing.T) {
	s := open(t, Options{})
	signalled := func() bool {
		select {
		case <-s.Committed():
			return true
		default:
			return false
		}
	}
	other := newLoop(t, s, "j", "instance", "i")
	other.scrape(t, "x")
	if signalled() {
		t.Error("signalled for series of no pool")
	}
	member := newLoop(t, s, "web", "instance", "i", "pool", "web", "member", "web-1")
	for range 3 {
		member.scrape(t, "x")
	}
	if !signalled() || signalled() {
		t.Error("three commits are to be one signal")
	}
	member.scrape(t, "x") // all references are known by now
	if !signalled() {
		t.Error("no signal for series known before")
	}
	put(t, s, noon.Add(time.Minute), 1, `r{pool="web"}`)
	if !signalled() {
		t.Error("no signal for a recorded series of a pool")
	}
	receive(t, s, noon, 1, `x{pool="web"}`)
	if signalled() {
		t.Error("signalled for series from outside that drive no pool")
	}
	if err := s.Accept(map[string][]string{"web": {"x"}}); err != nil {
		t.Fatal(err)
	}
	receive(t, s, noon.Add(time.Second), 1, `x{pool="web"}`)
	if !signalled() {
		t.Error("no signal for series from outside that may drive a pool")
	}
}
