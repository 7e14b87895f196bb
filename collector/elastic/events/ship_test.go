package events

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"flyball/collector/elastic/cluster"
	"flyball/scaler/journal"
)

// TestEachEntryIsThereOnceWhateverCrashes plays lives of the process that end in
// the middle, answers that are lost, and rollovers between any two requests. A life
// that ended may also have lost its last cursors.
func TestEachEntryIsThereOnceWhateverCrashes(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			dice := rand.New(rand.NewPCG(seed, 5))
			j, st := open(t, journal.Options{}), newStream()
			kept := []journal.Seq{0}
			for range 12 {
				st.set(func() { st.dice = rand.New(rand.NewPCG(seed, dice.Uint64())) })
				live(t, j, st, dice)
				at, err := j.Cursor(who)
				ok(t, err)
				kept = append(kept, at)
				if dice.IntN(3) == 0 {
					ok(t, j.SetCursor(who, kept[max(0, len(kept)-1-dice.IntN(3))]))
				}
			}
			st.set(func() { st.dice, st.crash = nil, nil })
			s := hasty(j, st)
			defer run(t, s)()
			eventually(t, "all is sent", shipped(s))
			onceEach(t, j, st.times())
		})
	}
}

// live runs a shipper while entries are written, and ends it in the middle.
func live(t *testing.T, j *journal.Journal, st *stream, dice *rand.Rand) {
	ctx, crash := context.WithCancel(t.Context())
	defer crash()
	st.set(func() { st.crash, st.left = crash, 1+dice.IntN(12) })
	done := make(chan error, 1)
	go func() { done <- hasty(j, st).Run(ctx) }()
	for i := range 1 + dice.IntN(120) {
		ok(t, j.Note(journal.Load, "", epoch.Add(time.Duration(i)), map[string]int{"i": i}))
	}
	for ended := false; !ended; { // a life without entries to send does not get to its crash
		select {
		case err := <-done:
			ok(t, err)
			ended = true
		case <-time.After(time.Millisecond):
			ok(t, j.Note(journal.Life, "", epoch, map[string]string{"act": "start"}))
		}
	}
}

func TestWhatMayHaveBeenSentIsLookedUpAndNothingElse(t *testing.T) {
	j, st := open(t, journal.Options{}), newStream()
	for range 120 {
		ok(t, j.Note(journal.Load, "", epoch, nil))
	}
	s := hasty(j, st)
	defer run(t, s)()
	eventually(t, "all is sent", shipped(s))
	searches := st.asked()
	if searches == 0 {
		t.Error("what was in the journal at the start was not looked up")
	}
	for range 120 {
		ok(t, j.Note(journal.Load, "", epoch, nil))
	}
	eventually(t, "all is sent", shipped(s))
	st.set(func() {
		if st.searches != searches {
			t.Errorf("%d searches for new entries", st.searches-searches)
		}
		st.away = cluster.ErrUnanswered
	})
	ok(t, j.Note(journal.Load, "", epoch, nil))
	eventually(t, "the failure is told", func() bool { return s.Status().Error != "" })
	if st := s.Status(); st.Behind != 1 || !strings.Contains(st.Error, "not answered") || st.Since.IsZero() {
		t.Errorf("status %+v", st)
	}
	st.set(func() { st.away = nil })
	eventually(t, "all is sent", shipped(s))
	if got := s.Status(); st.asked() != searches+1 || got.Error != "" || got.Sent != 241 {
		t.Errorf("%d searches, status %+v", st.asked()-searches, got)
	}
	onceEach(t, j, st.times())
}

func TestALookUpThatIsNotWholeSendsNothing(t *testing.T) {
	for name, answer := range map[string]string{
		"shards failed": `{"_shards":{"failed":1}}`,
		"timed out":     `{"_shards":{"failed":0},"timed_out":true}`,
		"no shards":     `{"acknowledged":true}`,
		"no JSON":       `<html>`,
	} {
		t.Run(name, func(t *testing.T) {
			j, st := open(t, journal.Options{}), newStream()
			st.answer = answer
			ok(t, j.Note(journal.Load, "", epoch, nil))
			s := hasty(j, st)
			defer run(t, s)()
			eventually(t, "the failure is told", func() bool { return strings.Contains(s.Status().Error, "look up") })
			st.set(func() { st.answer = "" })
			eventually(t, "all is sent", shipped(s))
			st.set(func() {
				if st.deliveries != 1 {
					t.Errorf("%d deliveries", st.deliveries)
				}
			})
		})
	}
}

