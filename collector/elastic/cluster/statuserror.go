package cluster

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

const mostReason = 1 << 10 // bytes

// A StatusError is an answer with a status of 300 or above.
type StatusError struct {
	Status int
	Type   string // Elasticsearch's word, e.g. index_not_found_exception; "" if it is not its answer
	Reason string // its sentence, and the cause's; cut to 1 KB

	after   time.Duration // how long the server asks to be left alone; 0 if it does not
	genuine bool          // it is Elasticsearch's, not a proxy's
}

func (e *StatusError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Elasticsearch answers %d %s", e.Status, http.StatusText(e.Status))
	for _, s := range []string{e.Type, e.Reason} {
		if s != "" {
			b.WriteString(": ")
			b.WriteString(s)
		}
	}
	if a := advice(e.Status, e.Type); a != "" {
		b.WriteString(": ")
		b.WriteString(a)
	}
	return b.String()
}

// advice says what to do about a status; "" if nothing is known.
func advice(status int, typ string) string {
	switch {
	case status == http.StatusUnauthorized:
		return "check api_key_file, or username and password_file: the key may have expired"
	case typ == "cluster_block_exception":
		return "somebody blocked the index, or the cluster did for want of disk: see GET /_cluster/settings and GET /<index>/_settings"
	case status == http.StatusForbidden:
		return "give the key or the user the privileges auto_configure, create_doc, read, view_index_metadata and manage on the data streams, " +
			"and monitor and manage_index_templates on the cluster: `flyball doctor` names what is missing"
	case typ == "index_not_found_exception":
		return "no template makes a data stream of that name: run `flyball elastic setup`"
	case status == http.StatusProxyAuthRequired:
		return "a proxy asks who we are: check HTTPS_PROXY"
	case status >= 300 && status < 400:
		return "something redirects: write the address it leads to into urls"
	}
	return ""
}

// An errorCause is how Elasticsearch tells of an error.
type errorCause struct {
	Type   string      `json:"type"`
	Reason string      `json:"reason"`
	Cause  *errorCause `json:"caused_by"`
}

// sentence is the reason and the causes', cut to 1 KB.
func (e *errorCause) sentence() string {
	var parts []string
	for depth := 0; e != nil && depth < 5; depth++ {
		if !strings.Contains(strings.Join(parts, " "), e.Reason) { // causes often repeat what they caused
			parts = append(parts, e.Reason)
		}
		e = e.Cause
	}
	return cut(strings.Join(parts, ": "))
}

// parseStatusError reads the body of an answer with an error. Bodies that are not
// Elasticsearch's are not quoted.
func parseStatusError(status int, body []byte) *StatusError {
	e := &StatusError{Status: status}
	var answer struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(body, &answer) != nil || len(answer.Error) == 0 {
		return e
	}
	var cause errorCause
	if json.Unmarshal(answer.Error, &cause) == nil {
		e.Type, e.Reason = cut(cause.Type), cause.sentence()
		return e
	}
	var text string
	if json.Unmarshal(answer.Error, &text) == nil {
		e.Reason = cut(text)
	}
	return e
}

// cut shortens s to 1 KB, puts it on one line, and mends its encoding.
func cut(s string) string {
	if len(s) > mostReason {
		end := mostReason
		for end > 0 && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
