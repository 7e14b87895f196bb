package ecs

import (
	"time"
	"unicode/utf8"
)

// timeFormat is that of times in documents, in UTC, to the millisecond.
const timeFormat = "2006-01-02T15:04:05.000Z"

// Append writes the fields that all documents of a stream share as the beginning
// of a JSON object, without its closing brace. event.kind is metric in metrics and
// event elsewhere. Names are written with dots, so that more fields of the same
// objects can follow; a field without a value is left out.
func (a Agent) Append(b []byte, s Stream, at time.Time, module, metricset string) []byte {
	b = append(b, `{"@timestamp":"`...)
	b = at.UTC().AppendFormat(b, timeFormat)
	return a.AppendFields(append(b, '"'), s, module, metricset)
}

// AppendFields writes what [Agent.Append] does but for the time: it is the same
// for all documents of a stream.
func (a Agent) AppendFields(b []byte, s Stream, module, metricset string) []byte {
	kind := "event"
	if s.Type == "metrics" {
		kind = "metric"
	}
	b = appendField(b, "ecs.version", Version)
	b = appendField(b, "data_stream.type", s.Type)
	b = appendField(b, "data_stream.dataset", s.Dataset)
	b = appendField(b, "data_stream.namespace", s.Namespace)
	b = appendField(b, "event.dataset", s.Dataset)
	b = appendField(b, "event.module", module)
	b = appendField(b, "event.kind", kind)
	b = appendField(b, "metricset.name", metricset)
	b = appendField(b, "agent.id", a.ID)
	b = appendField(b, "agent.name", a.Host)
	b = appendField(b, "agent.type", agentType)
	b = appendField(b, "agent.version", a.Version)
	return appendField(b, "labels.site", a.Site)
}

// agentType is what this program is called in agent.type.
const agentType = "flyball"

// Append writes what is known of a source as further members of a JSON object,
// each after a comma, with dots in the names.
func (s Source) Append(b []byte) []byte {
	b = appendField(b, "host.name", s.Host)
	b = appendField(b, "service.address", s.Address)
	b = appendField(b, "service.name", s.Service)
	b = appendField(b, "container.id", s.ContainerID)
	b = appendField(b, "container.name", s.ContainerName)
	return appendField(b, "container.image.name", s.ContainerImage)
}

// appendField writes a member with a comma before it, unless it has no value.
// Names need no escapes.
func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	return AppendString(b, value)
}

const hexDigits = "0123456789abcdef"

// AppendString writes a JSON string. Bytes that are no UTF-8 become U+FFFD.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	begin := 0
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c < ' ' || c == '"' || c == '\\' {
				b = append(b, s[begin:i]...)
				b = appendEscaped(b, c)
				begin = i + 1
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			b = append(b, s[begin:i]...)
			b = utf8.AppendRune(b, utf8.RuneError)
			begin = i + 1
		}
		i += size
	}
	b = append(b, s[begin:]...)
	return append(b, '"')
}

func appendEscaped(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, `\n`...)
	case '\t':
		return append(b, `\t`...)
	}
	return append(b, `\u00`+string(hexDigits[c>>4])+string(hexDigits[c&15])...)
}
