package journal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"flyball/rules"
)

var epoch = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

func open(t testing.TB, dir string, o Options) *Journal {
	t.Helper()
	j, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// keep is a tick of a pool that is kept at a size.
func keep(pool string, at time.Time, size int) Tick {
	value := 0.5
	return Tick{
		Pool: pool,
		In:   rules.Inputs{Members: []rules.Member{{ID: "a", Name: "a", State: rules.Ready, Since: epoch}}},
		Out: rules.Decision{
			ID: pool + "-" + at.UTC().Format("20060102T150405.000Z"), Pool: pool, Rule: "web.scale.yaml:2", At: at,
			Signals: []rules.Judged{{Name: "cpu", Value: &value, Wants: size, Reason: rules.InBand}},
			Verdict: rules.Keep, To: size, Reason: rules.InBand,
		},
		After: rules.Memory{Version: rules.MemoryVersion, Judged: at, Named: size},
	}
}

func grow(id, pool string, to int) Step {
	return Step{ID: id, Target: target(pool), Verb: Grow, To: to, Names: []string{pool + "-9"}, Reason: rules.BySignal}
}

func kindsOf(t *testing.T, j *Journal) []Kind {
	t.Helper()
	es, err := j.Entries(Filter{Oldest: true})
	ok(t, err)
	var ks []Kind
	for _, e := range es {
		ks = append(ks, e.Kind)
	}
	return ks
}

func TestATickComesBackExactly(t *testing.T) {
	j := open(t, t.TempDir(), Options{})
	in := keep("web", epoch, 3)
	in.In.Answers = []rules.Answer{{Reading: rules.Reading{
		Points: []rules.Point{
			{Member: "a", Value: math.NaN()},
			{Member: "b", Value: math.Inf(1)},
			{Member: "c", Value: math.Inf(-1)},
			{Member: "d", Value: 0.1 + 0.2},
			{Member: "e", Value: math.MaxFloat64},
			{Member: "f", Value: math.SmallestNonzeroFloat64},
		},
		Seen:   map[string]time.Time{"": epoch.Add(123456789), "a": epoch},
		Newest: epoch.Add(123456789),
	}}, {Err: "no data"}}
	in.Before = rules.Memory{Version: 1, Named: 2, Highs: []rules.Wish{{At: epoch, Size: 7}}}
	ok(t, j.Tick(epoch, []Tick{in}))

	got, found, err := j.LastTick("web")
	ok(t, err)
	want := in
	want.After = rules.Memory{}
	if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); !found || diff != "" {
		t.Errorf("last tick (-want +got):\n%s", diff)
	}
	m, found, err := j.Memory("web")
	ok(t, err)
	if diff := cmp.Diff(in.After, m); !found || diff != "" {
		t.Errorf("memory (-want +got):\n%s", diff)
	}
}

func TestTicksOfAPoolComeInOrderWithinTheirBounds(t *testing.T) {
	j := open(t, t.TempDir(), Options{})
	for i := range 300 {
		at := epoch.Add(time.Duration(i) * time.Second)
		ok(t, j.Tick(at, []Tick{keep("web", at, i), keep("api", at, 1)}))
	}
	var got []int
	for tick, err := range j.Ticks("web", epoch.Add(10*time.Second), epoch.Add(290*time.Second)) {
		ok(t, err)
		got = append(got, tick.Out.To)
	}
	if len(got) != 280 || got[0] != 10 || got[279] != 289 || !slices.IsSorted(got) {
		t.Errorf("got %d ticks: %v", len(got), got)
	}
	n := 0
	for range j.Ticks("web", time.Time{}, time.Unix(1<<40, 0)) {
		n++
	}
	if n != 300 {
		t.Errorf("all of time has %d ticks, want 300", n)
	}
}

func TestADecisionEntryIsWrittenWhenItsSubstanceChanges(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{})
	ok(t, j.Tick(epoch, []Tick{keep("web", epoch, 3), keep("web", epoch.Add(1), 3), keep("web", epoch.Add(2), 4)}))
	ok(t, j.Tick(epoch, []Tick{keep("web", epoch.Add(3), 4)}))
	if got := kindsOf(t, j); len(got) != 2 {
		t.Errorf("entries %v, want two decisions", got)
	}
	ok(t, j.Close())
	j = open(t, dir, Options{})
	ok(t, j.Tick(epoch, []Tick{keep("web", epoch.Add(4), 4)}))
	if got := kindsOf(t, j); len(got) != 2 {
		t.Errorf("entries after a restart %v, want two decisions", got)
	}
}

