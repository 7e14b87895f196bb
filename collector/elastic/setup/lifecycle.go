package setup

import (
	"context"
	"fmt"
	"net/http"
)

// lifecycle brings the retention up to date, first that of data streams that are
// there, for whom a template counts only at their birth, then the template: should
// this end in between, the template still says what is to be changed.
func (a *applier) lifecycle(ctx context.Context, there [][]stream) error {
	t := a.streams.lifecycleTemplate(a.version)
	if why, hint := a.kept(t); why != "" {
		a.left(t.name, why, hint)
		return nil
	}
	f, ok := a.state.templates[t.kind][t.name]
	if old, now := retention(f.content), retention(plain(t.content)); ok && old != now && now != "" {
		for _, ss := range there {
			for _, s := range ss {
				if err := a.retain(ctx, s.name, old, now); err != nil {
					return err
				}
			}
		}
	}
	return a.put(ctx, t)
}

// retention is what a template or a lifecycle's content says; "" if it says none.
func retention(content object) string {
	t, _ := content["template"].(object)
	l, _ := t["lifecycle"].(object)
	r, _ := l["data_retention"].(string)
	return r
}

// retain changes how long a data stream's documents are kept, unless somebody else did.
func (a *applier) retain(ctx context.Context, stream, old, now string) error {
	path := "/_data_stream/" + stream + "/_lifecycle"
	var answer struct {
		Streams []struct {
			Lifecycle struct {
				Retention string `json:"data_retention"`
			} `json:"lifecycle"`
		} `json:"data_streams"`
	}
	err := ask(ctx, a.client, http.MethodGet, path, nil, &answer)
	switch {
	case unserved(err):
		a.left(stream, "its retention cannot be changed: the server does not serve "+path, "documents that are there are kept as long as before")
		return nil
	case err != nil:
		return err
	}
	is := ""
	if len(answer.Streams) > 0 {
		is = answer.Streams[0].Lifecycle.Retention
	}
	switch is {
	case now:
		return nil
	case old:
	default:
		a.left(stream, fmt.Sprintf("somebody set its retention to %q", is), "set it with PUT "+path)
		return nil
	}
	if err := ask(ctx, a.client, http.MethodPut, path, object{"data_retention": now}, nil); err != nil {
		return fmt.Errorf("change the retention of %s: %w", stream, err)
	}
	a.done(stream, Retained)
	return nil
}
