package setup

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// hash is that of a template's content as Elasticsearch gives it back: it spells
// settings out as text, adds defaults, and writes down when a template came.
func hash(content object) string {
	text, err := json.Marshal(normal(content))
	if err != nil {
		return "" // it came from JSON, or is made of strings and numbers
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// normal is a content of one spelling.
func normal(content object) object {
	out := object{}
	for k, v := range plain(content) {
		switch k {
		case "_meta", "created_date", "created_date_millis", "modified_date", "modified_date_millis":
			continue
		case "data_stream":
			v = withoutFalse(v)
		case "template":
			v = normalTemplate(v)
		}
		out[k] = v
	}
	return out
}

func normalTemplate(v any) any {
	t, ok := v.(object)
	if !ok {
		return v
	}
	out := object{}
	for k, v := range t {
		switch k {
		case "settings":
			flat := object{}
			flatten(flat, "", v)
			v = flat
		case "lifecycle":
			v = withoutEnabled(v)
		}
		if m, ok := v.(object); ok && len(m) == 0 {
			continue
		}
		out[k] = v
	}
	return out
}

// withoutEnabled leaves out that a lifecycle is in force, which it is unless it says
// otherwise.
func withoutEnabled(v any) any {
	m, ok := v.(object)
	if ok && m["enabled"] == true {
		delete(m, "enabled")
	}
	return v
}

// withoutFalse leaves out what is the default.
func withoutFalse(v any) any {
	if m, ok := v.(object); ok {
		for k, is := range m {
			if is == false {
				delete(m, k)
			}
		}
	}
	return v
}

// flatten writes settings with whole names and as text.
func flatten(into object, name string, v any) {
	switch v := v.(type) {
	case object:
		for k, member := range v {
			flatten(into, strings.TrimPrefix(name+"."+k, "."), member)
		}
	case []any:
		words := make([]string, len(v))
		for i, w := range v {
			words[i] = word(w)
		}
		slices.Sort(words)
		into[setting(name)] = words
	default:
		into[setting(name)] = word(v)
	}
}

// word is a value of a setting as text.
func word(v any) string {
	if n, ok := v.(float64); ok {
		return strconv.FormatFloat(n, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// setting is a setting's whole name.
func setting(name string) string { return "index." + strings.TrimPrefix(name, "index.") }

// plain is v as it comes from JSON.
func plain(content object) object {
	text, err := json.Marshal(content)
	if err != nil {
		return nil
	}
	var out object
	if json.Unmarshal(text, &out) != nil {
		return nil
	}
	return out
}
