package cluster

import (
	"bytes"
	"regexp"
	"strings"
)

const (
	mostID     = 512 // bytes, as Elasticsearch has it
	mostStream = 255
)

// streamPattern is a name that a data stream may have.
var streamPattern = regexp.MustCompile(`^[a-z0-9.][^A-Z\\/*?"<>|\s,#:\x00-\x1f\x7f]*$`)

// check is why a document cannot be put into any request; Type "" if it can. What
// would break a request as a whole never gets that far.
func check(d Document) Refusal {
	switch {
	case len(d.Stream) > mostStream || !streamPattern.MatchString(d.Stream):
		return Refusal{Type: "invalid_index_name_exception", Reason: "no data stream can be called " + cut(d.Stream)}
	case len(d.ID) > mostID || strings.ContainsFunc(d.ID, odd):
		return Refusal{Type: "illegal_argument_exception", Reason: "the id is too long, or not plain text", Field: "_id"}
	case bytes.IndexByte(d.Body, '\n') >= 0:
		return Refusal{Type: "illegal_argument_exception", Reason: "the document is on more than one line"}
	}
	return Refusal{}
}

// odd says whether a character is none of plain text.
func odd(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }
