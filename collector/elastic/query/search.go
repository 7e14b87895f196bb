package query

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"flyball/rules"
)

// mostMembers bounds the list where the members are not known.
const mostMembers = 1000

// object is a piece of a search.
type object = map[string]any

// simpleSearch asks for the fold and the newest document of each member, and for
// no more. Documents without the field count for nothing, or those of other
// metrics of the same host would make it seem alive. Documents that are ahead of
// now are not folded and are told apart.
func simpleSearch(q rules.Elastic, members []string, now time.Time, timeout time.Duration) ([]byte, error) {
	at := func(bounds object) object {
		bounds["format"] = "epoch_millis"
		return object{"range": object{"@timestamp": bounds}}
	}
	filter := []any{
		at(object{"gt": now.Add(-q.Over).UnixMilli()}),
		object{"exists": object{"field": q.Field}},
	}
	list := object{"field": q.By, "size": mostMembers}
	if members != nil {
		filter = append(filter, object{"terms": object{q.By: members}})
		list["size"], list["include"] = len(members), members
	}
	if q.Filter != "" {
		filter = append(filter, object{"query_string": object{"query": q.Filter}})
	}
	newest := object{"max": object{"field": "@timestamp"}}
	return json.Marshal(object{
		"size": 0, "track_total_hits": false, "timeout": millis(timeout),
		"query": object{"bool": object{"filter": filter}},
		"aggs": object{"by": object{"terms": list, "aggs": object{
			"ahead": newest,
			"until_now": object{
				"filter": at(object{"lte": now.UnixMilli()}),
				"aggs":   object{"value": object{q.Fold: object{"field": q.Field}}, "newest": newest},
			},
		}}},
	})
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) + "ms" }

// searchPath is where a search is asked. A part that fails fails the whole.
func searchPath(index string, options url.Values) string {
	options.Set("allow_partial_search_results", "false")
	return "/" + url.PathEscape(index) + "/_search?" + options.Encode()
}

// rawOptions are what a search of the user's own is asked with besides: a time
// limit where it has none, and no documents where it does not read them. (Without
// a size Elasticsearch sends ten whole ones.)
func rawOptions(q rules.Elastic, timeout time.Duration) (url.Values, error) {
	var body struct {
		Size    *json.RawMessage `json:"size"`
		Timeout *json.RawMessage `json:"timeout"`
	}
	if err := json.Unmarshal([]byte(q.Body), &body); err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	options := url.Values{}
	if body.Timeout == nil {
		options.Set("timeout", millis(timeout))
	}
	value, err := rules.ParsePath(q.ValuePath)
	if err != nil {
		return nil, fmt.Errorf("read value_path: %w", err)
	}
	when, err := rules.ParsePath(q.TimePath)
	if err != nil {
		return nil, fmt.Errorf("read time_path: %w", err)
	}
	reads := func(p rules.Path) bool { return p.Name(0) == "hits" && p.Name(1) == "hits" }
	if body.Size == nil && !reads(value) && !reads(when) {
		options.Set("size", "0")
	}
	return options, nil
}
