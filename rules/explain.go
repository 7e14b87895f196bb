package rules

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// columns is how wide a terminal is taken to be.
const columns = 80

// Line tells the decision in one line, such as "OUT 3→4   requests: 50.5/14 =
// 3.61". Three spaces part what was decided from why.
func (d Decision) Line() string {
	return d.act() + "   " + d.why()
}

// act is what was decided.
func (d Decision) act() string {
	size, to := strconv.Itoa(d.Size), strconv.Itoa(d.To)
	switch d.Verdict {
	case ScaleOut:
		return "OUT " + size + "→" + to
	case ScaleIn:
		return "IN " + size + "→" + to
	case Replace:
		return "REPLACE " + strconv.Itoa(max(1, len(d.Victims))) + " of " + size
	default:
		return "KEEP " + size
	}
}

// why is what led to it, after the refusal, if there is one.
func (d Decision) why() string {
	if d.Refused != "" && d.Detail != "" {
		return string(d.Refused) + " " + d.Detail + ", not done; " + d.cause()
	}
	if d.Refused != "" {
		return string(d.Refused) + ", not done; " + d.cause()
	}
	return d.cause()
}

// cause names the signal or the reason that decided, with its arithmetic.
func (d Decision) cause() string {
	name := string(d.Reason)
	if s := d.decider(); s != nil && d.Reason == BySignal {
		name = s.Name
	}
	return strings.TrimRight(name+": "+d.because(), ": ")
}

// because is the arithmetic behind the reason. A limit that a doubt put there
// bears the doubtful signal's or hold's name, and that one knows better.
func (d Decision) because() string {
	if s := d.decider(); s != nil && (d.Reason == BySignal || d.Reason == s.Reason) {
		return s.Because
	}
	if l := d.limitOf(d.Reason); l != nil {
		for _, h := range d.Holds {
			if h.Name == l.Because || l.Name == Held && l.Because == "" && h.Forbids != "" {
				return h.Name + ", " + h.Because
			}
		}
		return l.change() + ": " + l.Because
	}
	switch d.Reason {
	case Rolling, RollStopped:
		if d.Roll != nil {
			return d.Roll.String()
		}
	case Replacing:
		if len(d.Victims) == 0 {
			return "members whose replacement did not come"
		}
		return d.going(mostTold)
	case CorrelatedUnhealthy:
		return itoa(d.Members.Unhealthy) + " of " + itoa(d.Size) + " are unhealthy"
	case Held:
		for _, h := range d.Holds {
			if h.Name == d.Signal {
				return h.Name + ", " + h.Because
			}
		}
	}
	for _, s := range d.Signals {
		if s.Reason == d.Reason || d.Reason == InBand && s.Name == d.Signal {
			return s.Because
		}
	}
	return ""
}

// decider returns the signal that decided; nil if none did.
func (d Decision) decider() *Judged {
	i := slices.IndexFunc(d.Signals, func(s Judged) bool { return s.Name == d.Signal })
	if i < 0 {
		return nil
	}
	return &d.Signals[i]
}

// mostTold is how many members are named in a line.
const mostTold = 3

// going names the first of the victims. A decision of an earlier version knows
// their IDs alone.
func (d Decision) going(most int) string {
	if len(d.Named) != len(d.Victims) {
		d.Named = NamesOf(d.Victims, nil)
	}
	names := make([]string, len(d.Named))
	for i, n := range d.Named {
		names[i] = n.String()
	}
	out := strings.Join(names[:min(most, len(names))], ", ")
	if more := len(names) - most; more > 0 {
		out += " and " + itoa(more) + " more"
	}
	return out
}

// limitOf returns the last limit of a name; nil if none bears it.
func (d Decision) limitOf(name Reason) *Applied {
	for _, l := range slices.Backward(d.Limits) {
		if l.Name == name {
			return &l
		}
	}
	return nil
}

func (l Applied) change() string { return strconv.Itoa(l.From) + "→" + strconv.Itoa(l.To) }

