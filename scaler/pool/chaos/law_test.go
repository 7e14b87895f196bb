package chaos

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"flyball/rules"
	"flyball/scaler/journal"
)

// begun holds a step against the law as it begins.
func (w *world) begun(s journal.Step, t *journal.Tick) {
	w.mu.Lock()
	if len(s.Victims) > 0 && w.verbs[s.Verb].IsZero() {
		w.verbs[s.Verb] = time.Now()
	}
	if t.Out.Verdict == rules.ScaleIn {
		w.shrunk = t.Out
	}
	w.mu.Unlock()
	truth := map[string]machine{} // by number
	for _, m := range w.cloud.machines() {
		truth[m.id] = m
	}
	for _, v := range s.Victims {
		if m, there := truth[string(v)]; there && !m.ours {
			w.fail("%s %s takes %s, which is none of ours", s.ID, s.Verb, m.name)
		}
	}
	spends := s.Verb == journal.Grow || s.Verb == journal.Swap || s.Verb == journal.Remove
	if spends && t.In.Terms.Drift != "" && t.Out.Reason != rules.Manual {
		w.fail("%s %s while the list is not believed: %s", s.ID, s.Verb, t.In.Terms.Drift)
	}
	if n := t.Out.To; t.Out.Acts() && t.Out.Verdict == rules.ScaleIn && n < w.rule.Min || t.Out.Verdict == rules.ScaleOut && n > w.rule.Max && t.Out.Size <= w.rule.Max {
		w.fail("%s wants %d members", s.ID, n)
	}
}

// fail takes down what is wrong; it is told once.
func (w *world) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.faults, text) && len(w.faults) < 10 {
		w.faults = append(w.faults, text)
		w.t.Errorf("at %s: %s", time.Now().UTC().Format(time.TimeOnly), text)
		if len(w.faults) == 1 {
			w.t.Log(w.story())
		}
	}
}

// capacity are the names of the pool's machines that live and were not asked to
// drain, as they truly are.
func (w *world) capacity() []string {
	m, _, err := w.ledger.Memory("web")
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]bool{}
	drains := w.ledger.leavers()
	w.mu.Lock()
	for _, x := range w.seen {
		if _, is := m.DrainingSince(x.ID); is || w.doomed[x.ID] || x.State == rules.Dead || x.State == rules.Leaving {
			drains[string(x.ID)], drains[x.Addr] = true, true
			if !w.terms.Names { // who names its machines itself names none twice
				drains["name/"+x.Name] = true
			}
		}
	}
	w.mu.Unlock()
	for _, x := range w.cloud.ours() {
		if !x.off && !drains[x.id] && !drains["name/"+x.name] && (x.addr == "" || !drains[x.addr]) {
			out[x.name] = true
		}
	}
	var names []string
	for n := range out {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// hold holds the world against the bounds.
func (w *world) hold() {
	w.notice()
	if names := w.capacity(); len(names) > w.rule.Max {
		w.fail("%d members, at most %d: %s", len(names), w.rule.Max, strings.Join(names, " "))
	}
	m, _, _ := w.ledger.Memory("web")
	if n := len(encode(m)); n > 4096 {
		w.fail("the memory has %d bytes", n)
	}
}

// notice takes down when a list began to lie: a fault befalls later than it was planted.
func (w *world) notice() {
	lies := w.cloud.world.Befallen("list_lag") + w.cloud.world.Befallen("partial_list")
	w.set(func() {
		if lies != w.lies {
			w.lies, w.broken = lies, time.Now()
		}
	})
}

// mayWipe says whether the data folder is lost now: not while lists lie, since then
// nobody can know who is there.
func (w *world) mayWipe() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dice.IntN(5) == 0 && time.Since(w.broken) > liesApart
}

// liesApart is how far lists that lie are from the loss of the data folder.
const liesApart = 2 * time.Minute

// forget loses the data folder, and with it who drains.
func (w *world) forget() {
	m, _, _ := w.ledger.Memory("web")
	w.set(func() {
		for _, x := range w.members {
			if _, is := m.DrainingSince(x.ID); is {
				w.doomed[x.ID] = true
			}
		}
	})
	w.cloud.world.Heal("list_lag", "partial_list")
	w.wipe()
	w.wiped = time.Now()
}

// goal is the size that the load wants, and no other.
func (w *world) goal() int {
	return min(max(int(math.Ceil(w.load/share)), w.rule.Min), w.rule.Max)
}

