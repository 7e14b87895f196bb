package setup

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// What was done about a template or a data stream.
const (
	Written  = "written" // it was not there
	Updated  = "updated" // it was ours, and is brought up to date
	Same     = "as it should be"
	Rolled   = "rolled over"       // so that new mappings count for what comes
	Retained = "retention changed" // of a data stream
	Left     = "left alone"        // it is not ours any more, or never was
)

// A Result is what became of one template or data stream.
type Result struct {
	Name string
	Done string // one of the words above
	Why  string // of what was left alone: whose it is
	Hint string // and what to do
}

// String is a line, and for what was left alone one more that says what to do.
func (r Result) String() string {
	if r.Done != Left {
		return r.Name + ": " + r.Done
	}
	return r.Name + ": " + r.Done + ": " + r.Why + "\n      " + r.Hint
}

// A Report is what [Apply] did. Documents must not be sent to what is Blocked: it is
// somebody else's, or the server takes no template for it.
type Report struct {
	Results []Result
	Blocked []string // data streams, or patterns such as logs-flyball.*-default
}

// Left returns what was left alone.
func (r Report) Left() []Result {
	return slices.DeleteFunc(slices.Clone(r.Results), func(x Result) bool { return x.Done != Left })
}

// Blocks says whether a data stream is among them.
func (r Report) Blocks(stream string) bool {
	return slices.ContainsFunc(r.Blocked, func(pattern string) bool { return overlaps(pattern, stream) })
}

// Apply makes the templates of s and ds what they should be, and data streams that
// were made by older ones. It leaves alone what a newer program wrote, what somebody
// changed, and the whole of a dataset whose data stream is somebody else's; log tells
// of it. What is right already is not written again. An error that wraps [ErrServer]
// is of a server that cannot do it; any other may pass, and Apply can be called
// again: it goes on where it ended. Several may call it at a time.
func Apply(ctx context.Context, c Client, s Streams, ds []Dataset, log *slog.Logger) (Report, error) {
	return applyVersion(ctx, c, s, ds, log, Version)
}

// applyVersion applies the templates as a program of a version does.
func applyVersion(ctx context.Context, c Client, s Streams, ds []Dataset, log *slog.Logger, version int) (Report, error) {
	a := applier{client: c, streams: s, version: version}
	if err := a.check(ctx); err != nil {
		return Report{}, fmt.Errorf("set up Elasticsearch: %w", err)
	}
	err := a.apply(ctx, ds)
	for _, r := range a.report.Results {
		a.tell(log, r)
	}
	if err != nil {
		err = fmt.Errorf("set up Elasticsearch: %w", err)
	}
	return a.report, err
}

// An applier makes one server what it should be.
type applier struct {
	client  Client
	streams Streams
	version int
	state   state
	report  Report
}

func (a *applier) check(ctx context.Context) error {
	if err := checkVersion(ctx, a.client); err != nil {
		return err
	}
	if err := checkPolicy(ctx, a.client, a.streams.ILMPolicy); err != nil {
		return err
	}
	var err error
	a.state, err = look(ctx, a.client)
	return err
}

