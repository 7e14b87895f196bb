package container

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"flyball/collector/exporter"
)

// Parts documents what an exporter of this package may tell, with no labels of
// containers named in its configuration.
func Parts() []exporter.Part {
	m := newMetrics(nil)
	return []exporter.Part{{Name: "containers", Metrics: m.ofContainers()}, {Name: "stats", Metrics: m.ofStats()}}
}

// Table documents, in Markdown, all metrics of this package.
func Table() string { return exporter.Table("container", Parts()) }

func (w *Watch) parts() []exporter.Part {
	return []exporter.Part{
		{Name: "containers", Metrics: w.metrics.ofContainers(), Read: w.tellContainers},
		{Name: "stats", Metrics: w.metrics.ofStats(), Read: w.tellStats},
	}
}

// tellContainers tells what the engine says of its containers.
func (w *Watch) tellContainers(ctx context.Context, s *exporter.Sink) error {
	err := w.refresh(ctx)
	now := float64(time.Now().UnixMilli()) / 1000
	for _, c := range w.Containers() {
		w.tellContainer(s, &c, now)
	}
	return err
}

func (w *Watch) tellContainer(s *exporter.Sink, c *Container, now float64) {
	m, of := &w.metrics, w.metrics.values(c)
	s.Give(m.state, 1, with(of, c.State)...)
	s.Give(m.restarts, float64(c.Restarts), of...)
	s.Give(m.oom, float64(w.set.oomKills(c.ID)), of...)
	if !c.Runs() {
		if !c.Started.IsZero() || c.ExitCode != 0 {
			s.Give(m.exit, float64(c.ExitCode), of...)
		}
		return
	}
	s.Give(m.seenAt, now, of...)
	if !c.Started.IsZero() {
		s.Give(m.started, float64(c.Started.UnixMilli())/1000, of...)
	}
	if v, ok := map[string]float64{Healthy: 1, Unhealthy: 0, Starting: -1}[c.Health]; ok {
		s.Give(m.health, v, of...)
	}
	tell(s, m.spec, c, of)
}

// tell gives the numbers that are there.
func tell[T any](s *exporter.Sink, rs []reading[T], of T, labels []string) {
	for _, r := range rs {
		if n := r.of(of); n.there {
			s.Give(r.Metric, n.value, labels...)
		}
	}
}

func with(labels []string, more ...string) []string { return slices.Concat(labels, more) }

// An answer is what came of asking what one container uses.
type answer struct {
	c     Container
	usage usage
	err   error // errEnded: there is nothing to tell
}

// tellStats tells what the containers that run use. They are asked at the same
// time, some at once; one that does not answer costs only itself: it is given half
// of the time that is left, and is asked last at the next scrape.
func (w *Watch) tellStats(ctx context.Context, s *exporter.Sink) error {
	engine, err := w.engine.reach(ctx)
	if err != nil {
		return err
	}
	running := slices.DeleteFunc(w.Containers(), func(c Container) bool { return !c.Runs() })
	slices.SortStableFunc(running, func(a, b Container) int { return cmp.Compare(rank(w.hung[a.ID]), rank(w.hung[b.ID])) })
	answers := make(chan answer)
	go func() {
		defer close(answers)
		w.ask(ctx, engine, running, answers)
	}()
	hung, failed := map[string]bool{}, 0
	for a := range answers {
		switch {
		case a.err == nil:
			w.tellUsage(s, sample{&a.c, &a.usage})
		case !errors.Is(a.err, errEnded):
			hung[a.c.ID] = true
			failed++
			err = a.err
			w.tellMissing(s, a)
		}
	}
	w.hung = hung
	if failed > 0 && failed == len(running) {
		return fmt.Errorf("read what %d containers use: none can be read: %w", failed, err)
	}
	return nil
}

func rank(last bool) int {
	if last {
		return 1
	}
	return 0
}

