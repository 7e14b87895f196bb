package elastic

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"flyball/collector/elastic/cluster"
	"flyball/collector/elastic/setup"
	"flyball/deploy/testservers"
)

func TestMain(m *testing.M) { os.Exit(testservers.Main(m)) }

// beside is a line to a real server on which the events' stream is somebody else's, and
// the request that makes it so, or undoes it.
func beside(t *testing.T, namespace string) (l *Line, do func(method string)) {
	t.Helper()
	c := Config{Config: cluster.Config{URLs: []string{testservers.SharedElasticsearch(t).URL()}}}
	c.Namespace, c.Retention = namespace, model.Duration(24*time.Hour)
	es, err := cluster.New(c.Config, cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(es.Close)
	do = func(method string) {
		t.Helper()
		if _, err := es.Do(t.Context(), method, "/logs-flyball.config-"+namespace, nil); err != nil {
			t.Fatal(err)
		}
	}
	return &Line{config: c, cluster: es, o: Options{Log: slog.New(slog.DiscardHandler)}, poked: make(chan struct{}, 1)}, do
}

// watched waits until other streams are blocked than before.
func watched(t *testing.T, l *Line, before setup.Report) setup.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	next, changed := l.watch(ctx, before)
	if !changed {
		t.Fatal("nothing has changed")
	}
	return next
}

func TestWhatWasLeftAloneIsLookedAtAgainAfterAWhileAndWhenPoked(t *testing.T) {
	for name, prompt := range map[string]func(l *Line){
		"after": func(l *Line) { l.look = 20 * time.Millisecond },
		"poked": func(l *Line) { l.look = time.Hour; l.poke(); l.poke() },
	} {
		t.Run(name, func(t *testing.T) {
			l, do := beside(t, "again"+name)
			prompt(l)
			do(http.MethodPut)
			report, ok := l.setUp(t.Context())
			if want := []string{"logs-flyball.*-again" + name}; !ok || !slices.Equal(report.Blocked, want) {
				t.Fatalf("blocked are %q, want %q", report.Blocked, want)
			}
			do(http.MethodDelete)
			if next := watched(t, l, report); len(next.Left()) != 0 || len(l.report.Blocked) != 0 || l.unready != "" {
				t.Errorf("%+v, status %+v %s", next, l.report, l.unready)
			}
		})
	}
}

func TestWhereNothingIsLeftAloneNothingIsAskedAgain(t *testing.T) {
	asked := make(chan string, 100)
	es := reached(t, func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.Path })
	l := &Line{cluster: es, o: Options{Log: slog.New(slog.DiscardHandler)}, poked: make(chan struct{}, 1), look: time.Millisecond}
	l.poke()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, changed := l.watch(ctx, setup.Report{}); changed || len(asked) > 0 {
		t.Errorf("changed %t, %d requests", changed, len(asked))
	}
}
