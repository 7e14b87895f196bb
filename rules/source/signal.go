package source

import (
	"strconv"
	"time"

	"github.com/prometheus/common/model"

	"flyball/rules"
)

// signalRule is a signal as it is written: 60% alone is the target of a built-in one.
type signalRule struct {
	Source    string      `yaml:"source" default:"local" enum:"local elastic" doc:"where it is read: local, the embedded store; elastic, the Elasticsearch of flyball.yaml"`
	Query     string      `yaml:"query" doc:"PromQL that answers an instant vector; built-in signals need none"`
	Scope     rules.Scope `yaml:"scope" default:"member" enum:"member pool" doc:"member: one series a member, or a fold over them; pool: one value for the whole pool"`
	Unit      string      `yaml:"unit" enum:"percent seconds bytes per_second" doc:"of the query's value; by default that of the target"`
	Target    *Quantity   `yaml:"target" doc:"the wanted mean over the ready members"`
	PerMember *Quantity   `yaml:"per_member" doc:"how much of the sum over the members one of them takes"`
	Out       *bandOut    `yaml:"out" doc:"above which value, or mean over the members, members are added; needs in"`
	In        *bandIn     `yaml:"in" doc:"below which value, or mean over the members, members may go; needs out"`
	elasticRule
}

type bandOut struct {
	Above Quantity `yaml:"above" required:"true" doc:"a value above this wants more members"`
	Add   Amount   `yaml:"add" default:"25%" doc:"how many more: a number, or a share of the pool"`
}

type bandIn struct {
	Below Quantity `yaml:"below" required:"true" doc:"a value below this permits the minimum"`
}

// UnmarshalText reads the short form, a target alone.
func (s *signalRule) UnmarshalText(b []byte) error {
	var q Quantity
	if err := q.UnmarshalText(b); err != nil {
		return err
	}
	s.Target = &q
	return nil
}

// holdRule is a hold as it is written.
type holdRule struct {
	Query  string          `yaml:"query" required:"true" doc:"PromQL; of several values the largest counts"`
	Above  Quantity        `yaml:"above" required:"true" doc:"the direction is forbidden while the value is above this"`
	For    model.Duration  `yaml:"for" default:"0s" doc:"only after it was above for this long"`
	Forbid rules.Direction `yaml:"forbid" required:"true" enum:"out in" doc:"the direction that is forbidden: out (more members) or in (fewer)"`
}

// signal makes a signal of what was written.
func (l *loader) signal(pool, name string, w signalRule, path string) rules.Signal {
	s := rules.Signal{Name: name, Rule: l.ref(path), Scope: w.Scope, Unit: w.Unit, Expr: w.Query}
	l.checkName(name, path)
	switch w.Source {
	case "elastic":
		l.elastic(pool, &s, w, path)
	case "local":
		l.local(pool, &s, path)
	}
	l.aim(&s, w, path)
	return s
}

// local gives a signal its question to the embedded store.
func (l *loader) local(pool string, s *rules.Signal, path string) {
	if name := l.firstWritten(path, elasticFields()); name != "" {
		l.wrong(path+"."+name, "is for signals that are read from Elasticsearch", "write source: elastic beside it, or leave it out")
		return
	}
	l.measure(pool, s, path)
	s.Query = rules.PromQL{Pool: pool, Expr: s.Expr}
}

// written reports whether a field of what stands at a path is written.
func (l *loader) written(path, name string) bool {
	_, _, ok := l.doc.find(path + "." + name)
	return ok
}

// firstWritten is the first of the names that is written; "" if none is.
func (l *loader) firstWritten(path string, names []string) string {
	for _, name := range names {
		if l.written(path, name) {
			return name
		}
	}
	return ""
}

// measure gives a signal its query: its own, or the built-in one of its name.
func (l *loader) measure(pool string, s *rules.Signal, path string) {
	if l.written(path, "query") {
		l.query(path+".query", s.Expr)
		return
	}
	expr, unit := l.builtin(pool, s.Name)
	switch {
	case expr == "" && s.Name == "memory":
		l.wrong(path, "needs a query: the members are machines of their own, and how much memory they have is not known here",
			`write e.g. {query: '1 - node_memory_MemAvailable_bytes{pool="`+pool+`"} / node_memory_MemTotal_bytes{pool="`+pool+`"}', target: 70%}`)
		return
	case expr == "":
		l.wrong(path, `needs a query: no built-in signal is called "`+brief(s.Name)+`"`, builtinHint(s.Name))
		return
	case s.Scope == rules.WholePool:
		l.wrong(path+".scope", "a built-in signal is measured member by member", "leave scope out, or write a query")
	}
	s.Expr = expr
	if s.Unit == "" {
		s.Unit = unit
	}
}

