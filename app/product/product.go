// Package product is the domain of the app: products as in a catalogue, what a
// valid one looks like, and the [Store] that keeps them. It knows neither HTTP
// nor any database.
package product

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The bounds of a product. Lengths are in characters, but for those of a
// parameter's value, which are in bytes.
const (
	MaxID             = 64
	MaxType           = 64
	MaxName           = 200
	MaxParameters     = 64
	MaxParameterName  = 64
	MaxParameterValue = 1024
	MaxNumber         = 40
)

// A Product is one entry of the catalogue.
type Product struct {
	ID         string
	Type       string
	Name       string
	Parameters Parameters
	Version    string    // of the stored product: the store makes a new one at every write and never makes one twice
	Created    time.Time // UTC, in microseconds
	Updated    time.Time // UTC, in microseconds
}

// Parameters are free-form: a name and a JSON scalar, which is a string, a
// [json.Number], a bool or nil.
type Parameters map[string]any

// A Fault is one thing that is wrong with a product.
type Fault struct {
	Field  string // id, type, name, parameters or parameters/NAME
	Detail string // what is wrong and what would be right
}

// Faults is all that is wrong with a product at once. It is an error.
type Faults []Fault

// Error lists the faults on one line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, x := range f {
		lines[i] = x.Field + ": " + x.Detail
	}
	return "validate product: " + strings.Join(lines, "; ")
}

// NewID makes an identifier that nobody else makes and that sorts behind those
// made in earlier milliseconds, so that new products stand beside each other on disk.
func NewID(now time.Time) string {
	var tail [8]byte
	rand.Read(tail[:])
	return fmt.Sprintf("%012x%s", now.UnixMilli(), hex.EncodeToString(tail[:]))
}

// NewVersion makes a text that is never made twice.
func NewVersion() string { return strings.ToLower(rand.Text())[:16] }

// Validate says what is wrong with what a client may set (id, type, name,
// parameters): nil, or [Faults] with every mistake in it.
func (p Product) Validate() error {
	var f Faults
	if !ValidID(p.ID) {
		f = append(f, Fault{"id", fmt.Sprintf("must be 1 to %d of the characters a-z A-Z 0-9 . _ - and begin with a letter or a digit", MaxID)})
	}
	f = append(f, text("type", p.Type, MaxType)...)
	f = append(f, text("name", p.Name, MaxName)...)
	f = append(f, p.Parameters.faults()...)
	if len(f) == 0 {
		return nil
	}
	return f
}

// ValidID reports whether a text may be a product's identifier.
func ValidID(id string) bool {
	if id == "" || len(id) > MaxID || strings.IndexByte("._-", id[0]) >= 0 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// ValidType says what is wrong with a type: nil or [Faults].
func ValidType(t string) error {
	if f := text("type", t, MaxType); len(f) > 0 {
		return f
	}
	return nil
}

func text(field, s string, most int) Faults {
	n := utf8.RuneCountInString(s)
	switch {
	case n == 0:
		return Faults{{field, fmt.Sprintf("is missing: give 1 to %d characters", most)}}
	case n > most:
		return Faults{{field, fmt.Sprintf("has %d characters: at most %d are allowed", n, most)}}
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return Faults{{field, "contains a control character or is not UTF-8: remove it"}}
	case strings.TrimSpace(s) != s:
		return Faults{{field, "begins or ends with white space: remove it"}}
	}
	return nil
}

func (ps Parameters) faults() Faults {
	if len(ps) > MaxParameters {
		return Faults{{"parameters", fmt.Sprintf("has %d entries: at most %d are allowed", len(ps), MaxParameters)}}
	}
	var f Faults
	for _, name := range ps.Names() {
		for _, x := range text("parameters/"+name, name, MaxParameterName) {
			f = append(f, Fault{x.Field, "the name " + x.Detail})
		}
		if strings.ContainsRune(name, '=') {
			f = append(f, Fault{"parameters/" + name, "the name contains a = sign: remove it"})
		}
		if bad := scalarFault(ps[name]); bad != "" {
			f = append(f, Fault{"parameters/" + name, bad})
		}
	}
	return f
}

// scalarFault says what is wrong with a parameter's value, or "".
func scalarFault(v any) string {
	switch v := v.(type) {
	case nil, bool:
		return ""
	case string:
		if len(v) > MaxParameterValue {
			return fmt.Sprintf("has %d bytes: at most %d are allowed", len(v), MaxParameterValue)
		}
		if !utf8.ValidString(v) {
			return "is not UTF-8"
		}
		return ""
	case json.Number:
		if len(v) > MaxNumber {
			return fmt.Sprintf("is a number of %d characters: at most %d are allowed", len(v), MaxNumber)
		}
		return ""
	default:
		return "must be a string, a number, true, false or null"
	}
}
