package source

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"flyball/rules"
)

// elasticRule is what a signal with `source: elastic` asks. In the simple form one
// field is folded, member by member; in the raw form there is a search of one's own.
type elasticRule struct {
	Index  string         `yaml:"index" doc:"elastic: indices, data streams or aliases, with commas between them; * stands for any part"`
	Filter string         `yaml:"filter" doc:"elastic: which documents count, in Lucene's syntax (query_string), e.g. 'host.name: api-* AND NOT tags: test'; all by default"`
	Avg    fieldName      `yaml:"avg" doc:"elastic: the field whose average is taken, by member; one of avg, max, min and sum"`
	Max    fieldName      `yaml:"max" doc:"elastic: the field whose largest value is taken, by member"`
	Min    fieldName      `yaml:"min" doc:"elastic: the field whose smallest value is taken, by member"`
	Sum    fieldName      `yaml:"sum" doc:"elastic: the field whose values are added up, by member"`
	By     fieldName      `yaml:"by" default:"host.name" doc:"elastic: the field that names the member, of type keyword; only documents of present members count"`
	Over   model.Duration `yaml:"over" default:"2m" doc:"elastic: how far back documents count"`
	Every  model.Duration `yaml:"every" default:"30s" doc:"elastic: how often it is asked, at least 1s"`

	Body       searchBody `yaml:"body" doc:"elastic: a search of one's own, in place of avg and the like; what value_path, member_path and time_path lead to is read from its answer"`
	ValuePath  string     `yaml:"value_path" doc:"elastic: where the value is, e.g. aggregations.load.value; with [*] for each entry of a list, one value a member: aggregations.by.buckets[*].cpu.value"`
	MemberPath string     `yaml:"member_path" doc:"elastic: where the member's name is below an entry of that list, e.g. key"`
	TimePath   string     `yaml:"time_path" doc:"elastic: where the time of the newest document is, below an entry of that list or, without one, from the top of the answer, e.g. newest.value"`

	Stale *model.Duration `yaml:"stale" doc:"elastic: a document older than this is no answer; by default over and every together"`
}

// simpleFields and rawFields are the names of the fields of the two forms.
func simpleFields() []string { return []string{"filter", "avg", "max", "min", "sum", "by", "over"} }

func rawFields() []string { return []string{"body", "value_path", "member_path", "time_path"} }

// elasticFields are the names of all that a question to Elasticsearch has.
func elasticFields() []string {
	return slices.Concat([]string{"index"}, simpleFields(), rawFields(), []string{"every", "stale"})
}

// elastic gives a signal its question to Elasticsearch.
func (l *loader) elastic(pool string, s *rules.Signal, w signalRule, path string) {
	if l.known.Pools != nil && !l.known.Elastic {
		l.wrong(path+".source", "there is no Elasticsearch to read from", "write elasticsearch: {urls: [https://es:9200]} into flyball.yaml")
	}
	if l.written(path, "query") {
		l.wrong(path+".query", "is PromQL, which the local source is asked with", "leave source: elastic out, or query")
	}
	q := rules.Elastic{Pool: pool, Index: w.Index, Every: time.Duration(w.Every)}
	l.checkIndex(w.Index, path)
	l.checkTimes(w, path)
	simple, raw := l.firstWritten(path, simpleFields()), l.firstWritten(path, rawFields())
	switch {
	case raw == "":
		l.simple(&q, s, w, path)
	case simple != "":
		l.wrong(path+"."+simple, "does not go with "+raw+", which is of a search of one's own", "keep one form: put it into body, or write no body and no paths")
	default:
		l.raw(&q, s, w, path)
	}
	s.Stale = time.Duration(w.Over + w.Every)
	if w.Stale != nil {
		s.Stale = time.Duration(*w.Stale)
	}
	s.Query, s.Expr = q, q.String()
}

