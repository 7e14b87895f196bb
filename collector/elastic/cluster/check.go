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
var streamPattern = regexp.MustCompile(`^[^A-Z\\/*?"<>|\s,#:\x00-\x1f\x7f+_-][^A-Z\\/*?"<>|\s,#:\x00-\x1f\x7f]*$`)

// What would break a request as a whole is refused before it gets into any. The
// Type is "" if nothing is wrong.

// checkStream is why no data stream can be called so.
func checkStream(name string) Refusal {
	if len(name) > mostStream || !streamPattern.MatchString(name) {
		return Refusal{Type: "invalid_index_name_exception", Reason: "no data stream can be called [" + cut(name) + "]"}
	}
	return Refusal{}
}

// checkText is why a document cannot be put into a request.
func checkText(d Document) Refusal {
	switch {
	case len(d.ID) > mostID || strings.ContainsFunc(d.ID, odd):
		return Refusal{Type: "illegal_argument_exception", Reason: "the id is too long, or not plain text", Field: "_id"}
	case bytes.IndexByte(d.Body, '\n') >= 0:
		return Refusal{Type: "illegal_argument_exception", Reason: "the document is on more than one line"}
	}
	return Refusal{}
}

// odd says whether a character is none of plain text.
func odd(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }
