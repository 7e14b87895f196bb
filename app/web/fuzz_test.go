package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
)

func FuzzProductBody(f *testing.F) {
	for _, s := range []string{`{"type":"a","name":"b","parameters":{"x":1e5,"y":null}}`, `{"type":{},"type":1,"x":[]}`, `[1]`, `{"parameters":3}`, `{`, "", `{"":{}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parseProduct(b)
		if err == nil {
			if _, err := json.Marshal(p.Parameters); err != nil {
				t.Errorf("what was read cannot be written: %v", err)
			}
			return
		}
		var known *problem
		if !errors.As(err, &known) || known.Status != http.StatusBadRequest && known.Status != http.StatusUnprocessableEntity {
			t.Errorf("got %v, want a problem of the client's", err)
		}
		if json.Valid(b) == (known.Status == http.StatusBadRequest) {
			t.Errorf("%q is answered with %d", b, known.Status)
		}
	})
}

func FuzzTags(f *testing.F) {
	for _, s := range []string{`*`, `"a"`, `W/"a", "b" ,"c"`, `"`, `a`, `"a""b"`, ``} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		strong, ok := parseTags([]string{s}, false)
		weak, same := parseTags([]string{s}, true)
		if ok != same || len(strong.versions) > len(weak.versions) {
			t.Errorf("%q: strong %v %v, weak %v %v", s, strong, ok, weak, same)
		}
		for _, v := range strong.versions {
			if again, ok := parseTags([]string{etag(v)}, false); !ok || !again.has(v) {
				t.Errorf("%q: tag %q is not read back", s, v)
			}
		}
	})
}
