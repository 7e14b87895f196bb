package source

import (
	"encoding"
	"encoding/json"
	"reflect"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/common/model"
)

// Schema is the JSON Schema (draft 2020-12) of what [Decode] reads into a T. docs
// describes fields whose types do not do so themselves, by path; * is any name:
// "pools.*.drain". The output is the same for the same T.
func Schema[T any](title string, docs map[string]string) []byte {
	s := schemer{docs: docs}.of(reflect.TypeFor[T](), "")
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = title
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic("source: a schema is no JSON: " + err.Error()) // it is made of maps, lists and strings
	}
	return append(b, '\n')
}

// ScaleSchema is the JSON Schema of a *.scale.yaml.
func ScaleSchema() []byte { return Schema[scaleFile]("*.scale.yaml", nil) }

// described is a type that says itself what it reads.
type described interface{ JSONSchema() map[string]any }

// schemer makes schemas of types.
type schemer struct{ docs map[string]string }

// of is a type's schema; path leads to it.
func (s schemer) of(t reflect.Type, path string) map[string]any {
	switch x := reflect.New(t).Interface().(type) {
	case *model.Duration, *time.Duration:
		return map[string]any{"type": "string", "pattern": "^([0-9]+(ms|[smhdwy]))+$"}
	case described:
		return x.JSONSchema()
	case verbatim:
		return map[string]any{"type": "object"}
	case encoding.TextUnmarshaler:
		text := map[string]any{"type": []any{"string", "number"}}
		if t.Kind() != reflect.Struct || len(fieldsOf(t)) == 0 {
			return text
		}
		return map[string]any{"anyOf": []any{text, s.object(t, path)}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem(), path)
	case reflect.Struct:
		return s.object(t, path)
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": s.of(t.Elem(), join(path, "*"))}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": s.of(t.Elem(), path)}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Int, reflect.Int64:
		return map[string]any{"type": "integer"}
	}
	return map[string]any{"type": "string"}
}

// object is a struct's schema.
func (s schemer) object(t reflect.Type, path string) map[string]any {
	properties := map[string]any{}
	var required []string
	for _, f := range fieldsOf(t) {
		at := join(path, f.name)
		p := s.of(f.typ, at)
		if doc := f.doc; doc != "" {
			p["description"] = doc
		} else if doc := s.docs[at]; doc != "" {
			p["description"] = doc
		}
		if len(f.enum) > 0 {
			p["enum"] = f.enum
		}
		if f.fallback != "" {
			p["default"] = plainValue(f.fallback)
		}
		if f.required {
			required = append(required, f.name)
		}
		properties[f.name] = p
	}
	out := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// plainValue is YAML as JSON has it.
func plainValue(text string) any {
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		return text
	}
	return v
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
