package query

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"flyball/rules"
)

// mostAhead is how far documents may be ahead of our clock before nothing is known
// of their age: a shipper that died an hour ago would seem alive for an hour if its
// clock was ahead as much.
const mostAhead = 30 * time.Second

// head is what every answer to a search begins with.
type head struct {
	TimedOut bool `json:"timed_out"`
	Shards   *struct {
		Total  int `json:"total"`
		Failed int `json:"failed"`
	} `json:"_shards"`
	Clusters struct {
		Skipped int `json:"skipped"`
		Partial int `json:"partial"`
		Failed  int `json:"failed"`
		Running int `json:"running"`
	} `json:"_clusters"`
}

// whole says what is lacking of an answer; nil if nothing is.
func (h head) whole(index string) error {
	switch c := h.Clusters; {
	case h.Shards == nil:
		return failf(unreadable, "the answer is not one to a search")
	case h.TimedOut:
		return failf(partial, "only a part was searched in time: make the search cheaper, or every longer")
	case h.Shards.Failed > 0:
		return failf(partial, "%d of %d shards failed", h.Shards.Failed, h.Shards.Total)
	case c.Skipped+c.Partial+c.Failed+c.Running > 0:
		return failf(partial, "%d of the clusters did not answer in full", c.Skipped+c.Partial+c.Failed+c.Running)
	case h.Shards.Total == 0:
		return nothing("no index is called %s", index)
	}
	return nil
}

// number is the value of an aggregation that gives one; nil is none.
type number struct {
	Value *float64 `json:"value"`
}

// at is the number as a time; zero if there is none.
func (n number) at() time.Time {
	if n.Value == nil {
		return time.Time{}
	}
	t, _ := timeOf(*n.Value)
	return t
}

// simpleAnswer is the answer to a simpleSearch.
type simpleAnswer struct {
	head
	Aggregations struct {
		By struct {
			Others  int `json:"sum_other_doc_count"`
			Buckets []struct {
				Member   *string `json:"key"`
				Ahead    number  `json:"ahead"`
				UntilNow struct {
					Value  number `json:"value"`
					Newest number `json:"newest"`
				} `json:"until_now"`
			} `json:"buckets"`
		} `json:"by"`
	} `json:"aggregations"`
}

// readSimple reads the answer to a simpleSearch that was made as of now.
func readSimple(b []byte, q rules.Elastic, now time.Time) (rules.Reading, error) {
	var a simpleAnswer
	if err := json.Unmarshal(b, &a); err != nil {
		return rules.Reading{}, failf(unreadable, "read the answer: %w", err)
	}
	if err := a.whole(q.Index); err != nil {
		return rules.Reading{}, err
	}
	by := a.Aggregations.By
	if by.Others > 0 {
		return rules.Reading{}, failf(partial, "there are more than %d members: write a filter", mostMembers)
	}
	r := reader{now: now}
	for _, x := range by.Buckets {
		if x.Member == nil {
			return rules.Reading{}, failf(unreadable, "the answer names no member")
		}
		r.ahead(*x.Member, x.Ahead.at())
		if err := r.add(*x.Member, x.UntilNow.Value.Value, x.UntilNow.Newest.at()); err != nil {
			return rules.Reading{}, err
		}
	}
	if len(r.Points) == 0 {
		return rules.Reading{}, nothing("no document of the last %s has %s%s", model.Duration(q.Over), q.Field, among(q))
	}
	return r.done(), nil
}

// among says which documents were looked at.
func among(q rules.Elastic) string {
	if q.Filter == "" {
		return " and a present member in " + q.By
	}
	return ", a present member in " + q.By + ", and passes the filter"
}

// A reader puts a reading together.
type reader struct {
	rules.Reading
	now     time.Time
	strange []string // members whose clocks are ahead
}

// add takes one member's value and the time of its newest document. Without either
// the member was not heard.
func (r *reader) add(member string, v *float64, newest time.Time) error {
	if v == nil || newest.IsZero() {
		return nil
	}
	if _, twice := r.Seen[member]; twice {
		return failf(unreadable, "the answer names the member %q twice", member)
	}
	if r.Seen == nil {
		r.Seen = map[string]time.Time{}
	}
	newest = earlier(newest, r.now)
	r.Points = append(r.Points, rules.Point{Member: member, Value: *v})
	r.Seen[member] = newest
	if newest.After(r.Newest) {
		r.Newest = newest
	}
	return nil
}

// ahead notes a member whose documents are ahead of our clock.
func (r *reader) ahead(member string, newest time.Time) {
	if newest.Sub(r.now) > mostAhead {
		r.strange = append(r.strange, member)
	}
}

// done is the reading, sorted, with what is doubtful about it.
func (r *reader) done() rules.Reading {
	slices.SortFunc(r.Points, func(a, b rules.Point) int { return strings.Compare(a.Member, b.Member) })
	if n := len(r.strange); n > 0 {
		slices.Sort(r.strange)
		names := strings.TrimSpace("documents of " + strings.Join(r.strange[:min(n, 3)], ", "))
		if n > 3 {
			names += " and others"
		}
		r.Partial = strings.TrimSuffix(names, " of") + " are ahead of our clock, so their age is not known: set the clocks"
	}
	return r.Reading
}
