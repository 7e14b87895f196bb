package samples

import (
	"math"
	"strconv"
	"time"
)

// A clock writes times; documents that follow one another are mostly of the same second.
type clock struct {
	second int64
	text   []byte // "{"@timestamp":"2026-11-20T10:00:00."
	valid  bool
}

const (
	documentBegin = `{"@timestamp":"`
	secondFormat  = "2006-01-02T15:04:05."
)

// begin begins a document of a time in milliseconds since 1970.
func (c *clock) begin(b []byte, at int64) []byte {
	ms := mod(at, 1000)
	second := (at - ms) / 1000
	if !c.valid || second != c.second {
		c.text = time.Unix(second, 0).UTC().AppendFormat(append(c.text[:0], documentBegin...), secondFormat)
		c.second, c.valid = second, true
	}
	b = append(b, c.text...)
	return append(b, byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z', '"')
}

// appendDocument writes the document of samples that share a group and a time, each
// of another metric.
func (c *clock) appendDocument(b []byte, g *group, rows []row) []byte {
	b = c.begin(b, rows[0].at)
	b = append(b, g.prefix...)
	var sum uint64
	for i := range rows {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, rows[i].metric.key...)
		b = appendNumber(b, rows[i].value)
		sum += rows[i].metric.hash
	}
	b = append(b, `},"metrics_names_fingerprint":"`...)
	f := fingerprint(sum)
	b = append(b, f[:]...)
	return append(b, `"}}`...)
}

// appendNumber writes the shortest number that is read back as v.
func appendNumber(b []byte, v float64) []byte {
	const exact = 1 << 53 // below it, integers are what they seem
	if v == math.Trunc(v) && math.Abs(v) < exact && !(v == 0 && math.Signbit(v)) {
		return strconv.AppendInt(b, int64(v), 10)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}
