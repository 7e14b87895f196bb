package demo

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
)

// A history is all that was seen since the script began: what the view draws and
// the report counts.
type history struct {
	began    time.Time
	samples  []sample // one a second
	last     progress
	pool     scaler.PoolStatus
	rates    map[string]float64 // requests a second by member
	queued   map[string]float64
	events   []event
	seen     journal.Seq
	outs     int
	ins      int
	all      int // decisions
	firstOut time.Time
	cpu      float64   // share of all cores
	cut      time.Time // when Elasticsearch was cut off last
	mend     time.Time // when it was back; zero: it is not
}

// A sample is one second.
type sample struct {
	at      time.Duration
	offered float64
	p99     float64
	members int
	busy    float64 // the signal's value; 0 if it was not heard
}

// An event is a line of the list of decisions.
type event struct {
	at    time.Duration
	text  string
	names []string // members that the event asked for
	ready string   // how soon all of them were ready
}

func newHistory() *history { return &history{} }

// restart begins the script anew: what was seen of the one before is history.
func (h *history) restart(now time.Time) {
	*h = history{began: now, seen: h.seen, pool: h.pool}
}

func (h *history) since(t time.Time) time.Duration { return t.Sub(h.began) }

// load takes in a second of the load.
func (h *history) load(p progress) {
	h.last = p
	h.samples = append(h.samples, sample{
		at: time.Duration(p.Elapsed * float64(time.Second)), offered: p.Offered, p99: p.P99, members: h.ready(), busy: h.busy(),
	})
}

// signal is what the rule's one signal said last; nil before the first judgement.
func (h *history) signal() *rules.Judged {
	if h.pool.Decision == nil || len(h.pool.Decision.Signals) == 0 {
		return nil
	}
	return &h.pool.Decision.Signals[0]
}

func (h *history) busy() float64 {
	if s := h.signal(); s != nil && s.Value != nil {
		return *s.Value
	}
	return 0
}

// severed reports whether Elasticsearch is cut off.
func (h *history) severed() bool { return !h.cut.IsZero() && h.mend.IsZero() }

// ready counts the members that answer their probe.
func (h *history) ready() int { return h.count(rules.Ready) }

func (h *history) count(s rules.State) int {
	n := 0
	for _, m := range h.pool.Members {
		if m.State == s {
			n++
		}
	}
	return n
}

// status takes in how the pool is.
func (h *history) status(p scaler.PoolStatus) {
	h.pool = p
	since := map[string]time.Time{}
	for _, m := range p.Members {
		if m.State == rules.Ready {
			since[m.Name] = m.Since
		}
	}
	for i, e := range h.events {
		if e.ready != "" || len(e.names) == 0 {
			continue
		}
		last := time.Time{}
		for _, n := range e.names {
			t, ok := since[n]
			if !ok {
				last = time.Time{}
				break
			}
			if t.After(last) {
				last = t
			}
		}
		if !last.IsZero() {
			h.events[i].ready = "ready in " + max(h.since(last)-e.at, 0).Round(100*time.Millisecond).String()
		}
	}
}

// entries takes in what the journal says.
func (h *history) entries(es []journal.Entry) {
	for _, e := range es {
		h.seen = max(h.seen, e.Seq)
		if h.began.IsZero() || e.At.Before(h.began) {
			continue
		}
		switch e.Kind {
		case journal.Decision:
			h.decision(e)
		case journal.Begun:
			h.begun(e)
		}
	}
}

func (h *history) decision(e journal.Entry) {
	var d rules.Decision
	if json.Unmarshal(e.Body, &d) != nil {
		return
	}
	h.all++
	if d.Verdict == rules.ScaleOut && d.Acts() && h.firstOut.IsZero() {
		h.firstOut = d.At
	}
	told := d.Reason == rules.InBand || d.Reason == rules.MissingData && !h.cut.IsZero() && d.At.After(h.cut)
	if !d.Acts() && !(d.Verdict == rules.Keep && told) {
		return // what it waits for is for `flyball explain`
	}
	h.events = append(h.events, event{at: h.since(d.At), text: d.Line()})
}

func (h *history) begun(e journal.Entry) {
	var s journal.Step
	if json.Unmarshal(e.Body, &s) != nil {
		return
	}
	switch s.Verb {
	case journal.Grow:
		h.outs++
	case journal.Withdraw:
		h.ins++
	}
	if n := len(h.events); n > 0 && len(s.Names) > 0 {
		h.events[n-1].names = s.Names
	}
}

// note adds an event of the demo's own.
func (h *history) note(at time.Time, format string, args ...any) {
	h.events = append(h.events, event{at: h.since(at), text: fmt.Sprintf(format, args...)})
}

// worst is the second with the slowest answers.
func (h *history) worst() sample {
	var w sample
	for _, s := range h.samples {
		if s.p99 > w.p99 {
			w = s
		}
	}
	return w
}

// brief is what a member is known by on the machine: its process, or the
// beginning of its container's name.
func brief(m rules.Member) string {
	if pid, ok := strings.CutPrefix(m.Note, "pid "); ok {
		pid, _, _ = strings.Cut(pid, ",")
		return pid
	}
	return string(m.ID[:min(6, len(m.ID))])
}
