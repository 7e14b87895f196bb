package rules

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

const answer = `{"hits":{"hits":[{"_source":{"host.name":"a","it's":1}}]},"aggregations":{"p":{"values":{"99.0":0.5}},
"by":{"buckets":[{"key":"a","cpu":{"value":0.1}},{"key":"b","cpu":{"value":null}}]}}}`

func TestAPathLeadsToAPartOfAnAnswer(t *testing.T) {
	var whole any
	if err := json.Unmarshal([]byte(answer), &whole); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		want any // an error's text if it is none
	}{
		{"aggregations.p.values['99.0']", 0.5},
		{"hits.hits[0]._source['host.name']", "a"},
		{"hits.hits[0]._source['it''s']", 1.0},
		{"aggregations.by.buckets[1].key", "b"},
		{"aggregations.by.buckets[1].cpu.value", nil},
		{"aggregations.by.buckets[2].key", errors.New("aggregations.by.buckets[2] is not in the answer")},
		{"aggregations.load.value", errors.New("aggregations.load is not in the answer")},
		{"aggregations.by[0]", errors.New("aggregations.by[0] is not in the answer")},
		{"hits.hits._source", errors.New("hits.hits._source is not in the answer")},
	} {
		p, err := ParsePath(c.path)
		if err != nil || p.String() != c.path {
			t.Errorf("%s reads as %s: %v", c.path, p, err)
			continue
		}
		got, err := p.In(whole)
		if want, wrong := c.want.(error); wrong {
			if err == nil || err.Error() != want.Error() || !errors.Is(err, errNotThere) {
				t.Errorf("%s: %v, want %v", c.path, err, want)
			}
		} else if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s leads to %v: %v", c.path, got, err)
		}
	}
}

func TestAPathIsSplitAtItsList(t *testing.T) {
	for path, want := range map[string]string{
		"aggregations.by.buckets[*].cpu.value": "aggregations.by.buckets cpu.value",
		"[*].v":                                " v",
		"a['b.c'][*][0]":                       "a['b.c'] [0]",
		"a[*]":                                 "a ",
	} {
		p, err := ParsePath(path)
		list, entry, ok := p.Each()
		if got := list.String() + " " + entry.String(); err != nil || !ok || got != want {
			t.Errorf("%s is split into %q (%v, %v), want %q", path, got, ok, err, want)
		}
	}
	p, _ := ParsePath("aggregations.load.value")
	if list, _, ok := p.Each(); ok || list.String() != p.String() {
		t.Error("a path without a list is split")
	}
	if p.Name(0) != "aggregations" || p.Name(3) != "" {
		t.Error("the path does not know its names")
	}
	if got := p.Beside("total").String(); got != "aggregations.load.total" || p.String() != "aggregations.load.value" {
		t.Errorf("beside it is %s", got)
	}
}

func TestWhatIsNoPathIsToldWithItsPlace(t *testing.T) {
	for path, want := range map[string]string{
		"":                       "a name is missing (at character 1)",
		"a.":                     "a name is missing (at character 3)",
		"a..b":                   "a name is missing (at character 3)",
		".a":                     "a name is missing (at character 1)",
		"a b":                    "a dot or a bracket is missing (at character 2)",
		"a.b c":                  "a dot or a bracket is missing (at character 4)",
		"a. b":                   "a name with such a character is written in brackets and quotes, e.g. ['99.0'] (at character 3)",
		"a[*].b[*]":              "a second [*]: values are read from one list (at character 7)",
		"a[":                     "the bracket is not closed (at character 2)",
		"a[]":                    "a bracket holds *, the number of an entry, or a name in quotes (at character 2)",
		"a[-1]":                  "a bracket holds *, the number of an entry, or a name in quotes (at character 2)",
		"a[99999999999]":         "a bracket holds *, the number of an entry, or a name in quotes (at character 2)",
		"a['b":                   "the quote is not closed (at character 2)",
		"a['b'":                  "the bracket is not closed after the quote (at character 5)",
		"a]":                     "a dot or a bracket is missing (at character 2)",
		strings.Repeat("a", 501): "the path is too long (at character 501)",
	} {
		_, err := ParsePath(path)
		var wrong *PathError
		if !errors.As(err, &wrong) || err.Error() != want {
			t.Errorf("%q: %v, want %s", path, err, want)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"aggregations.by.buckets[*].cpu.value", "a['b''c'][0]", "a..", "[", "['", "a[*][*]"} {
		f.Add(s, answer)
	}
	f.Fuzz(func(t *testing.T, text, body string) {
		p, err := ParsePath(text)
		if err != nil {
			var wrong *PathError
			if !errors.As(err, &wrong) || wrong.At < 0 || wrong.At > len(text) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		again, err := ParsePath(p.String())
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Errorf("%q is written as %q, which reads otherwise: %v", text, p, err)
		}
		var v any
		if json.Unmarshal([]byte(body), &v) != nil {
			return
		}
		list, entry, _ := p.Each()
		if l, err := list.In(v); err == nil {
			_, _ = entry.In(l)
		}
	})
}
