// Package source reads rule files and flyball.yaml.
//
// A file is decoded strictly into a Go type: unknown fields, wrong types and
// values without a unit are mistakes, and all mistakes of a file are told at once,
// each as a [Problem] with file, line, column, the line itself and a hint.
// [Load] reads a whole rules folder, [Decode] one document of any type, and
// [Schema] publishes the same types as JSON Schema.
//
// How a type is read stands in its struct tags:
//
//	yaml:"name"       the field's name; a field without it, or with "-", is not read
//	default:"30s"     the value, as YAML, of a field that is not written
//	required:"true"   the field must be written
//	enum:"a b"        the words that a text may be
//	doc:"..."         what it is, for the schema
//
// A type that reads text itself (encoding.TextUnmarshaler) is given a scalar; if
// it is a struct, it may be written as a mapping too. A struct may have a method
// Later() []string: fields of later versions, whose hint says so.
//
// Nothing here panics on bad input, and nothing is kept between calls: all
// functions are safe for concurrent use.
package source
