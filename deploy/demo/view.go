package demo

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"flyball/rules"
)

// width is how many columns the view takes.
const width = 80

// columns is how many steps a sparkline has, of stride seconds each.
const (
	columns = 30
	stride  = 3
)

// Escape sequences that every terminal of the last forty years knows.
const (
	home     = "\x1b[H"
	clear    = "\x1b[2J"
	clearEnd = "\x1b[K"
	clearRst = "\x1b[J"
	hide     = "\x1b[?25l"
	unhide   = "\x1b[?25h"
)

// A view shows a history: drawn over and over in a terminal, else as a plain line
// for every event and every ten seconds.
type view struct {
	out      io.Writer
	terminal bool
	color    bool
	drawn    bool
	listen   string // Flyball's address
	script   script
	elastic  bool
	told     int           // events printed
	next     time.Duration // when the next plain line is due
}

func newView(o Options, st *stage) *view {
	return &view{
		out: o.Out, terminal: o.Terminal, color: o.Color,
		listen: st.listen, script: st.script, elastic: st.elastic != nil,
	}
}

// say prints a line ahead of the show.
func (v *view) say(format string, args ...any) { fmt.Fprintf(v.out, format+"\n", args...) }

// end leaves the terminal as it was.
func (v *view) end() {
	if v.drawn {
		fmt.Fprint(v.out, unhide)
	}
}

// draw shows the history as it is now.
func (v *view) draw(h *history) {
	if !v.terminal {
		v.lines(h)
		return
	}
	if !v.drawn {
		fmt.Fprint(v.out, hide+clear)
		v.drawn = true
	}
	text := strings.ReplaceAll(v.page(h), "\n", clearEnd+"\n")
	fmt.Fprint(v.out, home+text+clearRst)
}

// lines prints what is new, without a terminal.
func (v *view) lines(h *history) {
	if len(h.events) < v.told { // the script began anew
		v.told, v.next = 0, 0
	}
	for ; v.told < len(h.events); v.told++ {
		e := h.events[v.told]
		fmt.Fprintf(v.out, "%s  %s\n", clock(e.at), e.text)
	}
	t := time.Duration(h.last.Elapsed * float64(time.Second))
	if t < v.next || h.last.At.IsZero() {
		return
	}
	v.next = t.Truncate(10*time.Second) + 10*time.Second
	name, _ := v.script.at(t)
	signal := ""
	if v.elastic {
		signal = "  " + percent(h.busy()) + " busy, " + heardFrom(h)
	}
	fmt.Fprintf(v.out, "%s  %-4s offered %.0f/s  p99 %s  members %d ready %d booting  failed %d of %d%s\n",
		clock(t), name, h.last.Offered, millis(h.last.P99), h.ready(), h.count(rules.Booting), h.last.Failed, h.last.Answers, signal)
}

// page is the whole picture.
func (v *view) page(h *history) string {
	var b strings.Builder
	rule := strings.Repeat("-", width) + "\n"
	t := time.Duration(h.last.Elapsed * float64(time.Second))
	name, _ := v.script.at(t)
	middle := fmt.Sprintf("%s of %s %s", clock(t), clock(v.script.length()), name)
	rest := fmt.Sprintf("   pool web, %d-%d members", least, most)
	fmt.Fprintf(&b, "%s%-30s%20s%18s\n", v.bold("flyball demo"), rest, middle, v.listen)
	b.WriteString(rule)
	v.gauges(&b, h)
	b.WriteString(rule)
	v.members(&b, h)
	b.WriteString(rule)
	v.decisions(&b, h)
	b.WriteString(rule)
	b.WriteString("try    " + v.address() + "    Ctrl-C stops\n")
	return b.String()
}

// address is a command to try, with the address if it is not the default one.
func (v *view) address() string {
	if strings.HasSuffix(v.listen, ":9480") {
		return "bin/flyball explain web | bin/flyball status"
	}
	return "bin/flyball explain web --address http://" + v.listen
}

// gauges are the four numbers on top, with their past.
func (v *view) gauges(b *strings.Builder, h *history) {
	worst := h.worst()
	past := func(f func(sample) float64) string { return spark(h.samples, f) }
	fmt.Fprintf(b, "%-8s %6s   %s    wanted: %s\n", "offered", fmt.Sprintf("%.0f/s", h.last.Offered),
		v.blue(past(func(s sample) float64 { return s.offered })), v.script.wanted)
	fmt.Fprintf(b, "%-8s %6s   %s    worst %s at %s\n", "p99", millis(h.last.P99),
		v.yellow(past(func(s sample) float64 { return s.p99 })), millis(worst.p99), clock(worst.at))
	fmt.Fprintf(b, "%-8s %6d   %s    %d ready, %d booting\n", "members", len(h.pool.Members),
		v.green(past(func(s sample) float64 { return float64(s.members) })), h.ready(), h.count(rules.Booting))
	if v.elastic {
		from := heardFrom(h)
		if h.severed() {
			from = v.red(from)
		}
		fmt.Fprintf(b, "%-8s %6s   %s    %s\n", "busy", percent(h.busy()),
			v.blue(past(func(s sample) float64 { return s.busy })), from)
	}
	failed := fmt.Sprintf("%6d", h.last.Failed)
	if h.last.Failed > 0 {
		failed = v.red(failed)
	}
	fmt.Fprintf(b, "%-8s %s   %-33s CPU %.0f%% of %d cores\n", "failed", failed,
		fmt.Sprintf("of %s answers, nothing retried", thousands(h.last.Answers)), h.cpu*100, runtime.NumCPU())
}

