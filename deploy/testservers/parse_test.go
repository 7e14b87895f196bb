package testservers

import (
	"bytes"
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestAProcessMayHaveAnyName(t *testing.T) {
	rest := " S 17 " + strings.Repeat("0 ", 17) + "4711 0"
	for _, name := range []string{"sh", "a b", "a) Z 1 (b", ")", "(", ""} {
		got, err := parseStat("42 (" + name + ")" + rest)
		if want := (process{parent: 17, program: name, state: 'S', started: "4711"}); err != nil || got != want {
			t.Errorf("%q: %+v, %v", name, got, err)
		}
	}
	self, err := readProcess(os.Getpid())
	if err != nil || self.parent != os.Getppid() || !self.running() {
		t.Errorf("this one is %+v, %v", self, err)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("42 (sh) S 17 " + strings.Repeat("0 ", 17) + "4711 0")
	f.Add(") (")
	f.Fuzz(func(t *testing.T, line string) {
		if p, err := parseStat(line); err == nil && !strings.Contains(line, "("+p.program+")") {
			t.Errorf("%q has the program %q", line, p.program)
		}
	})
}

func TestRowsAreReadAsTheyAreSent(t *testing.T) {
	sent := []byte("\x00\x00\x00\x02\x00\x00\x00\x05\x00\x00\x00\x02\x00\x00\x00\x02" +
		"\x00\x00\x00\x01a\xff\xff\xff\xff" + "\x00\x00\x00\x00\x00\x00\x00\x02bc")
	rows, err := readRows(bytes.NewReader(sent))
	if want := [][]string{{"a", ""}, {"", "bc"}}; err != nil || !reflect.DeepEqual(rows, want) {
		t.Errorf("%q, %v", rows, err)
	}
	if rows, err := readRows(bytes.NewReader([]byte{0, 0, 0, 1})); rows != nil || err != nil {
		t.Errorf("nothing: %q, %v", rows, err)
	}
}

func FuzzReadRows(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x02\x00\x00\x00\x05\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01a"))
	f.Add([]byte("\x00\x00\x00\x02\x00\x00\x00\x04\x7f\xff\xff\xff\x7f\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		rows, err := readRows(bytes.NewReader(sent))
		size := 0
		for _, row := range rows {
			for _, value := range row {
				size += len(value)
			}
		}
		if err == nil && size > len(sent) {
			t.Errorf("%d bytes became %d", len(sent), size)
		}
	})
}