// ask asks what each container uses.
func (w *Watch) ask(ctx context.Context, engine *client.Client, of []Container, out chan<- answer) {
	byID, ids := map[string]Container{}, make([]string, 0, len(of))
	for _, c := range of {
		byID[c.ID] = c
		ids = append(ids, c.ID)
	}
	_ = each(ids, func(id string) error { // errors are in the answers
		u, err := w.usage(ctx, engine, id)
		out <- answer{byID[id], u, err}
		return nil
	})
}

// mostAnswer is how long the engine's answer about one container may be.
const mostAnswer = 1 << 20

// usage asks what one container uses. The engine is to give what it has: to wait
// for a second measurement would take a second or two for each.
func (w *Watch) usage(ctx context.Context, engine *client.Client, id string) (usage, error) {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/2)
		defer cancel()
	}
	doing := "ask what the container " + short(id) + " uses"
	got, err := engine.ContainerStats(ctx, id, client.ContainerStatsOptions{})
	if err != nil {
		return usage{}, w.unlessEnded(ctx, engine, id, told(doing, err))
	}
	defer got.Body.Close()
	b, err := io.ReadAll(io.LimitReader(got.Body, mostAnswer))
	if ctx.Err() != nil {
		err = ctx.Err() // it closes the body, which tells of nothing but that
	}
	if err != nil {
		return usage{}, w.unlessEnded(ctx, engine, id, told(doing, err))
	}
	u, err := parseUsage(b)
	if errors.Is(err, errEnded) {
		return u, err
	}
	if w.engine.swapsTraffic() {
		u.swapTraffic()
	}
	return u, told(doing, err)
}

// unlessEnded is errEnded if a container that cannot be asked ended meanwhile, and
// otherwise why it cannot.
func (w *Watch) unlessEnded(ctx context.Context, engine *client.Client, id string, err error) error {
	if errdefs.IsNotFound(err) {
		return errEnded
	}
	if ctx.Err() != nil || w.read(ctx, engine, id) != nil {
		return err
	}
	if c, ok := w.set.get(id); !ok || !c.Runs() {
		return errEnded
	}
	return err
}

func (w *Watch) tellMissing(s *exporter.Sink, a answer) {
	s.Give(w.metrics.unread, 1, with(w.metrics.values(&a.c), exporter.Reason(a.err))...)
	if !w.hung[a.c.ID] {
		w.log.Warn("what a container uses cannot be read", "container", a.c.Name, "reason", exporter.Reason(a.err), "err", a.err)
	}
}

func (w *Watch) tellUsage(s *exporter.Sink, of sample) {
	m, u, labels := &w.metrics, of.u, w.metrics.values(of.c)
	if n := u.CPU.Usage.Total.seconds(); n.there {
		s.Give(m.cpu, n.value, with(labels, "total")...)
	}
	tell(s, m.usage, of, labels)
	for _, kind := range []string{"pgfault", "pgmajfault"} {
		if n := u.memory("total_"+kind, kind); n.there {
			s.Give(m.faults, n.value, with(labels, kind, "container")...)
		}
	}
	if of.c.NetworkMode != "host" { // or it would be the host's traffic, or nothing
		for name, t := range u.Networks {
			tell(s, m.traffic, t, with(labels, name))
		}
	}
	w.tellDisks(s, u, labels)
}

func (w *Watch) tellDisks(s *exporter.Sink, u *usage, labels []string) {
	counts, reads, writes := u.Disks.Operations, "read", "write"
	if len(counts) == 0 { // podman on cgroup v2 puts counts among the bytes
		counts, reads, writes = u.Disks.Bytes, "rios", "wios"
	}
	for _, d := range []struct {
		metric exporter.Metric
		of     []diskIO
		op     string
	}{
		{w.metrics.readBytes, u.Disks.Bytes, "read"},
		{w.metrics.writtenBytes, u.Disks.Bytes, "write"},
		{w.metrics.readCount, counts, reads},
		{w.metrics.writtenCount, counts, writes},
	} {
		devices, sums := byDevice(d.of, d.op)
		for _, device := range devices {
			s.Give(d.metric, sums[device], with(labels, device)...)
		}
	}
}