// heardFrom says where the signal comes from, and how old what was heard is.
func heardFrom(h *history) string {
	s := h.signal()
	switch {
	case h.severed():
		return "Elasticsearch is cut off"
	case s == nil || s.Age == "":
		return "of Elasticsearch nothing yet"
	}
	return "of Elasticsearch, " + s.Age + " old"
}

// members is the table of the pool.
func (v *view) members(b *strings.Builder, h *history) {
	fmt.Fprintf(b, "%-9s %-6s %-10s %6s %8s %11s %8s\n", "MEMBER", "ID", "STATE", "AGE", "REQ/S", "IN FLIGHT", "QUEUED")
	for _, m := range h.pool.Members {
		open := "-"
		if m.Open != nil {
			open = fmt.Sprint(*m.Open)
		}
		state := fmt.Sprintf("%-10s", m.State)
		if m.State != rules.Ready {
			state = v.yellow(state)
		}
		fmt.Fprintf(b, "%-9s %-6s %s %6s %8.0f %11s %8.0f\n", m.Name, brief(m), state,
			clock(time.Since(m.Born)), h.rates[m.Name], open, h.queued[m.Name])
	}
}

// decisions are the latest.
func (v *view) decisions(b *strings.Builder, h *history) {
	where := h.pool.Rule
	fmt.Fprintf(b, "%-7s%-10s%s%*s\n", "TIME", "DECISION", "WHY", width-20, where)
	lines := 7
	if v.elastic {
		lines -= 2 // the picture has 24 lines
	}
	for _, e := range h.events[max(0, len(h.events)-lines):] {
		text := e.text
		if what, why, ok := strings.Cut(e.text, "   "); ok {
			text = fmt.Sprintf("%-10s%s", what, why)
		}
		room := width - 7 - len(e.ready)
		if e.ready != "" {
			room-- // a space between
		}
		fmt.Fprintf(b, "%-7s%s%s\n", clock(e.at), fit(text, room), strings.TrimRight(" "+e.ready, " "))
	}
}

// conclude prints the report for people.
func (v *view) conclude(r report) {
	verdict := v.green("0 failed")
	if r.Failed > 0 {
		verdict = v.red(fmt.Sprintf("%d failed", r.Failed))
	}
	fmt.Fprintf(v.out, "\n%s requests, %s. The pool grew %.1fs after the load crossed, up to %d members, and ended with %d.\n",
		thousands(r.Requests), verdict, r.FirstOut, r.MembersMax, r.MembersEnd)
	fmt.Fprintf(v.out, "p99 %s before, %s at worst, %s under full load once grown. %d decisions, %d kill -9 survived.\n",
		millis(r.P99Before), millis(r.P99Worst), millis(r.P99After), r.Decisions, r.Kills)
	if e := r.Elasticsearch; e != nil {
		v.concludeElastic(*e)
	}
}

// concludeElastic prints what Elasticsearch has to do with it.
func (v *view) concludeElastic(r elasticReport) {
	went := "it did not go on"
	if r.WentOn != nil {
		went = fmt.Sprintf("it went on by the signal %.1fs after", *r.WentOn)
	}
	fmt.Fprintf(v.out, "Elasticsearch was cut off for %.0fs: %d judgements held the pool (%s), %d did not; %s.\n",
		r.Cut, r.Held, rules.MissingData, r.NotHeld, went)
	fmt.Fprintf(v.out, "In it are %s documents of metrics, %s of %s samples of http_workers among them, and %d of %d events, %d of them doubled.\n",
		thousands(r.Documents), thousands(r.Samples), thousands(r.Samples+r.SamplesLost), r.Events, r.Events+r.EventsLost, r.EventsDoubled)
}

func (v *view) paint(code, s string) string {
	if !v.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (v *view) bold(s string) string   { return v.paint("1", s) }
func (v *view) red(s string) string    { return v.paint("31", s) }
func (v *view) green(s string) string  { return v.paint("32", s) }
func (v *view) yellow(s string) string { return v.paint("33", s) }
func (v *view) blue(s string) string   { return v.paint("34", s) }
