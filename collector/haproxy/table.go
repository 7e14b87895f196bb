package haproxy

import (
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"flyball/collector/exporter"
)

// A table is HAProxy's statistics as CSV: a row for each frontend, backend,
// server and listener. Which columns there are depends on HAProxy's version.
type table struct {
	columns map[string]int // places by name
	rows    [][]string
}

var errBrokeOff = errors.New("the answer broke off")

// parseTable reads a table whole. One that broke off is an error.
func parseTable(text string) (table, error) {
	header, ok := strings.CutPrefix(text, "# ")
	if !ok {
		return table{}, protocol(fmt.Errorf("the answer is no table: %w", said(text)))
	}
	if !strings.HasSuffix(text, "\n") {
		return table{}, protocol(errBrokeOff)
	}
	records, err := csv.NewReader(strings.NewReader(header)).ReadAll() // all rows are as long as the first
	if err != nil {
		return table{}, protocol(fmt.Errorf("read the table: %w", err))
	}
	if len(records) == 0 {
		return table{}, protocol(errors.New("the table has no columns"))
	}
	t := table{columns: map[string]int{}, rows: records[1:]}
	for i, name := range records[0] {
		if _, known := t.columns[name]; !known {
			t.columns[name] = i
		}
	}
	for _, name := range []string{"pxname", "svname", "type", "status"} {
		if _, known := t.columns[name]; !known {
			return table{}, protocol(fmt.Errorf("the table has no column %s", name))
		}
	}
	return t, nil
}

// at is a value of a row; "" if the row, or the whole table, has none.
func (t table) at(row []string, column string) string {
	i, known := t.columns[column]
	if !known {
		return ""
	}
	return row[i]
}

// number is a number of a row, and whether the row has it.
func (t table) number(row []string, column string) (v float64, has bool, err error) {
	text := t.at(row, column)
	if text == "" {
		return 0, false, nil
	}
	if v, err = parseNumber(text); err != nil {
		return 0, false, fmt.Errorf("%s of %s/%s: %w", column, t.at(row, "pxname"), t.at(row, "svname"), err)
	}
	return v, true, nil
}

// parseNumber reads a finite number.
func parseNumber(text string) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, protocol(fmt.Errorf("%q is no number", text[:min(len(text), 40)]))
	}
	return v, nil
}

// parseInfo reads an answer to `show info`: lines of a name and a value. A value
// in quotes may go over several lines: it is a description, and left out.
func parseInfo(text string) (map[string]string, error) {
	if !strings.HasPrefix(text, "Name: ") {
		return nil, protocol(fmt.Errorf("the answer does not tell of a HAProxy: %w", said(text)))
	}
	if !strings.HasSuffix(text, "\n") {
		return nil, protocol(errBrokeOff)
	}
	info := map[string]string{}
	quoted := false
	for line := range strings.Lines(text) {
		begun := quoted
		if strings.Count(line, `"`)%2 == 1 {
			quoted = !quoted
		}
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ": ")
		if ok && !begun && !quoted {
			info[name] = value
		}
	}
	if quoted {
		return nil, protocol(errBrokeOff)
	}
	return info, nil
}

func protocol(err error) error { return exporter.Because(exporter.Protocol, err) }
