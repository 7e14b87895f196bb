package events

import (
	"encoding/json"
	"slices"

	"flyball/rules"
	"flyball/scaler/journal"
)

// A past knows what entries before one said.
type past struct {
	journal  *journal.Journal
	withheld map[string][]string // by target, the refusals of its last decision
	err      error               // of reading, since failure was asked
}

func newPast(j *journal.Journal) *past {
	return &past{journal: j, withheld: map[string][]string{}}
}

// forget makes it read anew. Between two calls entries must come in order.
func (p *past) forget() { clear(p.withheld) }

// failure returns and forgets the error of reading, if there was one.
func (p *past) failure() error {
	err := p.err
	p.err = nil
	return err
}

// turn returns which refusals of a decision were not there at the target's last
// one, and which of that one's are over.
func (p *past) turn(e journal.Entry, now []string) (began, ended []string) {
	last, ok := p.withheld[e.Target]
	if !ok {
		var d rules.Decision
		if p.before(e, journal.Filter{Target: e.Target, Kinds: []journal.Kind{journal.Decision}}, &d) {
			last = withheld(d)
		}
	}
	p.withheld[e.Target] = now
	return without(now, last), without(last, now)
}

// step returns the step that an entry is the end of.
func (p *past) step(e journal.Entry) (journal.Step, bool) {
	var s journal.Step
	ok := p.before(e, journal.Filter{ID: e.ID, Target: e.Target, Kinds: []journal.Kind{journal.Begun}}, &s)
	return s, ok
}

// before reads the last entry before e that a filter selects. It is false if there
// is none of a form that we know.
func (p *past) before(e journal.Entry, f journal.Filter, body any) bool {
	f.Before, f.Limit = e.Seq, 1
	es, err := p.journal.Entries(f)
	if err != nil {
		p.err = err
		return false
	}
	return len(es) > 0 && json.Unmarshal(es[0].Body, body) == nil
}

// withheld names what withheld a change in a decision: why its verdict is not
// carried out, the limits that changed the size, and why the size is kept if that
// is not that all is well.
func withheld(d rules.Decision) []string {
	var names []string
	if d.Refused != "" {
		names = append(names, string(d.Refused))
	}
	for _, l := range d.Limits {
		names = append(names, string(l.Name))
	}
	well := []rules.Reason{"", rules.BySignal, rules.InBand, rules.Idle}
	if d.Verdict == rules.Keep && !slices.Contains(well, d.Reason) {
		names = append(names, string(d.Reason))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// without returns what is in a and not in b.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}
