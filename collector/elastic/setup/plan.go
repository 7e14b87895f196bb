package setup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// Version is that of our templates. It rises with each change of them, so that an
// older program leaves those of a newer one alone.
const Version = 1

// A Request is one that is sent to Elasticsearch.
type Request struct {
	Method, Path string
	Body         []byte // JSON; may be nil
}

// String writes a request as Kibana's console takes it.
func (r Request) String() string {
	var b bytes.Buffer
	b.WriteString(r.Method + " " + r.Path + "\n")
	if r.Body != nil && json.Indent(&b, r.Body, "", "  ") == nil {
		b.WriteString("\n")
	}
	return b.String()
}

// A kind is one of templates.
type kind string

const (
	component kind = "_component_template"
	index     kind = "_index_template"
)

// A template is one that is to be there.
type template struct {
	kind    kind
	name    string
	content object // without _meta
	version int
}

// request writes the template, with its _meta.
func (t template) request() Request {
	body := object{"_meta": meta(t.version, hash(t.content))}
	for k, v := range t.content {
		body[k] = v
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("template %s is no JSON: %v", t.name, err)) // it is all made of strings and numbers
	}
	return Request{http.MethodPut, "/" + string(t.kind) + "/" + t.name, text}
}

// Plan is every request that makes s and ds on a server where nothing is yet, in
// order. Nothing is asked; on a server where some of it is there, [Apply] leaves that
// alone or brings it up to date.
func Plan(s Streams, ds []Dataset) []Request {
	var rs []Request
	for _, t := range wanted(s, ds, Version) {
		rs = append(rs, t.request())
	}
	return rs
}

// wanted are all templates, those that others are composed of first.
func wanted(s Streams, ds []Dataset, version int) []template {
	ts := []template{s.lifecycleTemplate(version)}
	for _, d := range ds {
		ts = append(ts, s.shapeTemplate(d, version))
	}
	for _, d := range ds {
		ts = append(ts, s.indexTemplate(d, version))
	}
	return ts
}

func (s Streams) lifecycleTemplate(version int) template {
	return template{component, s.lifecycle(), object{"template": s.lifecycleOf()}, version}
}

func (s Streams) shapeTemplate(d Dataset, version int) template {
	return template{component, d.shape(s.Namespace), object{"template": d.shapeOf()}, version}
}

func (s Streams) indexTemplate(d Dataset, version int) template {
	return template{index, d.template(s.Namespace), s.indexOf(d, version), version}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
