package samples

import (
	"context"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"flyball/collector/elastic/ecs"
)

var (
	testAgent = ecs.Agent{ID: "a-1", Host: "here", Version: "1", Site: "ams3"}
	stale1    = math.Float64frombits(value.StaleNaN)
)

// A world is a store, an Elasticsearch and a journal.
type world struct {
	t     *testing.T
	store *testStore
	es    *fake
	state *memory
	told  []Trouble
	conf  Config
}

// inWorld runs a test in a world in which time passes only while everybody waits.
func inWorld(t *testing.T, test func(*world)) {
	synctest.Test(t, func(t *testing.T) {
		test(&world{t: t, store: newStore(t), es: newFake(t), state: newMemory()})
	})
}

// ship makes the next shipper.
func (w *world) ship() *Shipper {
	w.t.Helper()
	s, err := New(Options{
		Source: w.store, State: w.state, Deliver: w.es, Config: w.conf, Namespace: "default", Agent: testAgent,
		Trouble: func(x Trouble) { w.told = append(w.told, x) },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// run runs a shipper for some time, and returns when it has stopped.
func (w *world) run(s *Shipper, d time.Duration) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), d)
	defer cancel()
	if err := s.Run(ctx); err != nil {
		w.t.Fatal(err)
	}
}

// named makes labels of a name and pairs.
func named(name string, pairs ...string) labels.Labels {
	return labels.FromStrings(append([]string{model.MetricNameLabel, name}, pairs...)...)
}

func TestSamplesThatShareLabelsAndTimeAreOneDocument(t *testing.T) {
	inWorld(t, func(w *world) {
		s, at := w.ship(), time.Now()
		w.store.scrape(
			point{series: named("up", "job", "node", "instance", "10.0.0.4:9100"), at: at, value: 1},
			point{series: named("load", "job", "node", "instance", "10.0.0.4:9100"), at: at, value: -0.25},
			point{series: named("up", "job", "other"), at: at, value: 0},
		)
		w.run(s, time.Minute)
		if len(w.es.docs) != 2 {
			t.Errorf("%d documents: %v", len(w.es.docs), w.es.docs)
		}
		same(t, w.store.samples(), w.es.samples())
		for _, d := range w.es.docs {
			if d.Prometheus.Labels["job"] == "node" && (d.Host != "10.0.0.4" || d.Agent != "a-1" || !d.At.Equal(at.Truncate(time.Millisecond))) {
				t.Errorf("%+v", d)
			}
		}
		if st := s.Status(); st.Samples != 3 || st.Documents != 2 || st.Lag > 60 || w.es.asked != 0 {
			t.Errorf("%+v, %d lookups", st, w.es.asked)
		}
	})
}

func TestALateNameForLabelsAndATimeThatWereSentIsSentAlone(t *testing.T) {
	inWorld(t, func(w *world) {
		s, at := w.ship(), time.Now()
		w.store.receive(point{series: named("a", "job", "x"), at: at, value: 1}, point{series: named("b", "job", "x"), at: at, value: 2})
		w.run(s, time.Minute)
		w.store.receive(point{series: named("c", "job", "x"), at: at, value: 3}, point{series: named("c", "job", "y"), at: at, value: 4})
		w.run(w.ship(), time.Minute)
		if len(w.es.docs) != 3 {
			t.Errorf("%d documents: %v", len(w.es.docs), w.es.docs)
		}
		same(t, w.store.samples(), w.es.samples())
	})
}

func TestOutcomesOfWhatCannotBeSentAsItIs(t *testing.T) {
	inWorld(t, func(w *world) {
		s, at := w.ship(), time.Now()
		long := strings.Repeat("x", mostLabel+1)
		w.store.scrape(
			point{series: named("nan"), at: at, value: math.NaN()},
			point{series: named("inf"), at: at, value: math.Inf(-1)},
			point{series: named("gone"), at: at, value: stale1},
			point{series: named("zero"), at: at, value: math.Copysign(0, -1)},
			point{series: named("tiny"), at: at, value: 5e-324},
			point{series: named("huge"), at: at, value: -math.MaxFloat64},
			point{series: named("odd"), at: at, value: 1<<53 + 2},
			point{series: named("a.b"), at: at, value: 1},
			point{series: named("größe", "kind", "\"ü\"\n"), at: at, value: 1},
			point{series: named("long", "path", long), at: at, value: 1},
			point{series: named("long", "path", long[1:]), at: at, value: 1},
		)
		w.run(s, time.Minute)
		want := w.store.samples()
		delete(want, seriesKey("long", map[string]string{"path": long}))
		same(t, want, w.es.samples())
		st := s.Status()
		if st.Skipped[nan] != 1 || st.Skipped[infinite] != 1 || st.Skipped[stale] != 1 || st.Buried != 1 || len(w.es.buried) != 1 || w.es.why[0].Type != tooLong {
			t.Errorf("%+v, buried %d", st, len(w.es.buried))
		}
	})
}
