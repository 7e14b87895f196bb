package setup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"flyball/collector/elastic/cluster"
)

// A Client is a cluster that can be asked; [cluster.Cluster] is one. A status of 300
// and above is a *cluster.StatusError.
type Client interface {
	Do(ctx context.Context, method, path string, body []byte) ([]byte, error)
	Info(ctx context.Context) (cluster.Info, error)
}

// ask sends a request, with a body unless that is nil, and decodes the answer.
func ask(ctx context.Context, c Client, method, path string, body, into any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
	}
	answer, err := c.Do(ctx, method, path, text)
	if err != nil {
		return fmt.Errorf("ask for %s: %w", path, err)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("read the answer to %s: %w", path, err)
	}
	return nil
}

// status is that of an answer which is an error; 0 if there was none.
func status(err error) int {
	var e *cluster.StatusError
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// unserved says whether a server does not know what it was asked: it is without the
// module.
func unserved(err error) bool {
	s := status(err)
	return s == http.StatusBadRequest || s == http.StatusMethodNotAllowed || s == http.StatusNotImplemented
}

// A found is a template as it is on the server.
type found struct {
	content object
	mark    mark
}

// A mark is what _meta says of who made something.
type mark struct {
	By      string `json:"managed_by"`
	Version int    `json:"version"`
	Hash    string `json:"hash"`
}

// A state is what matters of what is on the server.
type state struct {
	templates map[kind]map[string]found // those of our names
	others    []rival                   // index templates of other names
}

// A rival is an index template of somebody else's.
type rival struct {
	name     string
	patterns []string
	priority int64
}

// look reads the templates of a server.
func look(ctx context.Context, c Client) (state, error) {
	s := state{templates: map[kind]map[string]found{component: {}, index: {}}}
	var err error
	if s.templates[component], err = own(ctx, c, component, "component_templates", "component_template"); err != nil {
		return s, err
	}
	if s.templates[index], err = own(ctx, c, index, "index_templates", "index_template"); err != nil {
		return s, err
	}
	s.others, err = rivals(ctx, c)
	return s, err
}

// own reads the templates whose names begin with ours.
func own(ctx context.Context, c Client, k kind, list, member string) (map[string]found, error) {
	var answer map[string][]map[string]json.RawMessage
	out := map[string]found{}
	err := ask(ctx, c, http.MethodGet, "/"+string(k)+"/"+ours+"-*", nil, &answer)
	if status(err) == http.StatusNotFound {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	for _, t := range answer[list] {
		var name string
		var f found
		var meta struct {
			Mark mark `json:"_meta"`
		}
		if json.Unmarshal(t["name"], &name) != nil || json.Unmarshal(t[member], &f.content) != nil {
			return nil, fmt.Errorf("read %s: its form is not known; this program may be too old for the server", k)
		}
		if json.Unmarshal(t[member], &meta) == nil { // a _meta of another form is somebody else's
			f.mark = meta.Mark
		}
		out[name] = f
	}
	return out, nil
}

// rivals reads all index templates but ours.
func rivals(ctx context.Context, c Client) ([]rival, error) {
	var answer struct {
		Templates []struct {
			Name string `json:"name"`
			In   struct {
				Patterns words `json:"index_patterns"`
				Priority int64 `json:"priority"`
			} `json:"index_template"`
		} `json:"index_templates"`
	}
	const in = "index_templates.index_template."
	filter := url.Values{"filter_path": {"index_templates.name," + in + "index_patterns," + in + "priority"}}
	if err := ask(ctx, c, http.MethodGet, "/"+string(index)+"?"+filter.Encode(), nil, &answer); err != nil {
		return nil, err
	}
	var rs []rival
	for _, t := range answer.Templates {
		rs = append(rs, rival{t.Name, t.In.Patterns, t.In.Priority})
	}
	return rs, nil
}

// words are a list of JSON, or one.
type words []string

// UnmarshalJSON reads either.
func (w *words) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*w = words{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(w))
}

// A stream is a data stream that is there, or another thing of its name.
type stream struct {
	name    string
	indices []string // the newest is the last
	what    string   // data stream, index or alias
	mark    mark     // of the newest index's mappings
}

// streams finds what is there of a pattern's names.
func streams(ctx context.Context, c Client, pattern string) ([]stream, error) {
	var answer struct {
		Indices []struct {
			Name   string `json:"name"`
			Stream string `json:"data_stream"`
		} `json:"indices"`
		Aliases []struct {
			Name string `json:"name"`
		} `json:"aliases"`
		Streams []struct {
			Name    string `json:"name"`
			Backing words  `json:"backing_indices"`
		} `json:"data_streams"`
	}
	err := ask(ctx, c, http.MethodGet, "/_resolve/index/"+pattern, nil, &answer)
	if status(err) == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []stream
	for _, i := range answer.Indices {
		if i.Stream == "" {
			all = append(all, stream{name: i.Name, what: "index"})
		}
	}
	for _, a := range answer.Aliases {
		all = append(all, stream{name: a.Name, what: "alias"})
	}
	for _, d := range answer.Streams {
		all = append(all, stream{name: d.Name, what: "data stream", indices: d.Backing})
	}
	return all, marks(ctx, c, pattern, all)
}

// marks reads by which shape the streams' newest indices were made.
func marks(ctx context.Context, c Client, pattern string, all []stream) error {
	if len(all) == 0 {
		return nil
	}
	var answer map[string]struct {
		Mappings struct {
			Mark json.RawMessage `json:"_meta"`
		} `json:"mappings"`
	}
	if err := ask(ctx, c, http.MethodGet, "/"+pattern+"/_mapping?filter_path=*.mappings._meta", nil, &answer); err != nil {
		return err
	}
	for i, s := range all {
		if len(s.indices) == 0 {
			continue
		}
		var m mark
		if json.Unmarshal(answer[s.indices[len(s.indices)-1]].Mappings.Mark, &m) == nil {
			all[i].mark = m
		}
	}
	return nil
}

// overlaps says whether a name could fit both patterns, whose asterisks stand for
// anything.
func overlaps(a, b string) bool {
	switch {
	case a == "" && b == "":
		return true
	case strings.HasPrefix(a, "*"):
		return overlaps(a[1:], b) || b != "" && overlaps(a, b[1:])
	case strings.HasPrefix(b, "*"):
		return overlaps(b, a)
	}
	return a != "" && b != "" && a[0] == b[0] && overlaps(a[1:], b[1:])
}
