package source

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"flyball/rules"
)

// kitchen has one field of every kind that is read.
type kitchen struct {
	Name     string             `yaml:"name" default:"none"`
	On       bool               `yaml:"on_or_off"`
	Count    int                `yaml:"count" default:"3"`
	Ratio    float64            `yaml:"ratio"`
	Wait     model.Duration     `yaml:"wait" default:"30s"`
	Nap      time.Duration      `yaml:"nap"`
	Share    Percent            `yaml:"share"`
	Some     []Amount           `yaml:"some" default:"[1, 50%]"`
	Limit    *Quantity          `yaml:"limit"`
	Words    map[string]string  `yaml:"words"`
	Inner    inner              `yaml:"inner" default:"{a: outer}"`
	Others   map[string]*inner  `yaml:"others"`
	Raw      Verbatim           `yaml:"raw"`
	Own      ownYAML            `yaml:"own"`
	Skipped  string             `yaml:"-"`
	Shorthut map[string]toggled `yaml:"toggled"`
}

type inner struct {
	A string `yaml:"a" default:"alone"`
	B string `yaml:"b" default:"bee"`
}

// toggled is a word or a mapping.
type toggled struct {
	A    string `yaml:"a"`
	word string
}

func (x *toggled) UnmarshalText(b []byte) error { x.word = string(b); return nil }

// ownYAML reads YAML by itself.
type ownYAML struct{ text string }

func (o *ownYAML) UnmarshalYAML(b []byte) error {
	if strings.Contains(string(b), "wrong") {
		return fmt.Errorf("is wrong")
	}
	o.text = strings.TrimSpace(string(b))
	return nil
}

