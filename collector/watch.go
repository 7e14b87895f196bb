package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// A target is one watched thing as its kind makes it: an exporter, or several in
// one. It is safe for concurrent use.
type target interface {
	// Within reads the target anew at every scrape, until ctx ends.
	Within(ctx context.Context) prometheus.Collector
	// Close closes what the target keeps open.
	Close() error
}

// A runner is a target that follows something all the time.
type runner interface {
	Run(ctx context.Context) error // until ctx ends
}

// watched is one target of the configuration.
type watched struct {
	life   uint64 // counts those that were ever made
	kind   string // the metrics' path is /collect/<kind>
	name   string
	config any // compared over a reload
	target target
	end    context.CancelFunc // of its Run
	done   chan struct{}      // Run has returned

	visited sync.Mutex // held by the one scrape from outside
}

// A watch is everything that cannot be scraped as it is. It is safe for
// concurrent use.
type watch struct {
	log *slog.Logger

	mu      sync.Mutex
	lives   uint64
	targets map[string]*watched // by kind/name
}

func newWatch(log *slog.Logger) *watch {
	return &watch{log: log.With("component", "collect"), targets: map[string]*watched{}}
}

// prepare makes the targets of a configuration. One whose entry stayed as it was
// stays, too. Nothing is reached, and nothing of what runs is touched.
func (w *watch) prepare(entries []entry) (map[string]*watched, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := map[string]*watched{}
	for _, e := range entries {
		key := e.kind + "/" + e.name
		if old := w.targets[key]; old != nil && reflect.DeepEqual(old.config, e.config) {
			next[key] = old
			continue
		}
		made, err := e.make(w.log)
		if err != nil {
			return nil, fmt.Errorf("watch %s %s: %w", e.kind, e.name, err)
		}
		w.lives++
		next[key] = &watched{life: w.lives, kind: e.kind, name: e.name, config: e.config, target: made}
	}
	return next, nil
}

// take begins to watch what was prepared, and closes what is watched no more.
func (w *watch) take(next map[string]*watched) {
	w.mu.Lock()
	before := w.targets
	w.targets = next
	for key, t := range next {
		if before[key] != t {
			t.start(w.log)
		}
	}
	w.mu.Unlock()
	var wg sync.WaitGroup
	defer wg.Wait()
	for key, t := range before {
		if next[key] != t {
			wg.Go(func() { t.stop(w.log) })
		}
	}
}

// close closes everything.
func (w *watch) close() { w.take(map[string]*watched{}) }

func (t *watched) start(log *slog.Logger) {
	r, ok := t.target.(runner)
	if !ok {
		return
	}
	var ctx context.Context
	ctx, t.end = context.WithCancel(context.Background())
	t.done = make(chan struct{})
	go func() {
		defer close(t.done)
		if err := r.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			log.Error("target is not followed any more", "kind", t.kind, "target", t.name, "err", err)
		}
	}()
}

// stop returns when nothing of the target is left.
func (t *watched) stop(log *slog.Logger) {
	if t.end != nil {
		t.end()
		<-t.done
	}
	if err := t.target.Close(); err != nil {
		log.Warn("target was not closed well", "kind", t.kind, "target", t.name, "err", err)
	}
}

// find is the target of a kind and name; nil if there is none.
func (w *watch) find(kind, name string) *watched {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.targets[kind+"/"+name]
}

// all lists the targets, sorted by kind and name.
func (w *watch) all() []*watched {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*watched
	for _, key := range slices.Sorted(maps.Keys(w.targets)) {
		out = append(out, w.targets[key])
	}
	return out
}

// names lists the targets of a kind, sorted.
func (w *watch) names(kind string) []string {
	var out []string
	for _, t := range w.all() {
		if t.kind == kind {
			out = append(out, t.name)
		}
	}
	return out
}
