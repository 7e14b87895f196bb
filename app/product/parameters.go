package product

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Names lists the parameters' names, sorted.
func (ps Parameters) Names() []string { return slices.Sorted(maps.Keys(ps)) }

// Text shows parameters for people to edit, one `name = value` a line, sorted by
// name. A string stands bare unless it would be read as something else.
// [ParseParameters] reads it back to the same.
func (ps Parameters) Text() string {
	var b strings.Builder
	for _, name := range ps.Names() {
		fmt.Fprintf(&b, "%s = %s\n", name, scalarText(ps[name]))
	}
	return b.String()
}

// Encode writes parameters as one JSON object, as a store keeps them. None at all are
// an empty one.
func (ps Parameters) Encode() (string, error) {
	if ps == nil {
		ps = Parameters{}
	}
	b, err := json.Marshal(ps)
	if err != nil {
		return "", fmt.Errorf("encode parameters: %w", err)
	}
	return string(b), nil
}

// DecodeParameters reads what [Parameters.Encode] writes. Numbers stay as they were
// written.
func DecodeParameters(s string) (Parameters, error) {
	var ps Parameters
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	if err := dec.Decode(&ps); err != nil {
		return nil, fmt.Errorf("decode parameters: %w", err)
	}
	return ps, nil
}

func scalarText(v any) string {
	if s, ok := v.(string); ok && bare(s) {
		return s
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSpace(b.String())
}

// bare reports whether a string survives being written without quotes.
func bare(s string) bool {
	if strings.TrimSpace(s) != s || strings.ContainsAny(s, "\n\r\"") {
		return false
	}
	got, isText := parseScalar(s).(string)
	return isText && got == s
}

// ParseParameters reads what [Parameters.Text] writes. A value that is a JSON
// number, true, false, null or a quoted string is that, everything else is a
// string as it stands. Empty lines are passed over. The error is [Faults].
func ParseParameters(s string) (Parameters, error) {
	ps := Parameters{}
	var f Faults
	n := 0
	for line := range strings.Lines(s) {
		n++
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		_, twice := ps[name]
		switch {
		case !found:
			f = append(f, Fault{"parameters", fmt.Sprintf("line %d has no = sign: write name = value", n)})
		case twice:
			f = append(f, Fault{"parameters", fmt.Sprintf("line %d gives %q a second time", n, name)})
		default:
			ps[name] = parseScalar(strings.TrimSpace(value))
		}
	}
	if len(f) > 0 {
		return nil, f
	}
	return ps, nil
}

func parseScalar(s string) any {
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil || dec.InputOffset() != int64(len(s)) {
		return s
	}
	switch v.(type) {
	case nil, bool, string, json.Number:
		return v
	}
	return s
}
