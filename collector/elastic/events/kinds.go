package events

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"flyball/rules"
	"flyball/scaler/journal"
)

// The datasets, after "flyball.".
const (
	scaling  = "scaling"
	config   = "config"
	shipping = "shipping"
	other    = "event"
)

// forms returns those of the journal's own kinds.
func forms(p *past) map[journal.Kind]Form {
	return map[journal.Kind]Form{
		journal.Decision: {scaling, p.tellDecision},
		journal.Begun:    {scaling, tellBegin},
		journal.Ended:    {scaling, p.tellEnd},
		journal.Order:    {scaling, tellOrder},
		journal.Load:     {config, tellLoad},
		journal.Life:     {config, tellLife},
		journal.Ship:     {shipping, tellTrouble},
	}
}

// The words of event.category, event.type and event.outcome that we use.
const (
	host          = "host"
	configuration = "configuration"
	process       = "process"

	change   = "change"
	denied   = "denied"
	info     = "info"
	began    = "start"
	ended    = "end"
	mistaken = "error"

	success = "success"
	failure = "failure"
	unknown = "unknown" // an attempt whose end is told by another event
)

func (p *past) tellDecision(e journal.Entry) ([]Field, error) {
	var d rules.Decision
	if err := json.Unmarshal(e.Body, &d); err != nil {
		return nil, fmt.Errorf("decode decision: %w", err)
	}
	typ, outcome, reason := info, "", d.Reason
	switch {
	case d.Refused != "":
		typ, reason = denied, d.Refused
	case d.Acts():
		typ, outcome = change, unknown
	}
	now := withheld(d)
	begun, over := p.turn(e, now)
	return []Field{
		{"message", d.Pool + ": " + d.Line()},
		{"event.category", []string{host}},
		{"event.type", []string{typ}},
		{"event.action", string(d.Verdict)},
		{"event.outcome", outcome},
		{"event.reason", string(reason)},
		{"rule.name", d.Pool},
		{"rule.id", d.Rule},
		{"labels.commit", d.Commit},
		{"related.hosts", hosts(d.Victims, d.Named)},
		{"trace.id", d.ID},
		{"flyball.size", d.Size},
		{"flyball.wants", d.Wants},
		{"flyball.to", d.To},
		{"flyball.refusals.now", now},
		{"flyball.refusals.began", begun},
		{"flyball.refusals.ended", over},
		{"flyball.explanation", d.Explain()},
		{"flyball.decision", object(e.Body)},
	}, nil
}

func tellBegin(e journal.Entry) ([]Field, error) {
	var s journal.Step
	if err := json.Unmarshal(e.Body, &s); err != nil {
		return nil, fmt.Errorf("decode step: %w", err)
	}
	return append([]Field{
		{"message", poolOf(e) + ": " + deed(s) + " begins"},
		{"event.type", []string{began}},
		{"event.outcome", unknown},
		{"flyball.step", object(e.Body)},
	}, stepFields(e, s)...), nil
}

func (p *past) tellEnd(e journal.Entry) ([]Field, error) {
	var o journal.Outcome
	if err := json.Unmarshal(e.Body, &o); err != nil {
		return nil, fmt.Errorf("decode outcome: %w", err)
	}
	s, _ := p.step(e)
	how, outcome := "done", success
	if !o.OK {
		how, outcome = "failed", failure
	}
	if o.Took != "" {
		how += " after " + o.Took
	}
	if o.Resumed {
		how += ", resumed after a restart"
	}
	if o.Err != "" {
		how += ": " + o.Err
	}
	fields := []Field{
		{"message", poolOf(e) + ": " + deed(s) + " " + how},
		{"event.type", []string{ended}},
		{"event.outcome", outcome},
		{"error.message", o.Err},
		{"flyball.outcome", object(e.Body)},
	}
	if took, err := time.ParseDuration(o.Took); err == nil {
		fields = append(fields, Field{"event.duration", took.Nanoseconds()})
	}
	if s.ID != "" {
		fields = append(fields, Field{"flyball.step", s})
	}
	return append(fields, stepFields(e, s)...), nil
}

// stepFields are what the two ends of a step share.
func stepFields(e journal.Entry, s journal.Step) []Field {
	return []Field{
		{"event.category", []string{host}},
		{"event.action", string(s.Verb)},
		{"event.reason", string(s.Reason)},
		{"rule.name", poolOf(e)},
		{"trace.id", s.Decision},
		{"related.hosts", append(append([]string{}, s.Names...), hosts(s.Victims, s.Named)...)},
	}
}

// deed is a step in a few words.
func deed(s journal.Step) string {
	if s.ID == "" {
		return "a step"
	}
	words := []string{string(s.Verb)}
	if len(s.Victims) > 0 {
		words = append(words, strings.Join(s.Going(), ", "))
	}
	if len(s.Victims) > 0 && len(s.Names) > 0 {
		words = append(words, "by")
	}
	if len(s.Names) > 0 {
		words = append(words, strings.Join(s.Names, ", "))
	}
	if len(s.Victims)+len(s.Names) == 0 {
		words = append(words, fmt.Sprintf("to %d", s.To))
	}
	return strings.Join(words, " ")
}

// hosts are members by their provider's IDs, and by the names that differ.
func hosts(ids []rules.MemberID, named []rules.Named) []string {
	out := texts(ids)
	for _, n := range named {
		if !slices.Contains(out, n.Name) {
			out = append(out, n.Name)
		}
	}
	return out
}