// builtinHint is what to do about a signal without a query.
func builtinHint(name string) string {
	if near := nearest(name, []string{"cpu", "memory"}); near != "" {
		return `did you mean "` + near + `"?`
	}
	return "built in are cpu and memory; for another write {query: ..., target: ...}"
}

// aim gives a signal its target, share or band.
func (l *loader) aim(s *rules.Signal, w signalRule, path string) {
	forms := 0
	if w.Target != nil {
		forms++
		s.Target = l.quantity(s, *w.Target, path, "target")
		l.positive(s.Target, path, "target")
	}
	if w.PerMember != nil {
		forms++
		s.Share = l.quantity(s, *w.PerMember, path, "per_member")
		l.positive(s.Share, path, "per_member")
	}
	if w.Out != nil || w.In != nil {
		forms++
		l.band(s, w, path)
	}
	switch {
	case forms == 0:
		l.wrong(path, "says nothing of how much is wanted", "write target, or per_member, or out and in")
	case forms > 1:
		l.wrong(path, "says in several ways how much is wanted", "keep one of target, per_member, or out and in")
	}
}

// band gives a signal its band.
func (l *loader) band(s *rules.Signal, w signalRule, path string) {
	switch {
	case w.Out == nil:
		l.wrong(path+".in", "needs out beside it", "write e.g. out: {above: 250ms, add: 25%}")
		return
	case w.In == nil:
		l.wrong(path+".out", "needs in beside it", "write e.g. in: {below: 80ms}")
		return
	}
	b := rules.Band{Add: rules.Amount(w.Out.Add)}
	b.Above = l.quantity(s, w.Out.Above, path, "out.above")
	b.Below = l.quantity(s, w.In.Below, path, "in.below")
	if b.Below >= b.Above && !Spoilt(l.spoilt, path+".out") {
		l.wrong(path+".in.below", "is not less than out.above", "leave room between the two, or the pool never rests")
	}
	if b.Add.Members == 0 && b.Add.Percent == 0 {
		l.wrong(path+".out.add", "adds nothing", "write 1 or more members, or a share like 25%")
	}
	s.Band = &b
}

// quantity is a number in the signal's unit, which the first one decides if it is
// not written.
func (l *loader) quantity(s *rules.Signal, q Quantity, path, name string) float64 {
	at := path + "." + name
	if !l.written(path, name) {
		at = path // the short form
	}
	switch {
	case s.Unit == "" && q.Unit != "":
		s.Unit = q.Unit
	case s.Unit == q.Unit, s.Unit == "per_second" && q.Unit == "":
	case q.Unit == "":
		l.wrong(at, number(q.Value)+" has no unit, and the signal is in "+s.Unit, "write "+inUnit(q.Value, s.Unit))
	default:
		l.wrong(at, "is in "+q.Unit+", and the signal is in "+s.Unit, "write it like "+inUnit(1, s.Unit))
	}
	return q.Value
}

// inUnit is a bare number as it would be written in a unit.
func inUnit(f float64, unit string) string {
	switch unit {
	case "percent":
		return asPercent(f)
	case "seconds":
		return model.Duration(time.Duration(f * float64(time.Second)).Round(time.Millisecond)).String()
	case "bytes":
		return number(f) + "B"
	}
	return number(f) + "/s"
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// positive checks that a wanted load is one.
func (l *loader) positive(f float64, path, name string) {
	if f > 0 {
		return
	}
	at := path + "." + name
	if !l.written(path, name) {
		at = path
	}
	l.wrong(at, "must be more than 0", "it is what one member should carry")
}

// hold makes a hold of what was written.
func (l *loader) hold(pool, name string, w holdRule, path string) rules.Hold {
	l.checkName(name, path)
	l.query(path+".query", w.Query)
	return rules.Hold{
		Name: name, Rule: l.ref(path), Query: rules.PromQL{Pool: pool, Expr: w.Query}, Expr: w.Query,
		Above: w.Above.Value, For: time.Duration(w.For), Forbid: w.Forbid,
	}
}
