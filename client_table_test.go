package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestLongTextsAreFoldedAndTheirEndIsCut(t *testing.T) {
	s := sheet{columns: 80}
	short := "elasticsearch is fine"
	if got := s.fold(short); len(got) != 1 || got[0] != short {
		t.Errorf("folded %q", got)
	}
	for _, word := range []string{"word ", "ä ", strings.Repeat("x", s.columns) + " "} {
		lines := s.fold(strings.Repeat(word, 500))
		if len(lines) != mostFolded || !strings.HasSuffix(s.cut(lines[mostFolded-1]), "…") {
			t.Errorf("folded %q", lines)
		}
		for i, l := range lines[1:] {
			if !strings.HasPrefix(l, "  ") {
				t.Errorf("line %d is %q", i+1, l)
			}
		}
	}
}

func TestLinesAreCutWhereTheTerminalEndsAndInNoPipe(t *testing.T) {
	long := strings.Repeat("why ", 100)
	for columns, want := range map[string]int{"": 5 + 399, "80": 80, "200": 200, "nonsense": 5 + 399} {
		t.Setenv("COLUMNS", columns)
		var out bytes.Buffer
		if err := printTable(newSheet(&out), [][]string{{"web", long}}); err != nil {
			t.Fatal(err)
		}
		if got := len([]rune(strings.TrimSuffix(out.String(), "\n"))); got != want {
			t.Errorf("COLUMNS=%s: a line of %d characters, want %d", columns, got, want)
		}
		if one := newSheet(&out).whole(long); columns == "" && one != long {
			t.Errorf("folded: %q", one)
		}
	}
}