func TestWhatIsRefusedIsBuriedAndToldOnceAndTheRestGoesOn(t *testing.T) {
	j, st := open(t, journal.Options{}), newStream()
	reg := prometheus.NewRegistry()
	st.refuse = func(d cluster.Document) bool { return !strings.Contains(d.Stream, "config") }
	s := hasty(j, st)
	s.o.Metrics = NewMetrics(reg)
	defer run(t, s)()
	for i := range 20 {
		ok(t, j.Note(journal.Load, "", epoch, nil))
		ok(t, j.Note("later", "", epoch, nil))
		eventually(t, "all is sent", func() bool { return s.Status().Cursor >= journal.Seq(2*i+2) })
	}
	eventually(t, "all is sent", shipped(s))
	es, err := j.Entries(journal.Filter{Kinds: []journal.Kind{journal.Ship}})
	ok(t, err)
	if len(es) != 1 || !strings.Contains(string(es[0].Body), "document_parsing_exception") {
		t.Errorf("%d entries of refusals: %v", len(es), es)
	}
	if buried := st.dead(); len(st.times()) != 20 || buried != 21 || s.Status().Refused != 21 {
		t.Errorf("%d there, %d buried, status %+v", len(st.times()), buried, s.Status())
	}
	if n := testutil.ToFloat64(s.o.Metrics.events.WithLabelValues("refused")); n != 21 {
		t.Errorf("counted %v", n)
	}
}

func TestADocumentThatTheServerBreaksOnIsGivenUpAlone(t *testing.T) {
	j, st := open(t, journal.Options{}), newStream()
	st.breaks = func(d cluster.Document) bool { return strings.Contains(d.Stream, "event") }
	for range 5 {
		ok(t, j.Note(journal.Load, "", epoch, nil))
	}
	ok(t, j.Note("later", "", epoch, nil))
	ok(t, j.Note(journal.Load, "", epoch, nil))
	s := hasty(j, st)
	defer run(t, s)()
	eventually(t, "all is sent", shipped(s))
	eventually(t, "what was given up is told", func() bool { return len(st.times()) == 7 })
	if st.dead() != 1 || s.Status().Refused != 1 {
		t.Errorf("%d buried, status %+v", st.dead(), s.Status())
	}
}

func TestEntriesThatAgedOutBeforeTheyWereSentAreTold(t *testing.T) {
	j, st := open(t, journal.Options{KeepActs: time.Hour}), newStream()
	note := func(at time.Time) { ok(t, j.Note(journal.Load, "", at, nil)) }
	for range 6 {
		note(epoch)
	}
	later := epoch.Add(2 * time.Hour)
	ok(t, j.SetCursor(who, 1))
	ok(t, j.Tick(later, nil)) // which prunes
	note(later)
	s := hasty(j, st)
	stop := run(t, s)
	eventually(t, "all is sent", shipped(s))
	stop()
	es, err := j.Entries(journal.Filter{Kinds: []journal.Kind{journal.Ship}})
	ok(t, err)
	if len(es) != 1 || !strings.Contains(string(es[0].Body), `"count":5`) || s.Status().Lost != 5 {
		t.Errorf("%v, status %+v", es, s.Status())
	}
	s = hasty(j, st)
	defer run(t, s)()
	note(later)
	eventually(t, "all is sent", shipped(s))
	if s.Status().Lost != 0 {
		t.Errorf("told again: %+v", s.Status())
	}
	onceEach(t, j, st.times())
}

func TestEntriesFromBeforeTheFirstStartThatAgedOutAreNotLost(t *testing.T) {
	j, st := open(t, journal.Options{KeepActs: time.Hour}), newStream()
	for range 6 {
		ok(t, j.Note(journal.Load, "", epoch, nil))
	}
	ok(t, j.Tick(epoch.Add(2*time.Hour), nil))
	ok(t, j.Note(journal.Load, "", epoch.Add(2*time.Hour), nil))
	s := hasty(j, st)
	defer run(t, s)()
	eventually(t, "all is sent", shipped(s))
	if got := s.Status(); got.Lost != 0 || got.Sent != 1 {
		t.Errorf("status %+v", got)
	}
}

