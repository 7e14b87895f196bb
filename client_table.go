package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"golang.org/x/term"
)

// A sheet is what answers are printed on for people.
type sheet struct {
	io.Writer
	columns int // the length of a line; 0: any, as in a file or a pipe
}

// newSheet is a sheet as wide as the terminal that w is, or as the environment's COLUMNS says.
func newSheet(w io.Writer) sheet {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return sheet{w, n}
	}
	if f, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil {
			return sheet{w, n}
		}
	}
	return sheet{w, 0}
}

// printTable prints rows in aligned columns, the last one cut where the sheet ends.
func printTable(w sheet, rows [][]string) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			row[i] = printable(cell)
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(w, w.cut(strings.TrimRight(line, " \n"))); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return nil
}

// fits reports whether the sheet is wide enough for a line.
func (s sheet) fits(line string) bool { return s.columns == 0 || len([]rune(line)) <= s.columns }

// cut shortens a line to the sheet's width.
func (s sheet) cut(line string) string {
	if s.fits(line) {
		return line
	}
	return string([]rune(line)[:s.columns-1]) + "…"
}

// whole is a text in as many lines as it needs; one that fits stays as it is.
func (s sheet) whole(text string) string {
	if s.fits(text) {
		return text
	}
	return strings.Join(s.fold(text), "\n")
}

// mostFolded is how many lines a text may take.
const mostFolded = 5

// fold breaks a text that is wider than the sheet, and indents what follows its first
// line.
func (s sheet) fold(text string) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case s.fits(line + " " + word):
			line += " " + word
		case len(lines) == mostFolded-1:
			return append(lines, s.cut(line+" "+word+" …"))
		default:
			lines, line = append(lines, line), "  "+word
		}
	}
	return append(lines, line)
}

// printable replaces what would steer the terminal: texts come from others.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// span is a length of time as people read it: 42s, 4m10s, 3h5m, 12d4h.
func span(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
	}
}

// clock is a time as it is printed.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }
