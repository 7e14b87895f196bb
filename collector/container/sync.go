package container

import (
	"cmp"
	"context"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// mostEnded is how many containers that do not run are known, the youngest: a
// machine for builds may keep thousands.
const mostEnded = 200

// An extent says which containers are to be read.
type extent int

const (
	changes    extent = iota // those that are new or have changed without an event
	everything               // all
)

// list asks which containers there are, drops those that are gone and tells which
// are to be read. It is for who has the turn of listing, or follows the events.
func (w *Watch) list(ctx context.Context, c *client.Client, how extent) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, w.config.Timeout)
	defer cancel()
	listed, err := c.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return nil, told("list the engine's containers", err)
	}
	var ids []string
	all := map[string]bool{}
	for _, s := range youngest(listed.Items) {
		all[s.ID] = true
		if how == everything || w.outdated(s) {
			ids = append(ids, s.ID)
		}
	}
	w.set.keep(all)
	return ids, nil
}

// youngest leaves out the oldest of those that do not run, if there are too many,
// and puts those that run first.
func youngest(all []container.Summary) []container.Summary {
	slices.SortStableFunc(all, func(a, b container.Summary) int { return cmp.Compare(b.Created, a.Created) })
	var running, ended []container.Summary
	for _, s := range all {
		switch state(string(s.State)) {
		case Created, Exited, Dead:
			ended = append(ended, s)
		default:
			running = append(running, s)
		}
	}
	return append(running, ended[:min(len(ended), mostEnded)]...)
}

// outdated reports whether something changed that no event told of. An engine
// that tells of no health is asked.
func (w *Watch) outdated(s container.Summary) bool {
	c, ok := w.set.get(s.ID)
	return !ok || c.State != state(string(s.State)) || c.Runs() && c.Health != "" && !w.dirty.tellsHealth()
}

// readAll reads containers anew. One that cannot be read stays as it was known,
// and is tried again.
func (w *Watch) readAll(ctx context.Context, c *client.Client, ids []string) error {
	return each(ids, func(id string) error {
		err := w.read(ctx, c, id)
		if err != nil && ctx.Err() == nil {
			w.dirty.addLater(id)
			w.log.Debug("container cannot be read", "id", id, "err", err)
		}
		return err
	})
}

// read reads one container anew. It is dropped if it is no more.
func (w *Watch) read(ctx context.Context, c *client.Client, id string) error {
	ctx, cancel := context.WithTimeout(ctx, w.config.Timeout)
	defer cancel()
	answer, err := c.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if errdefs.IsNotFound(err) {
		w.set.drop(id)
		return nil
	}
	if err != nil {
		return told("ask for the container "+short(id), err)
	}
	got, err := parseInspect(answer.Raw)
	if err != nil {
		return told("ask for the container "+short(id), err)
	}
	if port := got.Labels[LabelPort]; w.set.put(got) && port != "" && !isPort(port) {
		w.log.Warn("container is no target: its label is no port", "container", got.Name, "label", LabelPort, "value", port)
	}
	return nil
}

// short is an id as engines show it.
func short(id string) string { return id[:min(len(id), 12)] }

// refresh makes sure that the containers are known as they are: while no events
// keep them, all are read.
func (w *Watch) refresh(ctx context.Context) error {
	if w.set.isLive() {
		return nil
	}
	if err := w.listing.take(ctx); err != nil {
		return err
	}
	defer w.listing.give()
	if w.set.isLive() {
		return nil
	}
	c, err := w.engine.reach(ctx)
	if err != nil {
		return err
	}
	ids, err := w.list(ctx, c, everything)
	if err != nil {
		return err
	}
	return w.readAll(ctx, c, ids)
}
