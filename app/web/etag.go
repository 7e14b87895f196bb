package web

import (
	"net/http"
	"slices"
	"strings"
)

// etag quotes a version.
func etag(version string) string { return `"` + version + `"` }

// tags are those of a conditional header.
type tags struct {
	any      bool     // *
	versions []string // strong ones; weak ones too where they are compared weakly
	given    bool
}

func (t tags) has(version string) bool {
	return t.any || slices.Contains(t.versions, version)
}

// parseTags reads the values of If-Match or If-None-Match: *, or quoted tags with
// commas between. A weak tag never matches where the comparison is strong; it is
// left out. The second answer is false when the form is wrong.
func parseTags(values []string, weak bool) (tags, bool) {
	rest := strings.TrimSpace(strings.Join(values, ","))
	t := tags{given: len(values) > 0}
	if rest == "*" {
		t.any = true
		return t, true
	}
	for rest != "" {
		opaque, isWeak := strings.CutPrefix(rest, "W/")
		if !strings.HasPrefix(opaque, `"`) {
			return tags{given: t.given}, false
		}
		tag, after, closed := strings.Cut(opaque[1:], `"`)
		after = strings.TrimSpace(after)
		if !closed || after != "" && after[0] != ',' {
			return tags{given: t.given}, false
		}
		if tag != "" && (weak || !isWeak) {
			t.versions = append(t.versions, tag)
		}
		rest = strings.TrimLeft(after, ", \t")
	}
	return t, true
}

// condition is what a write demands of the product as it is.
type condition struct {
	match  tags // If-Match
	absent bool // If-None-Match: *
}

func (c condition) none() bool { return !c.match.given && !c.absent }

func parseCondition(h http.Header) (condition, error) {
	match, ok := parseTags(h.Values("If-Match"), false)
	if !ok {
		return condition{}, badRequest(`If-Match: write * or quoted tags, such as "abc".`)
	}
	absent, ok := parseTags(h.Values("If-None-Match"), true)
	if !ok || absent.given && !absent.any {
		return condition{}, badRequest("If-None-Match: only * is known where something is written.")
	}
	if match.given && absent.given {
		return condition{}, badRequest("If-Match and If-None-Match exclude each other here.")
	}
	return condition{match: match, absent: absent.any}, nil
}