// calm lets the load stand still and counts the judgements at which the pool is not
// as it should be, nothing is done about it, and nothing lawful is waited for.
func (w *world) calm(sum *tally) {
	size := least + w.dice.IntN(most-least+1)
	w.set(func() { w.load = (float64(size) - 0.3) * share })
	const within = 3 // judgements
	idle, judged, began := 0, 0, time.Now()
	for time.Since(began) < 3*time.Hour {
		time.Sleep(time.Second)
		w.hold()
		wrong := w.wrong()
		if wrong == "" && time.Since(began) > time.Minute {
			return
		}
		w.mu.Lock()
		news := w.judged > judged
		judged = w.judged
		w.mu.Unlock()
		if !news {
			continue
		}
		if wrong == "" || w.excuse() != "" {
			idle = 0
			continue
		}
		if idle++; idle > within {
			w.fail("%s after %s of calm, and nothing is done about it for %d judgements: %s", wrong, time.Since(began), idle, encode(w.ledger.tick().Out))
			return
		}
		sum.mu.Lock()
		sum.waited = max(sum.waited, idle)
		sum.mu.Unlock()
	}
	w.fail("not settled after three hours of calm: %s; %s; %s", w.wrong(), w.excuse(), encode(w.ledger.tick().Out))
}

// wrong is what is not as the steady load wants it; "": all is.
func (w *world) wrong() string {
	have := map[string]int{}
	for _, m := range w.cloud.machines() {
		switch {
		case !m.ours:
		case m.ending:
			return m.name + " is ending"
		case !m.serving:
			return m.name + " does not serve"
		}
		if m.ours {
			have[m.name]++
		}
	}
	for n, times := range have {
		if times > 1 {
			return fmt.Sprintf("%s is there %d times", n, times)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(have) != w.goal() {
		return fmt.Sprintf("there are %d machines and %d are wanted", len(have), w.goal())
	}
	if len(w.members) != len(have) {
		return fmt.Sprintf("%d members are listed of %d", len(w.members), len(have))
	}
	for _, m := range w.members {
		if m.State != rules.Ready || have[m.Name] == 0 {
			return fmt.Sprintf("%s is %s", m.Name, m.State)
		}
	}
	return ""
}

// excuse is what is lawfully waited for; "": nothing. Each ends by itself.
func (w *world) excuse() string {
	tick := w.ledger.tick()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.members {
		if m.State != rules.Ready {
			return m.Name + " is " + string(m.State)
		}
	}
	d, after := tick.Out, tick.After
	switch {
	case len(after.Expected) > 0:
		return "members are expected"
	case len(after.Draining) > 0:
		return "members drain"
	case d.Acts():
		return "it acts"
	case d.Refused != "":
		return string(d.Refused)
	case w.terms.Drift != "":
		return w.terms.Drift
	case w.failing != nil:
		return w.failing.Error()
	}
	for dir, f := range after.Failed {
		if time.Now().Before(f.Until) {
			return "after failures, " + string(dir)
		}
	}
	for _, l := range d.Limits {
		if l.Name == rules.RateLimited || l.Name == rules.Stabilising || l.Name == rules.Warming || l.Name == rules.Quota {
			return string(l.Name)
		}
	}
	return ""
}

// settle is what has to be true at the end.
func (w *world) settle() {
	listed := map[string]bool{}
	w.mu.Lock()
	for _, m := range w.members {
		listed[m.Name] = true
	}
	w.mu.Unlock()
	strangers := 0
	for _, m := range w.cloud.machines() {
		if m.ours && !m.ending && !listed[m.name] {
			w.fail("%s (%s) is an orphan: the pool does not list it", m.name, m.id)
		}
		if strings.HasPrefix(m.name, strange) && !m.ending {
			strangers++
		}
	}
	if strangers != w.cloud.strangers {
		w.fail("%d of %d machines that are none of ours are left", strangers, w.cloud.strangers)
	}
	for _, r := range w.cloud.world.Requests() {
		if strings.Contains(r.URL, secret) {
			w.fail("a secret is in the URL of %s", r.Method)
		}
	}
	if b := w.beyond(); len(b) > 0 {
		w.fail("%d requests beyond the limit, first %s", len(b), b[0])
	}
	if len(w.ledger.open) > 0 {
		w.fail("a step is open")
	}
}

// story is what happened last, as Flyball and the cloud tell it.
func (w *world) story() string {
	var out strings.Builder
	fmt.Fprintf(&out, "Flyball said:\n%s\nthe cloud was asked:\n", w.said.last())
	rs := w.cloud.world.Requests()
	for _, r := range rs[max(0, len(rs)-mostSaid):] {
		fmt.Fprintf(&out, "%s %s %s %d %s\n", r.At.UTC().Format(time.TimeOnly), r.Method, r.URL, r.Status, r.Fault)
	}
	return out.String()
}