func (a *applier) apply(ctx context.Context, ds []Dataset) error {
	free, there, err := a.free(ctx, ds)
	if err != nil {
		return err
	}
	if err := a.lifecycle(ctx, there); err != nil {
		return err
	}
	for i, d := range free {
		fits, err := a.dataset(ctx, d)
		if err != nil {
			return err
		}
		if fits {
			if err := a.roll(ctx, d, there[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// free returns the datasets whose names nobody else has, and their data streams.
func (a *applier) free(ctx context.Context, ds []Dataset) (free []Dataset, there [][]stream, err error) {
	for _, d := range ds {
		pattern := d.Pattern(a.streams.Namespace)
		ss, err := streams(ctx, a.client, pattern)
		if err != nil {
			return nil, nil, err
		}
		if why := a.taken(d, ss); why != "" {
			a.left(pattern, why, d.yield())
			a.report.Blocked = append(a.report.Blocked, pattern)
			continue
		}
		free, there = append(free, d), append(there, ss)
	}
	return free, there, nil
}

// taken says why a dataset's names are somebody else's; "" if they are not.
func (a *applier) taken(d Dataset, there []stream) string {
	for _, s := range there {
		if s.mark.By != ours {
			return "the " + s.what + " " + s.name + " is there, and was not made by our templates"
		}
	}
	name := d.template(a.streams.Namespace)
	if f, ok := a.state.templates[index][name]; ok && f.mark.By != ours {
		return "the index template " + name + " is somebody else's"
	}
	pattern := d.Pattern(a.streams.Namespace)
	for _, r := range a.state.others {
		if r.name == name || r.priority < priority {
			continue
		}
		for _, p := range r.patterns {
			if overlaps(p, pattern) {
				return fmt.Sprintf("the index template %s counts before ours: its priority is %d, ours %d", r.name, r.priority, priority)
			}
		}
	}
	return ""
}

// yield is what to do where a dataset's names are somebody else's.
func (d Dataset) yield() string {
	if d.Name == Samples().Name || d.Name == Events().Name {
		return "set elasticsearch.namespace to another name, or have it removed"
	}
	return fmt.Sprintf("set elasticsearch.namespace to another name, have it removed, or leave the dataset to whoever fills it: views: {except: [%s]}", d.Name)
}

// dataset brings a dataset's templates up to date, both or none of them, and says
// whether they are now what they should be. What the server finds wrong with them costs
// only this dataset.
func (a *applier) dataset(ctx context.Context, d Dataset) (bool, error) {
	ts := []template{a.streams.shapeTemplate(d, a.version), a.streams.indexTemplate(d, a.version)}
	keep := false
	for _, t := range ts {
		if why, hint := a.kept(t); why != "" {
			keep = true
			a.left(t.name, why, hint)
		}
	}
	for _, t := range ts {
		_, there := a.state.templates[t.kind][t.name]
		if keep && there {
			continue
		}
		if err := a.put(ctx, t); status(err) == http.StatusBadRequest {
			a.left(t.name, err.Error(), "mend the dataset's fields, or what is in "+d.custom())
			a.report.Blocked = append(a.report.Blocked, d.Pattern(a.streams.Namespace))
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
	return !keep, nil
}

// kept says why a template that is there is to be left alone; "" if it may be
// written.
func (a *applier) kept(t template) (why, hint string) {
	f, ok := a.state.templates[t.kind][t.name]
	switch {
	case !ok:
		return "", ""
	case f.mark.By != ours:
		return "it is somebody else's", "set elasticsearch.namespace to another name, or have it removed"
	case f.mark.Version > t.version:
		return fmt.Sprintf("it is of version %d, ours is %d", f.mark.Version, t.version), "upgrade this flyball; to go back for good, send what `flyball elastic setup --dry-run` prints"
	case hash(f.content) != f.mark.Hash:
		return "somebody changed it", "move the change to the component template that ends in @custom, and send what `flyball elastic setup --dry-run` prints of this one, so that upgrades count again"
	}
	return "", ""
}

// put writes a template unless it is there as it should be.
func (a *applier) put(ctx context.Context, t template) error {
	f, there := a.state.templates[t.kind][t.name]
	if there && f.mark.Version == t.version && f.mark.Hash == hash(t.content) {
		a.done(t.name, Same)
		return nil
	}
	r := t.request()
	if _, err := a.client.Do(ctx, r.Method, r.Path, r.Body); err != nil {
		return fmt.Errorf("write template %s: %w", t.name, err)
	}
	if there {
		a.done(t.name, Updated)
	} else {
		a.done(t.name, Written)
	}
	return nil
}

// roll rolls data streams over that were made by another shape than is there now. In a
// time series what is of the older index's time still goes there, so it takes up to
// an hour until all has the new shape.
func (a *applier) roll(ctx context.Context, d Dataset, there []stream) error {
	for _, s := range there {
		if s.mark.Hash == a.streams.mark(d) || s.mark.Version > a.version {
			continue
		}
		if err := ask(ctx, a.client, http.MethodPost, "/"+s.name+"/_rollover", nil, nil); err != nil {
			return fmt.Errorf("roll over %s: %w", s.name, err)
		}
		a.done(s.name, Rolled)
	}
	return nil
}

func (a *applier) done(name, what string) {
	a.report.Results = append(a.report.Results, Result{Name: name, Done: what})
}

func (a *applier) left(name, why, hint string) {
	a.report.Results = append(a.report.Results, Result{Name: name, Done: Left, Why: why, Hint: hint})
}

func (a *applier) tell(log *slog.Logger, r Result) {
	switch r.Done {
	case Same:
	case Left:
		log.Warn("elasticsearch: left alone", "name", r.Name, "why", r.Why, "hint", r.Hint)
	default:
		log.Info("elasticsearch: set up", "name", r.Name, "done", r.Done, "version", a.version)
	}
}

// escape makes a name fit for a path.
func escape(name string) string { return strings.ReplaceAll(url.PathEscape(name), "+", "%2B") }