func TestSameLooksAtSubstanceOnly(t *testing.T) {
	base := func() rules.Decision {
		d := keep("web", epoch, 3).Out
		d.Limits = []rules.Applied{{Name: rules.AtMax, From: 9, To: 3}}
		d.Holds = []rules.JudgedHold{{Name: "db"}}
		return d
	}
	other := 0.7
	for name, c := range map[string]struct {
		change func(d *rules.Decision)
		same   bool
	}{
		"time and id": {func(d *rules.Decision) { d.At, d.ID = epoch.Add(1), "x" }, true},
		"value": {func(d *rules.Decision) {
			d.Signals[0].Value, d.Signals[0].Age, d.Signals[0].Because = &other, "9s", "?"
		}, true},
		"members":            {func(d *rules.Decision) { d.Members.Ready = 9 }, true},
		"limit's from":       {func(d *rules.Decision) { d.Limits[0].From = 8 }, true},
		"hold's words":       {func(d *rules.Decision) { d.Holds[0].Because = "?" }, true},
		"verdict":            {func(d *rules.Decision) { d.Verdict = rules.ScaleIn }, false},
		"to":                 {func(d *rules.Decision) { d.To = 4 }, false},
		"reason":             {func(d *rules.Decision) { d.Reason = rules.Idle }, false},
		"refused":            {func(d *rules.Decision) { d.Refused = rules.Paused }, false},
		"deciding signal":    {func(d *rules.Decision) { d.Signal = "cpu" }, false},
		"a signal's wish":    {func(d *rules.Decision) { d.Signals[0].Wants = 4 }, false},
		"a signal's reason":  {func(d *rules.Decision) { d.Signals[0].Reason = rules.StaleData }, false},
		"a limit's name":     {func(d *rules.Decision) { d.Limits[0].Name = rules.Quota }, false},
		"no limit":           {func(d *rules.Decision) { d.Limits = nil }, false},
		"what a hold forbid": {func(d *rules.Decision) { d.Holds[0].Forbids = rules.DirOut }, false},
		"victims":            {func(d *rules.Decision) { d.Victims = []rules.MemberID{"a"} }, false},
	} {
		d := base()
		c.change(&d)
		if got := Same(base(), d); got != c.same {
			t.Errorf("%s: Same = %v, want %v", name, got, c.same)
		}
	}
}

