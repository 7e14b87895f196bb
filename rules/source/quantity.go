package source

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"flyball/rules"
)

// duration reads Prometheus' durations with hints.
type duration model.Duration

// UnmarshalText reads 30s, 5m, 1h30m, 250ms or 1d. A number without a unit is a mistake.
func (d *duration) UnmarshalText(b []byte) error {
	s := string(b)
	v, err := model.ParseDuration(s)
	switch {
	case err == nil && v == 0 && s == "0", isNumber(s):
		return &Mistake{brief(s) + " has no unit", "write " + brief(s) + "s for seconds, " + brief(s) + "m for minutes"}
	case strings.HasPrefix(s, "-"):
		return &Mistake{brief(s) + " is negative", "durations are 0s or longer"}
	case err != nil:
		return &Mistake{`"` + brief(s) + `" is no duration`, "write it like 30s, 5m or 1h30m"}
	}
	*d = duration(v)
	return nil
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}

// Percent is a share that is written with a percent sign: 60% is 60.
type Percent float64

// UnmarshalText reads 60% or 2.5%.
func (p *Percent) UnmarshalText(b []byte) error {
	s := string(b)
	f, err := finite(strings.TrimSuffix(s, "%"))
	switch {
	case err == nil && !strings.HasSuffix(s, "%"):
		return &Mistake{brief(s) + " has no unit", "write " + asPercent(f)}
	case err != nil:
		return &Mistake{`"` + brief(s) + `" is no share`, "write it like 60%"}
	}
	*p = Percent(f)
	return nil
}

// asPercent guesses what was meant by a bare number.
func asPercent(f float64) string {
	if f > 0 && f <= 1 {
		f *= 100
	}
	return strconv.FormatFloat(f, 'g', 6, 64) + "%"
}

// finite reads a decimal number.
func finite(s string) (float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || strings.ContainsAny(s, "xXpP_") {
		return 0, strconv.ErrSyntax
	}
	return f, nil
}

// JSONSchema describes what UnmarshalText reads.
func (Percent) JSONSchema() map[string]any {
	return map[string]any{"type": "string", "pattern": `^[0-9]+(\.[0-9]+)?%$`}
}

// Amount is a number of members or a share of them: 4 or 25%.
type Amount rules.Amount

// UnmarshalText reads 4 or 25%. Neither may be negative.
func (a *Amount) UnmarshalText(b []byte) error {
	s := string(b)
	if share, ok := strings.CutSuffix(s, "%"); ok {
		f, err := finite(share)
		if err != nil || f < 0 {
			return &Mistake{`"` + brief(s) + `" is no share`, "write it like 25%"}
		}
		*a = Amount{Percent: f}
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return &Mistake{`"` + brief(s) + `" is no number of members and no share of them`, "write it like 4 or 25%"}
	}
	*a = Amount{Members: n}
	return nil
}

// JSONSchema describes what UnmarshalText reads.
func (Amount) JSONSchema() map[string]any {
	return map[string]any{"anyOf": []any{
		map[string]any{"type": "integer", "minimum": 0},
		map[string]any{"type": "string", "pattern": `^[0-9]+(\.[0-9]+)?%$|^[0-9]+$`},
	}}
}

// Quantity is a number with its unit, as a query answers it: seconds, bytes, a
// share of 1, a rate per second, or a bare number.
type Quantity struct {
	Value float64
	Unit  string // seconds, bytes, percent, per_second, or "" for a bare number
}

// sizes are the units of bytes.
const sizes = "B kB MB GB TB KiB MiB GiB TiB"

// UnmarshalText reads 250ms, 60%, 1GiB, 80/s or 80.
func (q *Quantity) UnmarshalText(b []byte) error {
	s := string(b)
	if f, err := finite(s); err == nil {
		*q = Quantity{Value: f}
		return nil
	}
	if share, ok := strings.CutSuffix(s, "%"); ok {
		if f, err := finite(share); err == nil {
			*q = Quantity{f / 100, "percent"}
			return nil
		}
	}
	if rate, ok := strings.CutSuffix(s, "/s"); ok {
		if f, err := finite(rate); err == nil {
			*q = Quantity{f, "per_second"}
			return nil
		}
	}
	if d, err := model.ParseDuration(s); err == nil {
		*q = Quantity{time.Duration(d).Seconds(), "seconds"}
		return nil
	}
	if f, ok := bytesOf(s); ok {
		*q = Quantity{f, "bytes"}
		return nil
	}
	return &Mistake{`"` + brief(s) + `" is no quantity`, "write it like 60%, 250ms, 1GiB, 80/s or 80"}
}

// JSONSchema describes what UnmarshalText reads.
func (Quantity) JSONSchema() map[string]any {
	return map[string]any{"anyOf": []any{
		map[string]any{"type": "number"},
		map[string]any{"type": "string", "pattern": `^-?[0-9.]+(e[0-9]+)?(%|/s|[kMGT]i?B|B)?$|^([0-9]+(ms|[smhdwy]))+$`},
	}}
}

// bytesOf reads a size like 1GiB, 500MB or 20B.
func bytesOf(s string) (float64, bool) {
	digits := strings.TrimRight(s, "BkKMGTi")
	f, err := finite(digits)
	if err != nil {
		return 0, false
	}
	for i, unit := range strings.Fields(sizes) {
		if s[len(digits):] == unit && i < 5 {
			return f * math.Pow(1000, float64(i)), true
		} else if s[len(digits):] == unit {
			return f * math.Pow(1024, float64(i-4)), true
		}
	}
	return 0, false
}