// Explain tells the decision to a person, in plain lines of at most 80 columns:
// what was decided, from which readings, by which rule, what limited it, what was
// refused, and what each of its reasons means and asks for.
func (d Decision) Explain() string {
	var p page
	done := ""
	if d.Refused != "" {
		done = " is not carried out, " + string(d.Refused)
	}
	p.row("", d.Pool+": "+d.act()+done+" ("+d.cause()+")")
	p.row("decision", d.ID+", "+d.At.UTC().Format("2006-01-02 15:04:05 MST"))
	p.row("rule", strings.TrimSuffix(d.Rule+", commit "+d.Commit, ", commit "))
	p.row("members", d.Members.tell()+"; size "+strconv.Itoa(d.Size))
	for _, s := range d.Signals {
		p.row("signals", s.Name+" wants "+strconv.Itoa(s.Wants)+", "+string(s.Reason)+": "+s.Because)
		p.row("signals", "  "+s.source())
	}
	for _, h := range d.Holds {
		p.row("holds", h.Name+" forbids "+h.forbids()+": "+h.Because)
	}
	for _, l := range d.Limits {
		p.row("limits", strings.TrimSuffix(string(l.Name)+" "+l.change()+": "+l.Because, ": "))
	}
	if d.Refused != "" {
		p.row("refused", strings.TrimSuffix(string(d.Verdict)+", because of "+string(d.Refused)+" "+d.Detail, " "))
	}
	if len(d.Victims) > 0 && d.Verdict == Replace {
		p.row("replaces", d.going(len(d.Victims)))
	}
	if d.Roll != nil {
		p.row("roll", d.Roll.String())
	}
	if d.Advice > 0 {
		p.row("advice", "the provider would have "+itoa(d.Advice)+" members; it is not followed")
	}
	for _, r := range d.reasons() {
		p.row("meaning", string(r)+": "+d.meaning(r))
	}
	return p.String()
}

// reasons lists the reasons that stand in the decision, the weightiest first.
func (d Decision) reasons() []Reason {
	var all []Reason
	add := func(r Reason) {
		if r != "" && !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	add(d.Refused)
	add(d.Reason)
	for _, l := range d.Limits {
		add(l.Name)
	}
	if d.Roll != nil && d.Roll.State != RollDone {
		add(map[RollState]Reason{RollUnderWay: Rolling, RollHalted: RollStopped}[d.Roll.State])
	}
	for _, s := range d.Signals {
		if s.Reason != InBand && s.Reason != BySignal {
			add(s.Reason)
		}
	}
	return all
}

// tell counts the members in words; ready is always named, other states if there
// are such members.
func (c Count) tell() string {
	out := []string{strconv.Itoa(c.Ready) + " ready"}
	for _, s := range []struct {
		n    int
		name State
	}{{c.Booting, Booting}, {c.Draining, Draining}, {c.Unhealthy, Unhealthy}, {c.Dead, Dead}, {c.Leaving, Leaving}} {
		if s.n > 0 {
			out = append(out, strconv.Itoa(s.n)+" "+string(s.name))
		}
	}
	return strings.Join(out, ", ")
}

// source tells what a signal read, how old it is, how much of the pool was heard,
// and where the signal is written.
func (s Judged) source() string {
	read := "no value"
	if s.Value != nil {
		read = "read " + quantity(*s.Value, s.Unit)
	}
	if s.Age != "" {
		read += ", " + s.Age + " old"
	}
	read += ", heard of " + strconv.FormatFloat(100*s.Coverage, 'f', 0, 64) + "% of the members"
	if s.Rule != "" {
		read += ", " + s.Rule
	}
	return read
}

func (h JudgedHold) forbids() string {
	if h.Forbids == "" {
		return "nothing"
	}
	return string(h.Forbids)
}

// quantity shows a number with its unit. Percents are kept as shares of one.
func quantity(v float64, unit string) string {
	switch unit {
	case "percent":
		return num(100*v) + "%"
	case "seconds":
		return time.Duration(v * float64(time.Second)).Round(100 * time.Microsecond).String()
	case "bytes":
		for _, u := range []string{"B", "KiB", "MiB", "GiB"} {
			if v < 1024 && v > -1024 {
				return num(v) + " " + u
			}
			v /= 1024
		}
		return num(v) + " TiB"
	case "per_second":
		return num(v) + "/s"
	default:
		return strings.TrimSpace(num(v) + " " + unit)
	}
}

// A page is lines with a label before the first of each kind.
type page struct {
	strings.Builder
	label string
}

// row writes a text behind its label, broken between words where it is too wide.
func (p *page) row(label, text string) {
	if text == "" {
		return
	}
	shown, indent := label, ""
	if label != "" {
		indent = strings.Repeat(" ", 10)
		if label == p.label {
			shown = ""
		}
	}
	p.label = label
	hang := strings.Repeat(" ", len(text)-len(strings.TrimLeft(text, " ")))
	line := (shown + indent)[:len(indent)] + hang
	fresh := true
	for _, word := range strings.Fields(text) {
		if !fresh && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > columns {
			p.WriteString(line + "\n")
			line, fresh = indent+hang+"  ", true
		}
		if !fresh {
			word = " " + word
		}
		line, fresh = line+word, false
	}
	p.WriteString(line + "\n")
}
