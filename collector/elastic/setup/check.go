package setup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"flyball/collector/elastic/cluster"
	"flyball/rules"
)

const (
	// mostSkew is how far clocks may be apart: ages of documents are told in seconds.
	mostSkew = 5 * time.Second
	// mostSilence is how long nothing may come into a time series that has documents.
	mostSilence = 5 * time.Minute
)

// Check looks at a server as [Apply] would find it, and at what came there until at. It
// changes nothing. What cannot be asked is a finding too.
func Check(ctx context.Context, c Client, s Streams, ds []Dataset, at time.Time) []rules.Finding {
	info, err := c.Info(ctx)
	if err != nil {
		return []rules.Finding{bad("reachable", err.Error(), "check elasticsearch.urls, the certificates and the key or password, and whether it runs")}
	}
	fs := []rules.Finding{good("reachable", "cluster "+info.Name+" answers")}
	fs = append(fs, checked("version", info.Version+" has all that is needed", checkVersion(ctx, c)))
	if s.ILMPolicy != "" {
		fs = append(fs, checked("policy", s.ILMPolicy+" is there", checkPolicy(ctx, c, s.ILMPolicy)))
	}
	found, free := templates(ctx, c, s, ds)
	fs = append(fs, clock(info), rights(ctx, c, s, free))
	fs = append(fs, found...)
	for _, d := range free {
		fs = append(fs, newest(ctx, c, d, s.Namespace, at))
	}
	return fs
}

func good(what, text string) rules.Finding { return rules.Finding{OK: true, What: what, Text: text} }

func bad(what, text, hint string) rules.Finding {
	return rules.Finding{What: what, Text: text, Hint: hint}
}

// checked is a finding of an error that says itself what to do.
func checked(what, text string, err error) rules.Finding {
	if err == nil {
		return good(what, text)
	}
	text = err.Error()
	hint := "try again"
	if errors.Is(err, ErrServer) {
		text, hint, _ = strings.Cut(strings.TrimPrefix(text, ErrServer.Error()+": "), "; ")
	}
	return bad(what, text, hint)
}

func clock(info cluster.Info) rules.Finding {
	skew := info.Skew
	if !info.Clocked {
		return good("clock", "the server does not tell its time: whether it is ours is not known")
	}
	text := fmt.Sprintf("the server's clock is %s ahead of ours", skew.Round(100*time.Millisecond))
	if skew < 0 {
		text = fmt.Sprintf("the server's clock is %s behind ours", (-skew).Round(100*time.Millisecond))
	}
	if skew.Abs() <= mostSkew {
		return good("clock", text)
	}
	return bad("clock", text, "let both machines keep time by NTP: rules judge documents by their age")
}

// privileges are what we use, on the cluster and on data streams.
func privileges(s Streams, ds []Dataset) object {
	onCluster := []string{"monitor", "manage_index_templates"}
	if s.ILMPolicy != "" {
		onCluster = append(onCluster, "read_ilm")
	}
	var names []string
	for _, d := range ds {
		names = append(names, d.Pattern(s.Namespace))
	}
	return object{"cluster": onCluster, "index": []object{{
		"names":      names,
		"privileges": []string{"auto_configure", "create_doc", "read", "view_index_metadata", "manage"},
	}}}
}

func rights(ctx context.Context, c Client, s Streams, ds []Dataset) rules.Finding {
	var answer struct {
		All     bool                       `json:"has_all_requested"`
		Cluster map[string]bool            `json:"cluster"`
		Index   map[string]map[string]bool `json:"index"`
	}
	err := ask(ctx, c, http.MethodPost, "/_security/user/_has_privileges", privileges(s, ds), &answer)
	switch {
	case unserved(err) || status(err) == http.StatusNotFound:
		return good("rights", "the server is without security: whoever reaches it may do everything")
	case err != nil:
		return bad("rights", err.Error(), "check the key or the user")
	case answer.All:
		return good("rights", "all privileges are there")
	}
	text := "missing are: " + strings.Join(missing(answer.Cluster, answer.Index), ", ")
	return bad("rights", text, "give them to the role of the key or the user")
}

// missing names the privileges that are not there.
func missing(cluster map[string]bool, index map[string]map[string]bool) []string {
	var out []string
	for _, p := range slices.Sorted(maps.Keys(cluster)) {
		if !cluster[p] {
			out = append(out, p)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(index)) {
		for _, p := range slices.Sorted(maps.Keys(index[name])) {
			if !index[name][p] {
				out = append(out, p+" on "+name)
			}
		}
	}
	return out
}

// templates compares what is there with what should be. Of a dataset that is somebody
// else's it says only that, and free are the others: of its templates, rights and
// documents there is nothing to be said.
func templates(ctx context.Context, c Client, s Streams, ds []Dataset) (fs []rules.Finding, free []Dataset) {
	a := applier{client: c, streams: s, version: Version}
	var err error
	if a.state, err = look(ctx, c); err != nil {
		return []rules.Finding{bad("template", err.Error(), "give the key or the user the cluster privilege manage_index_templates")}, ds
	}
	if free, _, err = a.free(ctx, ds); err != nil {
		fs = []rules.Finding{bad("template", err.Error(), "give the key or the user the privilege view_index_metadata on the data streams")}
		free = ds
	}
	for _, t := range wanted(s, free, Version) {
		fs = append(fs, a.compare(t))
	}
	for _, r := range a.report.Left() {
		fs = append(fs, bad("template", r.Name+": "+r.Why, r.Hint))
	}
	return fs, free
}

// compare is the finding of one template.
func (a *applier) compare(t template) rules.Finding {
	f, there := a.state.templates[t.kind][t.name]
	why, hint := a.kept(t)
	switch {
	case !there:
		return bad("template", t.name+" is not there", "run `flyball elastic setup`")
	case why != "":
		return bad("template", t.name+": "+why, hint)
	case f.mark.Version != t.version || f.mark.Hash != hash(t.content):
		return bad("template", fmt.Sprintf("%s is of version %d, and not as it should be", t.name, f.mark.Version), "run `flyball elastic setup`")
	}
	return good("template", fmt.Sprintf("%s is of version %d", t.name, f.mark.Version))
}

// newest compares the newest document of a dataset with the time. Events may be old.
func newest(ctx context.Context, c Client, d Dataset, namespace string, at time.Time) rules.Finding {
	name := d.Pattern(namespace)
	var answer struct {
		Aggregations struct {
			Newest struct {
				Value *float64 `json:"value"`
			} `json:"newest"`
		} `json:"aggregations"`
	}
	body := object{"size": 0, "track_total_hits": false, "aggs": object{"newest": object{"max": object{"field": "@timestamp"}}}}
	err := ask(ctx, c, http.MethodPost, "/"+name+"/_search?ignore_unavailable=true&allow_no_indices=true", body, &answer)
	if err != nil {
		return bad("newest", name+": "+err.Error(), "give the key or the user the privilege read on it")
	}
	v := answer.Aggregations.Newest.Value
	if v == nil {
		return good("newest", name+" has no document yet")
	}
	when := time.UnixMilli(int64(*v)).UTC()
	text := fmt.Sprintf("%s: the newest document is of %s, %s ago", name, when.Format("2006-01-02 15:04:05 UTC"), at.Sub(when).Round(time.Second))
	if d.TimeSeries && at.Sub(when) > mostSilence {
		return bad("newest", text, "look at `flyball status`: is something shipped, is its selection empty, or does it catch up?")
	}
	return good("newest", text)
}
