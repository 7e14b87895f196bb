package container

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"flyball/collector/exporter"
)

// A Watch knows the containers of one engine and, as an exporter, tells of them.
// While [Watch.Run] runs, the engine's events keep it up to date within a second;
// else each scrape asks for everything. It is safe for concurrent use.
type Watch struct {
	*exporter.Exporter
	config  Config
	log     *slog.Logger
	engine  *engine
	metrics metrics
	include *regexp.Regexp // nil: all
	exclude *regexp.Regexp // nil: none
	beat    time.Duration  // how often Run makes sure that the engine answers

	set     *set
	listing turn // of who lists the containers and drops those that are gone
	dirty   *dirty
	hung    map[string]bool // whose figures did not come at the last scrape; scrapes take turns
}

// beats is after how many beats Run lists all containers, for what no event told.
const beats = 6

// New makes a watch. Nothing is reached yet. End Run before closing it.
func New(c Config, log *slog.Logger) (*Watch, error) {
	c = c.withDefaults()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	w := &Watch{
		config: c, log: log.With("engine", c.Name), engine: newEngine(c.Socket), metrics: newMetrics(c.Labels),
		beat: 5 * time.Second, set: newSet(), listing: newTurn(), dirty: newDirty(),
	}
	var err error
	if w.include, err = pattern(c.Include); err != nil {
		return nil, fmt.Errorf("read include: %w", err)
	}
	if w.exclude, err = pattern(c.Exclude); err != nil {
		return nil, fmt.Errorf("read exclude: %w", err)
	}
	w.Exporter = exporter.New(exporter.Options{
		Kind: "container", Timeout: c.Timeout, Logger: w.log, Close: w.engine.close,
		Reach: func(ctx context.Context) error {
			_, err := w.engine.reach(ctx)
			return err
		},
		Parts: w.parts(),
	})
	return w, nil
}

// Containers are those that the configuration includes, sorted by name. They are
// as the engine last told: nothing is asked. Their maps and slices are shared, and
// not to be changed.
func (w *Watch) Containers() []Container {
	var out []Container
	for _, c := range w.set.all() {
		if w.included(c.Name) {
			out = append(out, c)
		}
	}
	return out
}

// Changed holds a value whenever a container came, went or changed since it was
// last taken. It is for one reader, who then asks for [Watch.Containers] or
// [Watch.Targets]; what changes while nobody reads is told once.
func (w *Watch) Changed() <-chan struct{} { return w.set.changed }

func (w *Watch) included(name string) bool {
	return (w.include == nil || w.include.MatchString(name)) && (w.exclude == nil || !w.exclude.MatchString(name))
}

// The shortest and the longest pause before an engine that does not answer is
// tried again.
const (
	leastWait = 100 * time.Millisecond
	mostWait  = 5 * time.Second
)

// Run follows the engine's events until ctx ends; then it returns nil. An engine
// that goes away or hangs is tried again, after a tenth of a second at first and
// up to 5 s, and all its containers are then read anew.
func (w *Watch) Run(ctx context.Context) error {
	wait, last := leastWait, ""
	for {
		followed, err := w.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if followed {
			wait, last = leastWait, ""
		}
		if why := exporter.Reason(err); why != last {
			w.log.Warn("events of an engine are not followed", "reason", why, "err", err)
			last = why
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
		wait = min(2*wait, mostWait)
	}
}

// follow follows one stream of events until it ends, which is an error. It
// reports whether the containers were known then.
func (w *Watch) follow(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := w.reach(ctx)
	if err != nil {
		return false, err
	}
	ended, err := w.listen(ctx, c)
	if err != nil {
		return false, err
	}
	if err := w.begin(ctx, c); err != nil {
		return false, err
	}
	defer w.set.setLive(false)
	w.log.Info("events of an engine are followed", "containers", len(w.set.all()))
	return true, w.keep(ctx, c, ended)
}

// begin reads all containers; from then on, events keep them.
func (w *Watch) begin(ctx context.Context, c *client.Client) error {
	if err := w.listing.take(ctx); err != nil {
		return err
	}
	defer w.listing.give()
	ids, err := w.list(ctx, c, everything)
	if err != nil {
		return err
	}
	w.readAll(ctx, c, ids)
	w.set.setLive(true)
	return nil
}

func (w *Watch) reach(ctx context.Context) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, w.config.Timeout)
	defer cancel()
	return w.engine.reach(ctx)
}

// listen opens a stream of events. Whom they are about is noted at once, so that
// the engine, which forgets events that nobody takes, never waits. The channel
// has why the stream ended.
func (w *Watch) listen(ctx context.Context, c *client.Client) (<-chan error, error) {
	opened, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(w.config.Timeout, func() { cancel(context.DeadlineExceeded) })
	stream := c.Events(opened, client.EventsListOptions{
		Filters: make(client.Filters).Add("type", string(events.ContainerEventType), string(events.NetworkEventType)),
	})
	if !late.Stop() {
		cancel(nil)
		return nil, told("open the engine's stream of events", context.Cause(opened))
	}
	ended := make(chan error, 1)
	go func() {
		defer cancel(nil)
		for {
			select {
			case m := <-stream.Messages:
				w.heard(m)
			case err := <-stream.Err:
				ended <- told("follow the engine's events", err)
				return
			}
		}
	}()
	return ended, nil
}

func (w *Watch) heard(m events.Message) {
	id, what := concerns(m)
	if id == "" {
		return
	}
	w.set.happened(id, what)
	w.dirty.add(id)
	if what == "health_status" {
		w.dirty.healthTold()
	}
}

// keep reads the containers that events are about, until the stream or the engine ends.
func (w *Watch) keep(ctx context.Context, c *client.Client, ended <-chan error) error {
	beat, look := time.NewTicker(w.beat), time.NewTicker(beats*w.beat)
	defer beat.Stop()
	defer look.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-w.dirty.some:
			w.readAll(ctx, c, w.dirty.take())
		case <-beat.C:
			if _, err := w.reach(ctx); err != nil {
				return err
			}
			w.dirty.retry()
		case <-look.C:
			ids, err := w.list(ctx, c, changes)
			if err != nil {
				return err
			}
			w.readAll(ctx, c, ids)
		}
	}
}
