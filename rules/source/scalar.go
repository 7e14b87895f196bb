package source

import (
	"encoding"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/prometheus/common/model"
)

// A Mistake is an error of a text with what to do about it. A type's UnmarshalText
// may return one.
type Mistake struct {
	Text string // what is wrong; begins with the text that was read, where that helps
	Hint string
}

// Error is the mistake with its hint.
func (m *Mistake) Error() string {
	if m.Hint == "" {
		return m.Text
	}
	return m.Text + " (" + m.Hint + ")"
}

func itoa(i int) string { return strconv.Itoa(i) }

// special reads the types that have their own way; false if v is none of them.
func (r *reader) special(n ast.Node, v reflect.Value, path string) bool {
	switch x := v.Addr().Interface().(type) {
	case *model.Duration:
		r.fromText(n, (*duration)(x), path)
	case *time.Duration:
		r.fromText(n, (*duration)(x), path)
	case verbatim:
		x.setVerbatim(r.doc.verbatim(path, n))
	case fromNode:
		x.readNode(r, n, path)
	case encoding.TextUnmarshaler:
		if _, isMap := pairs(n); isMap && v.Kind() == reflect.Struct {
			return false
		}
		r.fromText(n, x, path)
	case yaml.BytesUnmarshaler:
		if err := x.UnmarshalYAML([]byte(n.String())); err != nil {
			r.mistake(n, path, err)
		}
	default:
		return false
	}
	return true
}

// fromText reads a scalar with the type's own method.
func (r *reader) fromText(n ast.Node, v encoding.TextUnmarshaler, path string) {
	text, _, ok := scalar(n)
	if !ok {
		r.wrong(n, path, "wants one value, and this is "+what(n), "")
		return
	}
	if err := v.UnmarshalText([]byte(text)); err != nil {
		r.mistake(n, path, err)
	}
}

// mistake notes the error of a type's own method.
func (r *reader) mistake(n ast.Node, path string, err error) {
	if m, ok := errors.AsType[*Mistake](err); ok {
		r.wrong(n, path, m.Text, m.Hint)
		return
	}
	r.wrong(n, path, err.Error(), "")
}

// text reads a text: what YAML takes for anything else must be quoted.
func (r *reader) text(n ast.Node, v reflect.Value, path string) {
	s, quoted, ok := scalar(n)
	_, isText := n.(*ast.StringNode)
	hint := `write "` + brief(s) + `" in quotes`
	if r.like != "" {
		hint = "write it like " + r.like
	}
	switch {
	case !ok:
		r.wrong(n, path, "wants a text, and this is "+what(n), "")
	case !quoted && isOldBool(s):
		r.wrong(n, path, "wants a text, and "+s+" is a boolean to many readers of YAML", hint)
	case !quoted && !isText:
		kind := "a number"
		if _, isBool := n.(*ast.BoolNode); isBool {
			kind = "a boolean"
		}
		r.wrong(n, path, "wants a text, and "+brief(s)+" is "+kind, hint)
	default:
		v.SetString(s)
	}
}

// boolean reads true or false.
func (r *reader) boolean(n ast.Node, v reflect.Value, path string) {
	switch text, quoted, _ := scalar(n); {
	case !quoted && strings.EqualFold(text, "true"):
		v.SetBool(true)
	case !quoted && strings.EqualFold(text, "false"):
		v.SetBool(false)
	default:
		r.wrong(n, path, "wants true or false, and this is "+what(n), "write true or false, without quotes")
	}
}

// number reads a whole or a floating number in decimal.
func (r *reader) number(n ast.Node, v reflect.Value, path string) {
	text, quoted, ok := scalar(n)
	switch {
	case !ok:
		r.wrong(n, path, "wants a number, and this is "+what(n), "")
		return
	case quoted:
		r.wrong(n, path, "wants a number, and this is "+what(n), "leave the quotes out")
		return
	case isOldBool(text):
		r.wrong(n, path, "wants a number, and "+text+" is a boolean to many readers of YAML", "write a number")
		return
	}
	f, err := strconv.ParseFloat(text, 64)
	leading := strings.TrimLeft(text, "+-")
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || strings.ContainsAny(text, "xXpP_") {
		r.wrong(n, path, "wants a number, and "+what(n)+" is none", "write digits alone")
		return
	}
	if len(leading) > 1 && leading[0] == '0' && leading[1] != '.' {
		r.wrong(n, path, text+" begins with 0, which some readers of YAML take for octal", "write "+strings.TrimLeft(leading, "0"))
		return
	}
	if v.Kind() == reflect.Float64 {
		v.SetFloat(f)
		return
	}
	i, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v.OverflowInt(i) {
		r.wrong(n, path, "wants a whole number, and this is "+brief(text), "")
		return
	}
	v.SetInt(i)
}