func TestDecodeReadsEveryKind(t *testing.T) {
	got, ps := Decode[kitchen]("k.yaml", []byte(`
name: it's
on_or_off: true
count: -4
ratio: 1e-3
wait: 1h30m
nap: 250ms
share: 2.5%
some: [4]
limit: 1.5GiB
words: {"yes": "no", empty: , multi: two words}
inner: {b: written}
others: {x: , y: {a: z}}
own: {a: [1, 2]}
toggled: {x: word, y: {a: b}}
`))
	if len(ps) > 0 {
		t.Fatal(Problems(ps))
	}
	want := kitchen{
		Name: "it's", On: true, Count: -4, Ratio: 0.001, Wait: model.Duration(90 * time.Minute), Nap: 250 * time.Millisecond,
		Share: 2.5, Some: []Amount{{Members: 4}}, Limit: &Quantity{1.5 * (1 << 30), "bytes"},
		Words: map[string]string{"yes": "no", "empty": "", "multi": "two words"},
		Inner: inner{"outer", "written"}, Others: map[string]*inner{"x": nil, "y": {"z", "bee"}},
		Own: ownYAML{"{a: [1, 2]}"}, Shorthut: map[string]toggled{"x": {word: "word"}, "y": {A: "b"}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(ownYAML{}, toggled{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnEmptyDocumentIsAllDefaults(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n", "inner:\nname: ~\n", "\xef\xbb\xbf"} {
		got, ps := Decode[kitchen]("k.yaml", []byte(text))
		if len(ps) > 0 {
			t.Fatalf("%q: %v", text, Problems(ps))
		}
		if got.Name != "none" || got.Count != 3 || got.Wait != model.Duration(30*time.Second) || got.Inner != (inner{"outer", "bee"}) || len(got.Some) != 2 {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func TestAnchorsAndMergesAreFollowed(t *testing.T) {
	got, ps := Decode[kitchen]("k.yaml", []byte(`
others:
  base: &base {a: one, b: two}
  over: {<<: *base, b: three}
  list: {<<: [{a: first}, *base]}
  same: *base
`))
	if len(ps) > 0 {
		t.Fatal(Problems(ps))
	}
	want := map[string]*inner{"base": {"one", "two"}, "over": {"one", "three"}, "list": {"first", "two"}, "same": {"one", "two"}}
	if diff := cmp.Diff(want, got.Others); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// tree nests without end.
type tree map[string]tree

func TestBombsEndEarly(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 {x: }\n")
	for i := range 40 {
		fmt.Fprintf(&laughs, "a%d: &a%d {x: *a%d, y: *a%d, z: *a%d}\n", i+1, i+1, i, i, i)
	}
	var merges strings.Builder
	merges.WriteString("a0: &a0 {x: }\n")
	for i := range 40 {
		fmt.Fprintf(&merges, "a%d: &a%d {<<: [*a%d, *a%d, *a%d]}\n", i+1, i+1, i, i, i)
	}
	for name, text := range map[string]string{
		"aliases of aliases": laughs.String(),
		"merges of merges":   merges.String(),
		"a circle":           "a: &a {x: *a}\n",
		"a circle of merges": "a: &a {<<: *a}\n",
		"an alias of itself": "a: &a *a\n",
		"brackets":           strings.Repeat("[", 150_000),
		"braces":             strings.Repeat("{a: ", 100_000),
		"dashes":             strings.Repeat("- ", 150_000),
		"question marks":     strings.Repeat("? ", 150_000),
		"anchors":            strings.Repeat("&a ", 110_000),
		"tags":               strings.Repeat("!a ", 110_000),
		"many names":         strings.Repeat("a:\n", 110_000),
		"size":               strings.Repeat("#", mostBytes+1),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			if _, ps := Decode[tree]("bomb.yaml", []byte(text)); len(ps) == 0 {
				t.Error("no problem was found")
			} else if len(Problems(ps).Error()) > 4<<20 {
				t.Errorf("%d problems are too many to read", len(ps))
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestAMistakeHidesNoOther(t *testing.T) {
	_, ps := Decode[kitchen]("k.yaml", []byte("count: x\nwait: 5\nshare: 5\nsome: [a, b]\nown: wrong\nothers: {x: {c: 1}, y: 5}\n"))
	var lines []string
	for _, p := range ps {
		lines = append(lines, fmt.Sprintf("%d:%d %s", p.Line, p.Col, p.Path))
	}
	want := []string{"1:8 $.count", "2:7 $.wait", "3:8 $.share", "4:8 $.some[0]", "4:11 $.some[1]", "5:6 $.own", "6:14 $.others.x.c", "6:24 $.others.y"}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestVerbatimKeepsLines(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"block":        {"name: a\nraw:\n  # why\n  x:\n    y: |\n      z\n\n  w: 1\ncount: 1\n", "\n\n\nx:\n  y: |\n    z\n\nw: 1\n"},
		"flow":         {"name: a\nraw: {x: 1,\n  y: 2}\ncount: 1\n", "\n     {x: 1,\n  y: 2}\n"},
		"flow below":   {"raw:\n  {x: 1}\n", "\n  {x: 1}\n\n"},
		"list":         {"raw:\n- a\n- b\n", "\n- a\n- b\n"},
		"json":         {"{raw: {x: 1}}", "{x: 1}\n"},
		"last, no end": {"raw:\n  x: 1", "\nx: 1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, ps := Decode[kitchen]("k.yaml", []byte(c.text))
			if len(ps) > 0 {
				t.Fatal(Problems(ps))
			}
			if diff := cmp.Diff(c.want, got.Raw.Text); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlaceFindsPaths(t *testing.T) {
	text := []byte("pools:\n  web:\n    drain: 30s\n    list: [a, b]\n  'a.b': {c: 1}\n")
	for path, want := range map[string]string{
		"$.pools.web.drain":            "3:12",
		"$.pools.web":                  "2:3",
		"$.pools.web.missing.deep":     "2:3",
		"$.pools.web.list[1]":          "4:15",
		"$.pools.web.list[7]":          "4:5",
		"$.nothing":                    "1:1",
		"$":                            "1:1",
		Path("$.pools", "a.b", "c"):    "5:14",
		"$..[[]'":                      "1:1",
		Path("$.pools", "it's", "[0]"): "1:1",
	} {
		ps := Place("f.yaml", text, []rules.Fault{{Path: path, Text: "is wrong"}})
		if got := fmt.Sprintf("%d:%d", ps[0].Line, ps[0].Col); got != want {
			t.Errorf("%s is at %s, want %s", path, got, want)
		}
	}
}

func TestTextsPrintBackAsTheyWereMeant(t *testing.T) {
	for text, want := range map[string]Quantity{
		"60%": {0.6, "percent"}, "250ms": {0.25, "seconds"}, "80": {80, ""}, "1GiB": {1 << 30, "bytes"},
		"2kB": {2000, "bytes"}, "20B": {20, "bytes"}, "80/s": {80, "per_second"}, "1h": {3600, "seconds"}, "1.5TiB": {1.5 * (1 << 40), "bytes"},
	} {
		var q Quantity
		if err := q.UnmarshalText([]byte(text)); err != nil || q != want {
			t.Errorf("%s is %+v, want %+v (%v)", text, q, want, err)
		}
	}
	for _, text := range []string{"", "%", "GiB", "NaN", "inf", "0x10", "1_000", "5 m", "-1h", "60%%", "1KB"} {
		var q Quantity
		if err := q.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as %+v", text, q)
		}
	}
}
