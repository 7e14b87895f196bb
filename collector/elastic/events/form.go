package events

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"flyball/collector/elastic/cluster"
	"flyball/collector/elastic/ecs"
	"flyball/scaler/journal"
)

// A Form is how the entries of a kind become documents.
type Form struct {
	Dataset string // e.g. scaling: they go to logs-flyball.scaling-<namespace>
	// Fill tells an entry. With an error, which the body's form is the only reason
	// for, the document has the body as it is, in flyball.body.
	Fill func(e journal.Entry) ([]Field, error)
}

// A Field is one of a document, its name with dots, e.g. event.action. Strings and
// lists that are empty are left out. The fields that all have are no Form's: time,
// stream, agent, event.kind (event), event.code, event.id, event.sequence,
// event.created, labels.pool and flyball.target.
type Field struct {
	Name  string
	Value any // of JSON
}

// document is an entry as it is sent. An error is one of reading the journal.
func (s *Shipper) document(e journal.Entry) (cluster.Document, error) {
	form, ok := s.forms[e.Kind]
	if !ok {
		form = Form{other, tellOther}
	}
	fields, err := form.Fill(e)
	if lost := s.past.failure(); lost != nil {
		return cluster.Document{}, lost
	}
	if err != nil {
		s.o.Log.Warn("journal entry is of an unknown form, and is sent as it is", "kind", e.Kind, "seq", e.Seq, "err", err)
		fields, _ = tellOther(e)
	}
	stream := s.stream(form.Dataset)
	d := cluster.Document{Stream: stream.Name(), ID: idOf(s.o.Journal.Identity(), e)}
	b := s.o.Agent.Append(nil, stream, e.At, module, "")
	b = ecs.Source{Host: s.o.Agent.Host, Service: module}.Append(b)
	common := []Field{
		{"event.code", string(e.Kind)},
		{"event.id", d.ID},
		{"event.sequence", e.Seq},
		{"event.created", s.o.Now().UTC()},
		{"labels.pool", poolOf(e)},
		{"flyball.target", e.Target},
	}
	for _, f := range append(common, fields...) {
		b = appendField(b, f)
	}
	d.Body = append(b, '}')
	return d, nil
}

// module is whose events these are, and the first part of the datasets' names.
const module = "flyball"

func (s *Shipper) stream(dataset string) ecs.Stream {
	return ecs.Stream{Type: "logs", Dataset: module + "." + dataset, Namespace: s.o.Namespace}
}

// idOf is the ID of an entry's document: it follows from the entry. The journal
// tells it from one of the same number of another journal, and what it says from
// one of the same number that the machine's end took with it.
func idOf(identity string, e journal.Entry) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %d %d %q %q %q ", identity, e.Seq, e.At.UnixNano(), e.Kind, e.Target, e.ID)
	h.Write(e.Body)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func poolOf(e journal.Entry) string {
	pool, ok := strings.CutPrefix(e.Target, "pool/")
	if !ok {
		return ""
	}
	return pool
}

// appendField writes a field as a member of a JSON object, after a comma.
func appendField(b []byte, f Field) []byte {
	switch v := f.Value.(type) {
	case nil:
		return b
	case string:
		if v == "" {
			return b
		}
	case []string:
		if len(v) == 0 {
			return b
		}
	}
	text, err := encode(f.Value)
	if err != nil {
		return b
	}
	b = append(ecs.AppendString(append(b, ','), f.Name), ':')
	return append(b, text...)
}

// encode writes a value on one line, and leaves < and > as they are.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// object is an entry's body as an object of which each name is there once, as
// Elasticsearch wants it; anything else than an object becomes the value of one.
func object(body []byte) any {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return map[string]any{"value": string(body)}
	}
	if _, ok := v.(map[string]any); !ok {
		return map[string]any{"value": v}
	}
	return v
}
