package source

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"flyball/rules"
)

// seeds gives a fuzz target all files that tests are made of.
func seeds(f *testing.F) {
	f.Helper()
	for _, pattern := range []string{"bad/*.yaml", "bad/*/*.yaml", "good/*/*.yaml", "good/*/rules/*.yaml"} {
		files, err := filepath.Glob("../../testdata/config/" + pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
}

// checkProblems checks what must hold of problems whatever the input.
func checkProblems(t *testing.T, b []byte, ps []Problem) {
	t.Helper()
	lines := strings.Count(string(b), "\n") + 1
	for _, p := range ps {
		if p.Text == "" || p.Line > lines || p.Line > 0 && p.Col < 1 || p.Line < 0 {
			t.Errorf("a problem without text or outside of the %d lines: %+v", lines, p)
		}
		if !utf8.ValidString(p.Error()) {
			t.Errorf("a problem that is no text: %q", p.Error())
		}
	}
}

func FuzzDecode(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		_, ps := Decode[kitchen]("f.yaml", b)
		checkProblems(t, b, ps)
		_, ps = Decode[tree]("f.yaml", b)
		checkProblems(t, b, ps)
	})
}

func FuzzScaleFile(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		l := newLoader(under())
		l.name = "f.scale.yaml"
		rs := l.scaleFile("f.scale.yaml", b)
		checkProblems(t, b, l.problems)
		if len(l.problems) > 0 {
			return
		}
		for _, r := range rs {
			if r.Min < 1 || r.Max < r.Min || len(r.Signals) == 0 || r.Out.Limit.Every <= 0 || r.In.Limit.Every <= 0 {
				t.Errorf("a rule that is none passes: %+v", r)
			}
		}
	})
}

func FuzzRuleGroups(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		l := newLoader(under())
		checkProblems(t, b, append(l.groups("f.rules.yaml", b), l.problems...))
	})
}

func FuzzPlace(f *testing.F) {
	f.Add("$.pools.web.list[1]", []byte("pools:\n  web: {list: [a, b]}\n"))
	f.Add("$.'a''b'[", []byte("? a\n: b\n"))
	f.Fuzz(func(t *testing.T, path string, b []byte) {
		checkProblems(t, b, Place("f.yaml", b, []rules.Fault{{Path: path, Text: "x"}}))
	})
}

// text is what FuzzTexts gives a text to.
type text interface{ UnmarshalText(b []byte) error }

func FuzzTexts(f *testing.F) {
	for _, s := range []string{"30s", "1h30m", "60%", "4", "25%", "250ms", "1GiB", "80/s", "-1", "1e400", "NaN", "%", "B"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var d duration
		var p Percent
		var a Amount
		var q Quantity
		var s signalRule
		var n fieldName
		for _, x := range []text{&d, &p, &a, &q, &s, &n} {
			if err := x.UnmarshalText(b); err != nil && err.Error() == "" {
				t.Errorf("%T: a mistake without a text", x)
			}
		}
		if a.Members < 0 || a.Percent < 0 || d < 0 {
			t.Errorf("%q is negative: %+v, %d", b, a, d)
		}
	})
}
