package cassandra

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"

	"github.com/gocql/gocql"
)

// A row is one row of an answer, by the names of its columns.
type row struct {
	names []string
	cells []cell
}

func newRow(columns []gocql.ColumnInfo) row {
	r := row{names: make([]string, len(columns)), cells: make([]cell, len(columns))}
	for i, c := range columns {
		r.names[i] = c.Name
	}
	return r
}

// into is where the driver puts the cells.
func (r row) into() []any {
	out := make([]any, len(r.cells))
	for i := range r.cells {
		out[i] = &r.cells[i]
	}
	return out
}

func (r row) cell(name string) cell {
	for i, n := range r.names {
		if n == name {
			return r.cells[i]
		}
	}
	return cell{}
}

// text is the text in a column; "" if there is none.
func (r row) text(name string) string { return r.cell(name).text }

// number is the number in a column, and whether there is one. A time is in
// seconds of the Unix epoch, a truth 0 or 1, a list or set its length.
func (r row) number(name string) (float64, bool) {
	c := r.cell(name)
	return c.number, c.counts
}

// A cell is one value, whatever its CQL type. The zero cell is null.
type cell struct {
	text   string // also of addresses and identities
	number float64
	counts bool // there is a number
}

// UnmarshalCQL reads the value as it came over the wire.
func (c *cell) UnmarshalCQL(info gocql.TypeInfo, b []byte) error { return c.decode(info.Type(), b) }

// decode reads a value of the native protocol, version 4, section 6.
func (c *cell) decode(t gocql.Type, b []byte) error {
	*c = cell{}
	if b == nil {
		return nil
	}
	switch t {
	case gocql.TypeText, gocql.TypeVarchar, gocql.TypeAscii:
		c.text = string(b)
	case gocql.TypeInet:
		return c.address(b)
	case gocql.TypeUUID, gocql.TypeTimeUUID:
		id, err := gocql.UUIDFromBytes(b)
		if err != nil {
			return fmt.Errorf("decode %s: %w", t, err)
		}
		c.text = id.String()
	default:
		return c.count(t, b)
	}
	return nil
}

func (c *cell) address(b []byte) error {
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		return fmt.Errorf("decode inet: %d bytes are no address", len(b))
	}
	c.text = a.Unmap().String()
	return nil
}

// width is how many bytes a number has; 0 for what has no fixed width, or is none.
func width(t gocql.Type) int {
	switch t {
	case gocql.TypeBoolean, gocql.TypeTinyInt:
		return 1
	case gocql.TypeSmallInt:
		return 2
	case gocql.TypeInt, gocql.TypeFloat:
		return 4
	case gocql.TypeBigInt, gocql.TypeCounter, gocql.TypeTimestamp, gocql.TypeDouble:
		return 8
	}
	return 0
}

// count reads a number, or what we want the number of. What has none stays null.
func (c *cell) count(t gocql.Type, b []byte) error {
	size := width(t)
	list := t == gocql.TypeSet || t == gocql.TypeList || t == gocql.TypeMap
	switch {
	case len(b) == 0, size == 0 && !list:
		return nil
	case list && len(b) < 4, !list && len(b) != size:
		return fmt.Errorf("decode %s: it has %d bytes", t, len(b))
	}
	c.counts = true
	switch t {
	case gocql.TypeBoolean, gocql.TypeTinyInt:
		c.number = float64(int8(b[0]))
	case gocql.TypeSmallInt:
		c.number = float64(int16(binary.BigEndian.Uint16(b)))
	case gocql.TypeFloat:
		c.number = float64(math.Float32frombits(binary.BigEndian.Uint32(b)))
	case gocql.TypeDouble:
		c.number = math.Float64frombits(binary.BigEndian.Uint64(b))
	case gocql.TypeTimestamp:
		c.number = float64(int64(binary.BigEndian.Uint64(b))) / 1000
	case gocql.TypeBigInt, gocql.TypeCounter:
		c.number = float64(int64(binary.BigEndian.Uint64(b)))
	default:
		c.number = float64(int32(binary.BigEndian.Uint32(b)))
	}
	return nil
}
