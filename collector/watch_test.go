package collector

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flyball/collector/exporter"
)

// A probe is a target that tells its age, and how it is handled.
type probe struct {
	*exporter.Exporter
	runs, closed int
	deadline     time.Duration // that the last scrape had
}

func newProbe() *probe {
	p := &probe{}
	age := exporter.Gauge("probe_age_seconds", "Age.")
	p.Exporter = exporter.New(exporter.Options{
		Kind: "probe", Timeout: time.Minute,
		Reach: func(ctx context.Context) error {
			if end, ok := ctx.Deadline(); ok {
				p.deadline = time.Until(end)
			}
			return nil
		},
		Parts: []exporter.Part{{Name: "age", Metrics: []exporter.Metric{age}, Read: func(_ context.Context, s *exporter.Sink) error {
			s.Give(age, 7)
			return nil
		}}},
	})
	return p
}

func (p *probe) Run(ctx context.Context) error {
	p.runs++
	<-ctx.Done()
	p.runs--
	return ctx.Err()
}

func (p *probe) Close() error {
	if p.runs > 0 {
		return errors.New("closed while it ran")
	}
	p.closed++
	return nil
}

func entryOf(name, config string, p *probe) entry {
	return entry{kind: "probe", name: name, config: config, make: func(*slog.Logger) (target, error) { return p, nil }}
}

func take(t *testing.T, w *watch, es ...entry) {
	t.Helper()
	next, err := w.prepare(es)
	if err != nil {
		t.Fatal(err)
	}
	w.take(next)
}

func TestAReloadTouchesOnlyTheTargetsThatChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(slog.New(slog.DiscardHandler))
		kept, changed, gone, again, added := newProbe(), newProbe(), newProbe(), newProbe(), newProbe()
		take(t, w, entryOf("kept", "a", kept), entryOf("changed", "a", changed), entryOf("gone", "a", gone))
		take(t, w, entryOf("kept", "a", newProbe()), entryOf("changed", "b", again), entryOf("added", "a", added))
		synctest.Wait()
		for _, c := range []struct {
			name         string
			p            *probe
			runs, closed int
		}{{"kept", kept, 1, 0}, {"changed, before", changed, 0, 1}, {"gone", gone, 0, 1}, {"changed, after", again, 1, 0}, {"added", added, 1, 0}} {
			if c.p.runs != c.runs || c.p.closed != c.closed {
				t.Errorf("%s: runs %d, closed %d, want %d and %d", c.name, c.p.runs, c.p.closed, c.runs, c.closed)
			}
		}
		if w.find("probe", "kept").target != kept || w.find("probe", "gone") != nil {
			t.Error("a target that is watched is not found, or one that is not is")
		}
		w.close()
		if kept.closed != 1 || added.closed != 1 || kept.runs != 0 {
			t.Error("something is left at the end")
		}
	})
}

func TestATargetThatCannotBeMadeLeavesAllAsItWas(t *testing.T) {
	w := newWatch(slog.New(slog.DiscardHandler))
	kept := newProbe()
	take(t, w, entryOf("kept", "a", kept))
	defer w.close()
	bad := entry{kind: "probe", name: "bad", make: func(*slog.Logger) (target, error) { return nil, errors.New("no") }}
	if _, err := w.prepare([]entry{bad}); err == nil || !strings.Contains(err.Error(), "probe bad") {
		t.Errorf("the error is %v", err)
	}
	if w.find("probe", "kept").target != kept || kept.closed > 0 {
		t.Error("the target that was there is gone")
	}
}

func TestATargetIsScrapedByNameAndWithinItsScrapersDeadline(t *testing.T) {
	p := newProbe()
	c := &Collector{watch: newWatch(slog.New(slog.DiscardHandler))}
	take(t, c.watch, entryOf("a", "", p))
	defer c.watch.close()
	for _, x := range []struct {
		path   string
		status int
		want   string
	}{
		{"/collect/probe?target=a", http.StatusOK, "probe_age_seconds 7"},
		{"/collect/probe?target=b", http.StatusNotFound, `no probe is called "b": ask with ?target= and one of a`},
		{"/collect/probe", http.StatusNotFound, "one of a"},
		{"/collect/other?target=a", http.StatusNotFound, `nothing of the kind "other" is watched`},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, x.path, nil)
		r.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "10")
		w := httptest.NewRecorder()
		c.Targets().ServeHTTP(w, r)
		if w.Code != x.status || !strings.Contains(w.Body.String(), x.want) {
			t.Errorf("%s: %d\n%s", x.path, w.Code, w.Body)
		}
	}
	if p.deadline <= 8*time.Second || p.deadline > 9*time.Second {
		t.Errorf("a scraper that waits 10 s left %s", p.deadline)
	}
}

func TestScrapesFromOutsideNeverCrowdOutOurOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbe()
		hang := make(chan struct{})
		p.Exporter = exporter.New(exporter.Options{Kind: "probe", Reach: func(context.Context) error { <-hang; return nil }})
		c := &Collector{watch: newWatch(slog.New(slog.DiscardHandler))}
		take(t, c.watch, entryOf("a", "", p))
		defer c.watch.close()
		ask := func(h http.Handler) int {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/collect/probe?target=a", nil))
			return w.Code
		}
		codes := make(chan int, 2)
		go func() { codes <- ask(c.Targets()) }()
		synctest.Wait()
		if got := ask(c.Targets()); got != http.StatusServiceUnavailable {
			t.Errorf("a second scrape from outside is answered %d", got)
		}
		go func() { codes <- ask(c.own()) }()
		synctest.Wait()
		close(hang)
		if a, b := <-codes, <-codes; a != http.StatusOK || b != http.StatusOK {
			t.Errorf("the first from outside and our own are answered %d and %d", a, b)
		}
	})
}
