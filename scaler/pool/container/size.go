package container

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes, written 64MB, 1.5GiB or 67108864.
type Size int64

// leastMemory is the smallest limit that Docker accepts.
const leastMemory Size = 6 << 20

// unit is a power of 1000 or 1024.
type unit struct {
	name  string
	bytes float64
}

// units are what a size may be written in, the largest first.
func units() []unit {
	return []unit{
		{"TiB", 1 << 40},
		{"TB", 1e12},
		{"GiB", 1 << 30},
		{"GB", 1e9},
		{"MiB", 1 << 20},
		{"MB", 1e6},
		{"KiB", 1 << 10},
		{"kB", 1e3},
		{"B", 1},
	}
}

// UnmarshalText reads 64MB, 1.5GiB or 67108864.
func (s *Size) UnmarshalText(b []byte) error {
	text := string(b)
	digits, factor := text, 1.0
	for _, u := range units() {
		if head, ok := strings.CutSuffix(text, u.name); ok {
			digits, factor = head, u.bytes
			break
		}
	}
	n, err := strconv.ParseFloat(digits, 64)
	if n *= factor; err != nil || !(n >= 0 && n <= 1<<60) || strings.ContainsAny(digits, "eExXpPnN_+ ") {
		return fmt.Errorf("%q is no size: write it like 64MB or 1GiB", text)
	}
	*s = Size(math.Round(n))
	return nil
}

// String writes s in the largest unit that it is a whole number of.
func (s Size) String() string {
	for _, u := range units() {
		if n := int64(u.bytes); s != 0 && int64(s)%n == 0 {
			return strconv.FormatInt(int64(s)/n, 10) + u.name
		}
	}
	return "0B"
}

// JSONSchema describes what UnmarshalText reads.
func (Size) JSONSchema() map[string]any {
	return map[string]any{"anyOf": []any{
		map[string]any{"type": "integer", "minimum": 0},
		map[string]any{"type": "string", "pattern": `^[0-9.]+(kB|[MGT]B|[KMGT]iB|B)?$`},
	}}
}
