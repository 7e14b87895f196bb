package rules

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// pointJSON is a Point as JSON: JSON has no NaN and no infinities, so a value is
// a number or one of the strings "NaN", "+Inf" and "-Inf".
type pointJSON struct {
	Member string `json:"member,omitempty"`
	Value  any    `json:"value"`
}

// MarshalJSON writes the point so that every value, NaN included, reads back as it was.
func (p Point) MarshalJSON() ([]byte, error) {
	out := pointJSON{Member: p.Member, Value: p.Value}
	if math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
		out.Value = strconv.FormatFloat(p.Value, 'g', -1, 64)
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (p *Point) UnmarshalJSON(b []byte) error {
	var in pointJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	p.Member = in.Member
	switch v := in.Value.(type) {
	case float64:
		p.Value = v
	case string:
		f, err := strconv.ParseFloat(v, 64)
		if err != nil {
			return fmt.Errorf("read point value: %w", err)
		}
		p.Value = f
	default:
		return fmt.Errorf("read point value: %T is no number", in.Value)
	}
	return nil
}
