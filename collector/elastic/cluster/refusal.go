package cluster

import (
	"net/http"
	"regexp"
	"slices"
)

// A verdict is what an answer means for its document.
type verdict int

const (
	again   verdict = iota // it must be sent again
	created                // it is there now
	known                  // it was there already
	refused                // it is not taken, and will not be
)

// An answer is what became of one document of a request. A status of 0: nobody said.
type answer struct {
	status       int
	typ, reason  string
	failureStore string
}

// verdict is what a means; the trouble says why if the document must be sent again.
func (a answer) verdict() (verdict, trouble) {
	switch {
	case a.typ == "" && (a.status == http.StatusCreated || a.status == http.StatusOK):
		if a.failureStore == "used" { // it is kept, but not where it belongs
			return refused, fine
		}
		return created, fine
	case a.status == http.StatusConflict:
		return known, fine
	case a.status < 400:
		return again, garbled
	case a.typ == "index_closed_exception":
		return again, missing
	}
	t := troubleOf(a.status)
	if t == malformed || t == tooLarge {
		return refused, fine
	}
	return again, t
}

// undone says whether a document that was answered with a, or a request, was
// certainly not carried out.
func undone(t trouble, typ string) bool {
	before := []string{
		"unavailable_shards_exception", "cluster_block_exception", "master_not_discovered_exception",
		"process_cluster_event_timeout_exception", "no_shard_available_action_exception",
	}
	return !t.unsure() || slices.Contains(before, typ)
}

// refusal is why a document was refused.
func (a answer) refusal() Refusal {
	if a.failureStore == "used" {
		return Refusal{Status: a.status, Type: "failure_store", Reason: "Elasticsearch put it into the data stream's failure store, which tells why"}
	}
	return Refusal{Status: a.status, Type: a.typ, Reason: a.reason, Field: fieldOf(a.reason)}
}

var (
	// quoted begins what a reason quotes of the document, which may say anything.
	quoted = regexp.MustCompile(`(?i)preview of field's value|\[source: `)
	// strict has the field first, and the object that it is in.
	strict = regexp.MustCompile(`dynamic introduction of \[([^\[\]]+)\] within \[([^\[\]]+)\]`)
	// named has a field in brackets, or in quotation marks.
	named = regexp.MustCompile(`(?i)(?:failed to parse field|tried to parse field|object mapping for|mapper(?: for)?|\bfield|only whitespace:) ?(?:\[([^\[\]]+)\]|="([^"]+)")`)
)

// fieldOf is the field that a reason is about, with its whole path; "" if it names
// none.
func fieldOf(reason string) string {
	if i := quoted.FindStringIndex(reason); i != nil {
		reason = reason[:i[0]]
	}
	if m := strict.FindStringSubmatch(reason); m != nil {
		if m[2] == "_doc" {
			return m[1]
		}
		return m[2] + "." + m[1]
	}
	if m := named.FindStringSubmatch(reason); m != nil {
		return m[1] + m[2]
	}
	return ""
}