func TestACursorThatCannotBeKeptStopsNothing(t *testing.T) {
	dir := t.TempDir()
	j, err := journal.Open(dir, journal.Options{})
	ok(t, err)
	t.Cleanup(func() { ok(t, j.Close()) })
	for range 2 {
		ok(t, j.Note(journal.Load, "", epoch, nil))
	}
	es, err := j.Entries(journal.Filter{Oldest: true})
	ok(t, err)
	s := hasty(j, newStream())
	ok(t, s.resume())
	path := filepath.Join(dir, "journal.db")
	ok(t, os.Rename(path, path+".away"))
	ok(t, s.ship(t.Context(), es[:1]))
	if got := s.Status(); got.Sent != 1 || got.Cursor != 1 || !strings.Contains(got.Error, "keep the place") {
		t.Errorf("status %+v", got)
	}
	ok(t, os.Rename(path+".away", path))
	ok(t, s.ship(t.Context(), es[1:]))
	if got := s.Status(); got.Sent != 2 || got.Error != "" {
		t.Errorf("status %+v", got)
	}
	if at, err := j.Cursor(who); at != 2 || err != nil {
		t.Errorf("cursor %d, %v", at, err)
	}
}

func TestClosingTheJournalEndsARun(t *testing.T) {
	j, err := journal.Open(t.TempDir(), journal.Options{})
	ok(t, err)
	done := make(chan error, 1)
	s := hasty(j, newStream())
	go func() { done <- s.Run(context.Background()) }()
	ok(t, j.Note(journal.Load, "", epoch, nil))
	eventually(t, "all is sent", shipped(s))
	ok(t, j.Close())
	ok(t, <-done)
}

func TestABatchIsSentWhenItIsFullOrHasWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{})
		entries := make(chan found)
		go func() {
			defer close(entries)
			for range 1020 {
				entries <- found{}
			}
			time.Sleep(time.Hour)
			for range 3 {
				time.Sleep(400 * time.Millisecond)
				entries <- found{}
			}
			entries <- found{entry: journal.Entry{Body: make([]byte, 5<<20)}}
			time.Sleep(time.Minute)
			entries <- found{}
			entries <- found{err: errors.New("unreadable")}
		}()
		var sizes []int
		var waits []time.Duration
		for {
			began := time.Now()
			batch, err := s.gather(t.Context(), entries)
			sizes, waits = append(sizes, len(batch)), append(waits, time.Since(began))
			if err != nil {
				break
			}
		}
		want := []time.Duration{0, 0, time.Second, time.Hour + 1200*time.Millisecond - time.Second, time.Minute}
		if !slices.Equal(sizes, []int{500, 500, 20, 4, 1}) || !slices.Equal(waits, want) {
			t.Errorf("batches of %d after %v", sizes, waits)
		}
	})
}

func TestLagIsTheAgeOfTheOldestEntryThatIsNotThere(t *testing.T) {
	j, st := open(t, journal.Options{}), newStream()
	reg := prometheus.NewRegistry()
	s := hasty(j, st)
	s.o.Metrics, s.o.Now = NewMetrics(reg), func() time.Time { return epoch.Add(time.Minute) }
	told := func(lag, behind float64) {
		t.Helper()
		want := fmt.Sprintf(`# HELP flyball_elastic_events_behind Entries of the journal that are not in Elasticsearch yet.
# TYPE flyball_elastic_events_behind gauge
flyball_elastic_events_behind %v
# HELP flyball_elastic_events_lag_seconds Age of the oldest entry of the journal that is not in Elasticsearch yet; 0 if all are.
# TYPE flyball_elastic_events_lag_seconds gauge
flyball_elastic_events_lag_seconds %v
`, behind, lag)
		ok(t, testutil.GatherAndCompare(reg, strings.NewReader(want), "flyball_elastic_events_lag_seconds", "flyball_elastic_events_behind"))
	}
	told(0, 0)
	st.away = errors.New("away")
	stop := run(t, s)
	ok(t, j.Note(journal.Load, "", epoch, nil))
	ok(t, j.Note(journal.Load, "", epoch.Add(30*time.Second), nil))
	eventually(t, "the failure is told", func() bool { return s.Status().Error != "" })
	told(60, 2)
	st.set(func() { st.away = nil })
	eventually(t, "all is sent", shipped(s))
	told(0, 0)
	stop()
	told(0, 0)
}
