package rules

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Elastic is a question to Elasticsearch on behalf of a pool, in one of two forms:
// the simple one folds a field over the documents of the last Over, by member; the
// raw one has a Body, a search as JSON, and says where in its answer to read.
type Elastic struct {
	Pool  string        `json:"pool"`
	Index string        `json:"index"` // names of indices or data streams, with commas between them; * stands for any part
	Every time.Duration `json:"every"` // how often it is asked

	Filter string        `json:"filter,omitempty"` // in Lucene's query syntax; "" is every document
	Fold   string        `json:"fold,omitempty"`   // avg, sum, min, max
	Field  string        `json:"field,omitempty"`  // what is folded
	By     string        `json:"by,omitempty"`     // the field that names the member
	Over   time.Duration `json:"over,omitempty"`   // how far back documents count

	Body      string `json:"body,omitempty"`
	ValuePath string `json:"value_path,omitempty"` // a [Path]; with a [*], one value for each entry of that list
	// MemberPath and TimePath lead to the member's name and the time of its newest
	// document: below each entry of the value's list, or from the answer's top if
	// the value is not in a list. Without a list there is no MemberPath, and the one
	// value is the whole pool's.
	MemberPath string `json:"member_path,omitempty"`
	TimePath   string `json:"time_path,omitempty"`
}

func (Elastic) query() {}

// mostShown is how much of a search people are shown, in characters.
const mostShown = 200

// String is the query as people read it, on one line.
func (e Elastic) String() string {
	if e.Body != "" {
		text := "elastic " + e.Index + ": " + e.ValuePath
		if e.MemberPath != "" {
			text += " by " + e.MemberPath
		}
		return shorten(text + " of " + e.Body)
	}
	text := "elastic " + e.Index + ": " + e.Fold + "(" + e.Field + ") by " + e.By + " over " + span(e.Over)
	if e.Filter != "" {
		text += " where " + e.Filter
	}
	return shorten(text)
}

// shorten makes a text one line of bounded length.
func shorten(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) <= mostShown {
		return s
	}
	return string([]rune(s)[:mostShown-3]) + "..."
}

// span is a duration as rules are written: 2m, not 2m0s.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