func tellOrder(e journal.Entry) ([]Field, error) {
	var b journal.OrderBody
	if err := json.Unmarshal(e.Body, &b); err != nil {
		return nil, fmt.Errorf("decode order: %w", err)
	}
	var o rules.Order
	if b.Order != nil {
		o = *b.Order
	}
	action, text := orderWords(b, o)
	if o.By != "" {
		text += " by " + o.By
	}
	if o.Why != "" {
		text += ": " + o.Why
	}
	whom := poolOf(e)
	if whom == "" {
		whom = e.Target
	}
	return []Field{
		{"message", whom + ": " + text},
		{"event.category", []string{configuration}},
		{"event.type", []string{change}},
		{"event.action", action},
		{"event.outcome", success},
		{"event.reason", o.Why},
		{"rule.name", poolOf(e)},
		{"user.name", o.By},
		{"flyball.order", object(e.Body)},
	}, nil
}

// orderWords are the action of an order, and what it says.
func orderWords(b journal.OrderBody, o rules.Order) (action, text string) {
	until := ", until it is taken back,"
	if !o.Until.IsZero() {
		until = " until " + o.Until.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	switch {
	case b.Lifted:
		return "resume", b.Kind + " taken back"
	case b.Kind == journal.FloorOrder:
		return "set", fmt.Sprintf("at least %d members%s", o.Size, until)
	default:
		return b.Kind, b.Kind + until
	}
}

// A load is what the program notes of configuration and rules that were read.
type load struct {
	By      string `json:"by"`
	Outcome string `json:"outcome"`
	Err     string `json:"err"`
	File    string `json:"file"`
	Commit  string `json:"commit"`
	Pools   int    `json:"pools"`
	Rules   int    `json:"rules"`
}

// refusal is why a load changed nothing; "" if it did. Older entries have it in
// Outcome.
func (l load) refusal() string {
	if l.Err != "" || slices.Contains([]string{"", "taken_over", "taken over"}, l.Outcome) {
		return l.Err
	}
	return l.Outcome
}

func tellLoad(e journal.Entry) ([]Field, error) {
	var l load
	if err := json.Unmarshal(e.Body, &l); err != nil {
		return nil, fmt.Errorf("decode load: %w", err)
	}
	text := fmt.Sprintf("configuration and rules read (%s); pools: %d, rules: %d", l.By, l.Pools, l.Rules)
	outcome := success
	why := l.refusal()
	if why != "" {
		text = fmt.Sprintf("configuration or rules refused (%s), all stays as it was: %s", l.By, why)
		outcome = failure
	}
	return []Field{
		{"message", text},
		{"event.category", []string{configuration}},
		{"event.type", []string{change}},
		{"event.action", "load"},
		{"event.outcome", outcome},
		{"event.reason", l.By},
		{"labels.commit", l.Commit},
		{"error.message", why},
		{"file.path", l.File},
		{"flyball.load", object(e.Body)},
	}, nil
}

// A life is what the program notes of its own, or of a pool's.
type life struct {
	Act     string `json:"act"`
	Outcome string `json:"outcome"`
	Version string `json:"version"`
}

func tellLife(e journal.Entry) ([]Field, error) {
	var l life
	if err := json.Unmarshal(e.Body, &l); err != nil {
		return nil, fmt.Errorf("decode life: %w", err)
	}
	typ, category, text := info, process, "flyball: "+l.Act
	switch l.Act {
	case "start":
		typ, text = began, "flyball "+l.Version+" starts"
	case "stop":
		typ, text = ended, "flyball "+l.Version+" stops"
	case "end":
		typ, category, text = ended, host, poolOf(e)+": all members are ended by hand"
	}
	if l.Outcome != "" {
		text += ": " + l.Outcome
	}
	return []Field{
		{"message", text},
		{"event.category", []string{category}},
		{"event.type", []string{typ}},
		{"event.action", l.Act},
		{"service.version", l.Version},
		{"flyball.life", object(e.Body)},
	}, nil
}

func tellTrouble(e journal.Entry) ([]Field, error) {
	var t journal.Trouble
	if err := json.Unmarshal(e.Body, &t); err != nil {
		return nil, fmt.Errorf("decode trouble: %w", err)
	}
	typ, outcome := mistaken, failure
	if t.What == journal.Recovered {
		typ, outcome = info, success
	}
	return []Field{
		{"message", t.Text},
		{"event.category", []string{process}},
		{"event.type", []string{typ}},
		{"event.action", t.What},
		{"event.outcome", outcome},
		{"flyball.count", t.Count},
		{"flyball.trouble", object(e.Body)},
	}, nil
}

// tellOther tells what we have no words for: it is all there, under flyball.body.
func tellOther(e journal.Entry) ([]Field, error) {
	text := string(e.Kind)
	if e.Target != "" {
		text += " of " + e.Target
	}
	return []Field{
		{"message", text},
		{"event.type", []string{info}},
		{"event.action", string(e.Kind)},
		{"trace.id", e.ID},
		{"flyball.body", object(e.Body)},
	}, nil
}

func texts(ids []rules.MemberID) []string {
	var all []string
	for _, id := range ids {
		all = append(all, string(id))
	}
	return all
}
