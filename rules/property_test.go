package rules

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// TestWhateverIsReadTheDecisionIsLawful judges a pool forty times over with
// random members, readings, failures and orders, for a thousand seeds.
func TestWhateverIsReadTheDecisionIsLawful(t *testing.T) {
	seeds := uint64(1000)
	if raceEnabled || testing.Short() { // each takes twenty times as long
		seeds = 50
	}
	for seed := range seeds {
		g := gen{rand.New(rand.NewPCG(seed, 1))}
		r, m, now := g.rule(), Memory{}, epoch
		for range 40 {
			in := g.inputs(r, now)
			before := show(in) + show(m)
			d, after := Decide(r, in, m, now)
			if show(in)+show(m) != before {
				t.Fatalf("seed %d: Decide changed what it was given", seed)
			}
			lawful(t, seed, r, in, d)
			checkRound(t, r, in, m, d, after)
			if d.Acts() && d.Reason == Rolling && d.Verdict == ScaleOut {
				after.SurgeOf([]string{"web-13", "web-3"}[g.IntN(2)])
				after.Expect([]string{after.Roll.Surge}, 0, now)
			}
			m, now = after, now.Add(time.Duration(1+g.IntN(60))*time.Second)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	}
}

// lawful checks what must hold of every decision.
func lawful(t *testing.T, seed uint64, r Scale, in Inputs, d Decision) {
	t.Helper()
	floor := r.Min
	if in.Floor.In(d.At) {
		floor = max(floor, in.Floor.Size)
	}
	top := max(r.Max, floor)
	if d.Roll != nil {
		top++ // one more than wanted
	}
	if in.Terms.Drift != "" {
		floor = 0
		if d.Acts() && d.Reason != Manual {
			t.Errorf("seed %d: %s while the list is not believed", seed, d.Verdict)
		}
	}
	doubt := d.Members.Unhealthy > 1 && d.Reason == CorrelatedUnhealthy
	for _, s := range d.Signals {
		doubt = doubt || invalid(s.Reason)
		if s.Because == "" || s.Reason == "" {
			t.Errorf("seed %d: signal %s does not explain itself", seed, s.Name)
		}
	}
	switch {
	case d.Reason == "":
		t.Errorf("seed %d: no reason", seed)
	case d.Verdict == ScaleIn && doubt:
		t.Errorf("seed %d: scale-in in doubt", seed)
	case d.Verdict == ScaleIn && (d.To >= d.Size || d.To < floor):
		t.Errorf("seed %d: scale-in from %d to %d, floor %d", seed, d.Size, d.To, floor)
	case d.Verdict == ScaleOut && (d.To <= d.Size || d.To > top):
		t.Errorf("seed %d: scale-out from %d to %d, ceiling %d", seed, d.Size, d.To, top)
	case d.Verdict == Keep && d.Refused != "":
		t.Errorf("seed %d: keeping cannot be refused", seed)
	case d.Verdict == Replace && d.Members.Dead == 0 && len(d.Victims) == 0:
		t.Errorf("seed %d: replaces nobody", seed)
	case d.Verdict != ScaleOut && d.Size < floor:
		t.Errorf("seed %d: stays at %d under the floor %d", seed, d.Size, floor)
	}
}

// gen makes random inputs.
type gen struct{ *rand.Rand }

func (g gen) rule() Scale {
	r := cpu()
	r.Min = 1 + g.IntN(3)
	r.Max = r.Min + g.IntN(10)
	r.Signals = append(r.Signals, requests().Signals...)
	r.Signals = append(r.Signals, latency().Signals...)
	r.Signals = append(r.Signals, thesis().Signals...)
	r.Signals[3].Name, r.Signals[3].Stale = "elastic", time.Duration(g.IntN(3))*time.Minute
	r.Holds = []Hold{{Name: "busy", Above: 0.9, For: time.Minute, Forbid: []Direction{DirOut, DirIn}[g.IntN(2)]}}
	r.In.Window = time.Duration(g.IntN(120)) * time.Second
	r.Missing.AtLeast = g.IntN(2) * r.Max
	return r
}

func (g gen) inputs(r Scale, now time.Time) Inputs {
	in := Inputs{Terms: can, Holds: []Answer{g.answer(now, 0)}}
	all := []State{Ready, Ready, Ready, Ready, Booting, Unhealthy, Dead, Draining, Leaving}
	for _, m := range pool(g.IntN(12)) {
		m.State, m.Since = all[g.IntN(len(all))], now.Add(-time.Duration(g.IntN(300))*time.Second)
		in.Members = append(in.Members, m)
	}
	for range r.Signals {
		in.Answers = append(in.Answers, g.answer(now, len(in.Members)))
	}
	up := each(now, times(g.IntN(12), 1)...).Reading
	in.Up = &up
	if g.IntN(5) == 0 {
		in.Floor = &Order{Size: g.IntN(r.Max + 1), Until: now.Add(time.Minute)}
	}
	if g.IntN(9) == 0 {
		in.Pause = &Order{Until: now.Add(time.Minute)}
	}
	if g.IntN(9) == 0 {
		in.Terms.Most = g.IntN(12)
	}
	if in.Terms.Version = []string{"", "v1", "v2"}[g.IntN(3)]; g.IntN(2) == 0 {
		in.Roll = &Order{At: epoch.Add(time.Duration(g.IntN(3)) * time.Minute)}
	}
	for i := range in.Members {
		in.Members[i].Version = []string{"", "v1", "v2"}[g.IntN(3)]
	}
	if g.IntN(9) == 0 {
		in.Terms.Drift = "half is missing"
	}
	return in
}

func (g gen) answer(now time.Time, members int) Answer {
	values := []float64{0, 0.1, 0.5, 0.6, 0.95, 3, 40, math.NaN(), math.Inf(1), math.Inf(-1), -5}
	switch g.IntN(8) {
	case 0:
		return Answer{Err: "no data"}
	case 1:
		return folded(now, g.IntN(members+1), values[g.IntN(len(values))])
	case 2:
		return stale(folded(now, members, 0.1))
	default:
		vs := make([]float64, g.IntN(members+2))
		for i := range vs {
			vs[i] = values[g.IntN(len(values))]
		}
		return each(now, vs...)
	}
}