// indexName is one index, data stream or alias, perhaps of another cluster, perhaps
// excluded, perhaps with wildcards.
var indexName = regexp.MustCompile(`^([\w*-]+:)?[^A-Z\\/?"<>|\s,#:+_-][^A-Z\\/?"<>|\s,#:]*$`)

// checkIndex checks the names of what is searched.
func (l *loader) checkIndex(index, path string) {
	if !l.written(path, "index") {
		l.wrong(path, "index is missing", "index: the indices that are searched, e.g. metrics-* or metricbeat-*")
		return
	}
	if Spoilt(l.spoilt, path+".index") {
		return
	}
	if strings.TrimSpace(index) == "" {
		l.wrong(path+".index", "is empty", "write the indices that are searched, e.g. metrics-*")
		return
	}
	offset := 0
	for i, name := range strings.Split(index, ",") {
		at := offset
		offset += len(name) + 1
		hint := "write names with commas and no spaces between them, e.g. metrics-*,metricbeat-*"
		if strings.ToLower(name) != name {
			hint = "names of indices have small letters only"
		}
		if i > 0 {
			name = strings.TrimPrefix(name, "-") // those are left out
		}
		if !indexName.MatchString(name) || len(name) > 255 || strings.Trim(name, ".") == "" {
			l.inside(path+".index", index, at, `"`+brief(name)+`" is no name of an index`, hint)
		}
	}
}

// checkTimes checks every, over and stale.
func (l *loader) checkTimes(w signalRule, path string) {
	if time.Duration(w.Every) < time.Second {
		l.wrong(path+".every", w.Every.String()+" is less than 1s", "a search costs more than a look at the local store: write 10s or more")
	}
	if w.Over <= 0 {
		l.wrong(path+".over", "is no time in which there could be documents", "write it like 2m")
	}
	if w.Stale != nil && *w.Stale < w.Every {
		l.wrong(path+".stale", "is shorter than every, "+w.Every.String()+", so every answer would be too old", "write at least over and every together, or leave it out")
	}
}

// fieldName is a field as it stands in a mapping.
type fieldName string

var fieldPattern = regexp.MustCompile(`^[^\s,*?"'(){}\[\]:.]+(\.[^\s,*?"'(){}\[\]:.]+)*$`)

// UnmarshalText reads a field's name. A number is none: whoever writes min: 2 into
// a signal means the pool's.
func (f *fieldName) UnmarshalText(b []byte) error {
	s := string(b)
	if !fieldPattern.MatchString(s) || isNumber(s) {
		return &Mistake{`"` + brief(s) + `" is no name of a field`, "write one field's whole name, without spaces and wildcards, e.g. system.cpu.total.norm.pct"}
	}
	*f = fieldName(s)
	return nil
}

// JSONSchema describes what UnmarshalText reads.
func (fieldName) JSONSchema() map[string]any {
	return map[string]any{"type": "string", "pattern": `^[^ ,*?"'(){}\[\]:]+$`}
}

// simple reads the simple form.
func (l *loader) simple(q *rules.Elastic, s *rules.Signal, w signalRule, path string) {
	q.Filter, q.By, q.Over = strings.TrimSpace(w.Filter), string(w.By), time.Duration(w.Over)
	for _, f := range []struct {
		name  string
		field fieldName
	}{{"avg", w.Avg}, {"max", w.Max}, {"min", w.Min}, {"sum", w.Sum}} {
		if !l.written(path, f.name) {
			continue
		}
		if q.Fold != "" {
			l.wrong(path+"."+f.name, "a second fold beside "+q.Fold, "keep one of avg, max, min and sum; another measure is another signal")
			continue
		}
		q.Fold, q.Field = f.name, string(f.field)
	}
	if q.Fold == "" {
		l.wrong(path, "says nothing of what is read", "write one of avg, max, min and sum with a field, e.g. avg: system.cpu.total.norm.pct, or a body with value_path")
	}
	if l.written(path, "filter") {
		l.checkFilter(w.Filter, path+".filter")
	}
	if s.Scope == rules.WholePool {
		l.wrong(path+".scope", "a field is folded member by member", "leave scope out, or write a body with value_path")
	}
}