func TestATargetHasOneOpenStep(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{})
	tick := keep("web", epoch, 4)
	seq, err := j.Begin(grow("s1", "web", 4), &tick)
	ok(t, err)
	if _, err := j.Begin(grow("s2", "web", 5), nil); !errors.Is(err, ErrOpen) {
		t.Errorf("second step: %v, want ErrOpen", err)
	}
	_, err = j.Begin(grow("s3", "api", 5), nil)
	ok(t, err)
	ok(t, j.Close())

	j = open(t, dir, Options{})
	if _, err := j.Begin(grow("s4", "web", 5), nil); !errors.Is(err, ErrOpen) {
		t.Errorf("second step after a restart: %v, want ErrOpen", err)
	}
	pending, err := j.Pending()
	ok(t, err)
	if len(pending) != 2 || pending[0].ID != "s1" || pending[1].ID != "s3" {
		t.Errorf("pending %v, want s1 and s3", pending)
	}
	ok(t, j.End(seq, Outcome{OK: true, Resumed: true}))
	if err := j.End(seq, Outcome{}); !errors.Is(err, ErrEnded) {
		t.Errorf("second end: %v, want ErrEnded", err)
	}
	if err := j.End(999, Outcome{}); err == nil || errors.Is(err, ErrEnded) {
		t.Errorf("end of nothing: %v", err)
	}
	_, err = j.Begin(grow("s5", "web", 5), nil)
	ok(t, err)
	steps, err := j.Steps("pool/web", 10)
	ok(t, err)
	if len(steps) != 2 || steps[0].Step.ID != "s5" || steps[0].Outcome != nil || !steps[1].Outcome.Resumed {
		t.Errorf("steps %+v", steps)
	}
	want := []Kind{Decision, Begun, Begun, Ended, Begun}
	if diff := cmp.Diff(want, kindsOf(t, j)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestAStepThatCannotBeNamedIsRefused(t *testing.T) {
	j := open(t, t.TempDir(), Options{})
	for _, s := range []Step{{ID: "A", Target: "t", Verb: Grow}, {Target: "t", Verb: Grow}, {ID: "a", Verb: Grow}, {ID: "a", Target: "t"}} {
		if _, err := j.Begin(s, nil); err == nil {
			t.Errorf("step %+v was taken", s)
		}
	}
}

func TestAStepIsCommittedWithFsync(t *testing.T) {
	j := open(t, t.TempDir(), Options{})
	var sure, fast int
	ok(t, j.sure.QueryRow(`PRAGMA synchronous`).Scan(&sure))
	ok(t, j.fast.QueryRow(`PRAGMA synchronous`).Scan(&fast))
	if sure != 2 || fast != 1 {
		t.Errorf("synchronous is %d for steps and %d for ticks, want 2 (FULL) and 1 (NORMAL)", sure, fast)
	}
}

func TestAMemoryOfAnotherVersionIsNotFound(t *testing.T) {
	j := open(t, t.TempDir(), Options{})
	tick := keep("web", epoch, 3)
	tick.After.Version++
	ok(t, j.Tick(epoch, []Tick{tick}))
	if _, found, err := j.Memory("web"); found || err != nil {
		t.Errorf("memory of another version: %v, %v", found, err)
	}
	if _, found, err := j.Memory("api"); found || err != nil {
		t.Errorf("memory of an unknown pool: %v, %v", found, err)
	}
}

func TestPruningIsBoundedAndSparesOpenSteps(t *testing.T) {
	reg := prometheus.NewRegistry()
	j := open(t, t.TempDir(), Options{Keep: time.Hour, KeepActs: time.Hour, Metrics: reg, Now: func() time.Time { return epoch }})
	var old []Tick
	for i := range 100 {
		old = append(old, keep("web", epoch.Add(time.Duration(i)), 3))
	}
	seq, err := j.Begin(grow("s1", "web", 4), nil)
	ok(t, err)
	ok(t, j.Tick(epoch, old))
	later := epoch.Add(2 * time.Hour)
	count := func() (n int) {
		ok(t, j.read.QueryRow(`SELECT count(*) FROM ticks`).Scan(&n))
		return n
	}
	ok(t, j.Tick(later, []Tick{keep("web", later, 4)}))
	if n := count(); n != 91 {
		t.Errorf("%d ticks after one call, want 91: 100 + 1 - 10", n)
	}
	for i := range 20 {
		ok(t, j.Tick(later, []Tick{keep("web", later.Add(time.Duration(i)), 4)}))
	}
	if n := count(); n != 21 {
		t.Errorf("%d ticks after more calls, want the 21 young ones", n)
	}
	if diff := cmp.Diff([]Kind{Begun, Decision}, kindsOf(t, j)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	ok(t, j.End(seq, Outcome{OK: true}))
	if n := testutil.ToFloat64(j.metrics.pruned.WithLabelValues("ticks")); n != 100 {
		t.Errorf("counted %v pruned ticks, want 100", n)
	}
}

func TestEntriesAreSelected(t *testing.T) {
	j := open(t, t.TempDir(), Options{})
	for i := range 10 {
		kind := []Kind{Load, Life}[i%2]
		ok(t, j.Note(kind, fmt.Sprintf("pool/%d", i%3), epoch.Add(time.Duration(i)*time.Minute), map[string]int{"i": i}))
	}
	for name, c := range map[string]struct {
		f    Filter
		want []Seq
	}{
		"newest first":    {Filter{Limit: 3}, []Seq{10, 9, 8}},
		"oldest first":    {Filter{Limit: 3, Oldest: true}, []Seq{1, 2, 3}},
		"since and until": {Filter{Since: epoch.Add(2 * time.Minute), Until: epoch.Add(4 * time.Minute)}, []Seq{4, 3}},
		"after":           {Filter{After: 8, Oldest: true}, []Seq{9, 10}},
		"before":          {Filter{Before: 3}, []Seq{2, 1}},
		"kinds":           {Filter{Kinds: []Kind{Life, Order}, Limit: 2}, []Seq{10, 8}},
		"target":          {Filter{Target: "pool/0"}, []Seq{10, 7, 4, 1}},
		"kind and target": {Filter{Target: "pool/0", Kinds: []Kind{Load}}, []Seq{7, 1}},
		"nothing":         {Filter{Target: "pool/9"}, nil},
	} {
		es, err := j.Entries(c.f)
		ok(t, err)
		var got []Seq
		for _, e := range es {
			got = append(got, e.Seq)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if err := j.Note(Begun, "", epoch, nil); err == nil {
		t.Error("a note of the journal's own kind was taken")
	}
}

func TestAFollowerGetsEveryEntryOnceAndWakes(t *testing.T) {
	j := open(t, t.TempDir(), Options{})
	for range 600 {
		ok(t, j.Note(Load, "", epoch, nil))
	}
	got, done := make(chan Seq), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for e, err := range j.Follow(ctx, 100) {
			if err != nil {
				done <- err
				return
			}
			got <- e.Seq
		}
		done <- nil
	}()
	for want := Seq(101); want <= 600; want++ {
		if seq := <-got; seq != want {
			t.Fatalf("got %d, want %d", seq, want)
		}
	}
	for want := Seq(601); want <= 610; want++ {
		ok(t, j.Note(Life, "", epoch, nil))
		if seq := <-got; seq != want {
			t.Fatalf("got %d, want %d", seq, want)
		}
	}
	cancel()
	ok(t, <-done)
}

func TestClosingEndsFollowersAndRefusesWrites(t *testing.T) {
	j := open(t, t.TempDir(), Options{})
	done := make(chan error, 1)
	go func() {
		for _, err := range j.Follow(context.Background(), 0) {
			done <- err
			return
		}
		done <- nil
	}()
	ok(t, j.Close())
	ok(t, <-done)
	if err := j.Note(Life, "", epoch, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("note after close: %v", err)
	}
}

func TestCursorsAndOrdersSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{})
	if seq, err := j.Cursor("alerting"); seq != 0 || err != nil {
		t.Errorf("first cursor %d, %v", seq, err)
	}
	ok(t, j.SetCursor("alerting", 7))
	ok(t, j.SetCursor("alerting", 8))
	floor := &rules.Order{By: "alice", Why: "sale", Until: epoch.Add(2 * time.Hour), Size: 5}
	pause := &rules.Order{By: "bob"}
	ok(t, j.SetOrder("pool/web", FloorOrder, floor, epoch))
	ok(t, j.SetOrder("pool/web", PauseOrder, pause, epoch))
	roll := &rules.Order{By: "alice", Why: "image", At: epoch}
	ok(t, j.SetOrder("pool/web", RollOrder, roll, epoch))
	ok(t, j.SetOrder(All, PauseOrder, pause, epoch))
	ok(t, j.SetOrder("pool/api", PauseOrder, pause, epoch))
	ok(t, j.SetOrder("pool/api", PauseOrder, nil, epoch))
	ok(t, j.SetOrder(All, PauseOrder, &rules.Order{By: "carol", Until: epoch}, epoch))
	if err := j.SetOrder(All, "size", pause, epoch); err == nil {
		t.Error("an order of no known kind was taken")
	}
	ok(t, j.Close())

	j = open(t, dir, Options{})
	if seq, err := j.Cursor("alerting"); seq != 8 || err != nil {
		t.Errorf("cursor %d, %v, want 8", seq, err)
	}
	got, err := j.Orders()
	ok(t, err)
	if diff := cmp.Diff(map[string]Standing{"pool/web": {Pause: pause, Floor: floor, Roll: roll}}, got); diff != "" {
		t.Errorf("orders (-want +got):\n%s", diff)
	}
	es, err := j.Entries(Filter{Kinds: []Kind{Order}})
	ok(t, err)
	if want := `{"kind":"pause","order":{"by":"carol","until":"2026-11-20T10:00:00Z"},"lifted":true}`; len(es) != 7 || string(es[0].Body) != want {
		t.Errorf("%d order entries, last %s, want 7 and %s", len(es), es[0].Body, want)
	}
}

func TestMetricsExistFromTheStart(t *testing.T) {
	reg := prometheus.NewRegistry()
	open(t, t.TempDir(), Options{Metrics: reg})
	n, err := testutil.GatherAndCount(reg, "flyball_journal_entries_total", "flyball_journal_errors_total", "flyball_journal_write_duration_seconds", "flyball_journal_size_bytes")
	if err != nil || n != 8+7+7+1 {
		t.Errorf("%d series, %v", n, err)
	}
}

func TestFilesThatCannotBeAJournalAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		make func(t *testing.T, dir string)
		want string
	}{
		"newer version": {func(t *testing.T, dir string) {
			j := open(t, dir, Options{})
			_, err := j.fast.Exec(`PRAGMA user_version = 99`)
			ok(t, err)
			ok(t, j.Close())
		}, "version 99"},
		"somebody's database": {func(t *testing.T, dir string) {
			db, err := connect(filepath.Join(dir, "journal.db"), "NORMAL", 1)
			ok(t, err)
			_, err = db.Exec(`CREATE TABLE t (x)`)
			ok(t, errors.Join(err, db.Close()))
		}, "no journal of flyball's"},
		"no database": {func(t *testing.T, dir string) {
			ok(t, os.WriteFile(filepath.Join(dir, "journal.db"), []byte(strings.Repeat("not a database ", 99)), 0o600))
		}, "move it away"},
		"damaged": {func(t *testing.T, dir string) {
			j := open(t, dir, Options{})
			for range 200 {
				ok(t, j.Note(Load, "", epoch, strings.Repeat("x", 500)))
			}
			ok(t, j.Close())
			f, err := os.OpenFile(filepath.Join(dir, "journal.db"), os.O_RDWR, 0)
			ok(t, err)
			fi, err := f.Stat()
			ok(t, err)
			_, err = f.WriteAt([]byte(strings.Repeat("\xff", 20_000)), fi.Size()-20_480)
			ok(t, errors.Join(err, f.Close()))
		}, "damaged in table entries"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c.make(t, dir)
			j, err := Open(dir, Options{})
			if err == nil {
				ok(t, j.Close())
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestAJournalThatCannotBeWrittenSaysSoAndRecovers(t *testing.T) {
	reg := prometheus.NewRegistry()
	j := open(t, t.TempDir(), Options{Metrics: reg})
	full := func(pages int) {
		t.Helper()
		ok(t, j.sure.QueryRow(fmt.Sprintf(`PRAGMA max_page_count = %d`, pages)).Scan(new(int)))
		ok(t, j.fast.QueryRow(fmt.Sprintf(`PRAGMA max_page_count = %d`, pages)).Scan(new(int)))
	}
	big := grow("s1", "web", 4)
	for i := range 9000 {
		big.Names = append(big.Names, fmt.Sprint("a-rather-long-name-", i))
	}
	tick := keep("web", epoch, 4)
	full(1)
	if _, err := j.Begin(big, &tick); err == nil || !strings.Contains(err.Error(), "full") {
		t.Fatalf("begin on a full disk: %v", err)
	}
	if _, found, err := j.Memory("web"); found || err != nil {
		t.Errorf("a failed begin left a memory: %v, %v", found, err)
	}
	if p, err := j.Pending(); len(p) > 0 || err != nil {
		t.Errorf("a failed begin left a step: %v, %v", p, err)
	}
	if err := j.Note(Load, "", epoch, big); err == nil {
		t.Error("note on a full disk: no error")
	}
	if n := testutil.ToFloat64(j.metrics.failing); n != 1 {
		t.Errorf("failing = %v, want 1", n)
	}
	full(1 << 20)
	_, err := j.Begin(big, &tick)
	ok(t, err)
	if diff := cmp.Diff([]Kind{Decision, Begun}, kindsOf(t, j)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if n := testutil.ToFloat64(j.metrics.failing); n != 0 {
		t.Errorf("failing = %v, want 0", n)
	}
}

func TestAJournalWhoseFileIsGoneStopsUntilItIsBack(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{})
	for _, name := range []string{"journal.db", "journal.db-wal"} {
		path := filepath.Join(dir, name)
		ok(t, os.Rename(path, path+".away"))
		if _, err := j.Begin(grow("s1", "web", 4), nil); !errors.Is(err, ErrMoved) {
			t.Errorf("begin without %s: %v, want ErrMoved", name, err)
		}
		if err := j.Tick(epoch, nil); !errors.Is(err, ErrMoved) {
			t.Errorf("tick without %s: %v, want ErrMoved", name, err)
		}
		ok(t, os.Rename(path+".away", path))
		ok(t, j.Tick(epoch, nil))
	}
}

func TestATickThatJSONCannotTakeIsAnError(t *testing.T) {
	j := open(t, t.TempDir(), Options{})
	tick, nan := keep("web", epoch, 3), math.NaN()
	tick.Out.Signals[0].Value = &nan
	if err := j.Tick(epoch, []Tick{tick}); err == nil || !strings.Contains(err.Error(), "pool web") {
		t.Errorf("got %v", err)
	}
}