// raw reads the raw form.
func (l *loader) raw(q *rules.Elastic, s *rules.Signal, w signalRule, path string) {
	q.Body, q.ValuePath, q.MemberPath, q.TimePath = string(w.Body), w.ValuePath, w.MemberPath, w.TimePath
	for _, f := range []struct{ name, hint string }{
		{"body", "body: the search, as a mapping, e.g. {aggs: {load: {avg: {field: load}}}}"},
		{"value_path", "value_path: where in the answer the value is, e.g. aggregations.load.value"},
		{"time_path", "time_path: where the time of the newest document is, which age is judged by, e.g. aggregations.newest.value of newest: {max: {field: '@timestamp'}}"},
	} {
		if !l.written(path, f.name) {
			l.wrong(path, f.name+" is missing", f.hint)
		}
	}
	value, ok := l.answerPath(w.ValuePath, path, "value_path")
	if ok {
		l.leads(value, w.Body, w.ValuePath, path+".value_path")
	}
	_, _, each := value.Each()
	below := func(name, text string) {
		p, ok := l.answerPath(text, path, name)
		if _, _, list := p.Each(); ok && list {
			l.wrong(path+"."+name, "has a list of its own", "it begins at each entry of value_path's list: write what follows [*] there, e.g. "+cmp.Or(map[string]string{"member_path": "key"}[name], "newest.value"))
		}
	}
	below("member_path", w.MemberPath)
	below("time_path", w.TimePath)
	if ok {
		l.rawScope(s, each, path)
	}
}

// rawScope is per member if the value is in a list whose entries are named.
func (l *loader) rawScope(s *rules.Signal, each bool, path string) {
	named := l.written(path, "member_path")
	switch {
	case each && !named:
		l.wrong(path+".value_path", "leads to a list, and nothing says whose its entries are", "write member_path, e.g. key, or lead to one value")
	case !each && named:
		l.wrong(path+".member_path", "names members, and value_path leads to one value", "write [*] in value_path where the list is, e.g. aggregations.by.buckets[*].cpu.value, or leave member_path out")
	case each && s.Scope == rules.WholePool:
		l.wrong(path+".scope", "is pool, and member_path names members", "leave scope out")
	case !each && l.written(path, "scope") && s.Scope == rules.PerMember:
		l.wrong(path+".scope", "is member, and value_path leads to one value", "leave scope out: one value is the whole pool's")
	case !each:
		s.Scope = rules.WholePool
	}
}

// answerPath reads a path that is written; ok is false if it is not, or is wrong.
func (l *loader) answerPath(text, path, name string) (p rules.Path, ok bool) {
	at := path + "." + name
	if !l.written(path, name) || Spoilt(l.spoilt, at) {
		return p, false
	}
	p, err := rules.ParsePath(text)
	if err == nil {
		return p, true
	}
	offset, what := 0, err.Error()
	if wrong, is := errors.AsType[*rules.PathError](err); is {
		offset, what = wrong.At, wrong.Text
	}
	l.inside(at, text, offset, "is no path: "+what, "write it like aggregations.by.buckets[*].cpu.value")
	return p, false
}

// leads checks that a path goes where an answer to the search has something.
func (l *loader) leads(p rules.Path, body searchBody, text, path string) {
	top := []string{"aggregations", "hits"}
	if !slices.Contains(top, p.Name(0)) {
		l.inside(path, text, 0, `leads to "`+brief(p.Name(0))+`", and an answer has aggregations and hits`, "begin with one of them")
		return
	}
	aggs, known := body.aggregations()
	if p.Name(0) == "aggregations" && known && !slices.Contains(aggs, p.Name(1)) {
		l.inside(path, text, len("aggregations."), `leads to "`+brief(p.Name(1))+`", and body has no aggregation of that name`, Meant(p.Name(1), aggs))
	}
}
