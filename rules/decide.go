package rules

import (
	"math"
	"time"
)

// Decide judges a pool. It is pure and holds the whole law, every limit and
// refusal included: the same rule, inputs, memory and time give the same
// decision, bit for bit. The live loop, tests and replays share it.
//
// The law is the Kubernetes HPA's (pkg/controller/podautoscaler, v1.35): a ratio
// to the target, members not heard of counted against the direction, the largest
// wish of all signals, a bar on scale-in while any signal is invalid,
// stabilisation both ways, limits on the rate. It differs where the HPA is known
// to hurt: tolerance is in members, capacity that boots counts once, windows and
// limits live in the returned memory and so survive a restart, no data is never
// zero, and fresh input that is NaN is idleness, not absence.
//
// The returned memory is the one to keep if the decision is kept.
func Decide(r Scale, in Inputs, m Memory, now time.Time) (Decision, Memory) {
	j := open(r, in, m, now)
	j.hearSignals()
	j.hearHolds()
	j.combine()
	j.forbidInDoubt()
	j.stabilise()
	j.applyHold(DirOut)
	j.applyHold(DirIn)
	j.bound()
	j.limitRate()
	j.applyHold(DirIn)
	j.forbidInDoubt() // again: a lowered ceiling removes nobody in doubt either
	j.disbelieve()
	j.settle()
	j.roll()
	j.refuse()
	j.waitRefused()
	j.remember()
	return j.d, j.m
}

// A judgement is one call of Decide on its way: the steps above fill it in order.
type judgement struct {
	r   Scale
	in  Inputs
	m   Memory
	now time.Time
	d   Decision

	c       census
	n       int // the size: what the wish is compared with
	floor   int
	doubt   Reason // why scale-in is barred; "" if it is not
	doubter string // the signal or hold that doubts

	wish    int                  // of all signals, then narrowed step by step
	because Reason               // what made the wish what it is
	signal  string               // the signal that made it
	bars    map[Direction]string // directions that holds forbid: by which
	lifted  map[string]bool      // signals whose wish is what the rule wants while they are missing
	heals   bool                 // the replacement is for a member's health
	rolls   bool                 // the verdict is a roll's
}

// blind is how long a pool may go without a judgement before its windows are
// taken for not observed. (A kept tick is renewed at least every 15 s.)
const blind = time.Minute

// open takes the census, and adopts a pool that is new to it: the size it has
// counts as wished just now, which bars scale-in for one window.
func open(r Scale, in Inputs, m Memory, now time.Time) *judgement {
	m = m.Clone()
	fresh := m.Version != MemoryVersion
	if fresh {
		m = Memory{Version: MemoryVersion}
	}
	if now.Before(m.Judged) {
		m.rewind(now)
	}
	m.settle(in.Members, in.Terms, now)
	j := &judgement{r: r, in: in, m: m, now: now, bars: map[Direction]string{}, lifted: map[string]bool{}}
	j.c = take(in.Members, m, r.Warmup, now)
	j.n = j.c.size()
	if fresh || now.Sub(m.Judged) > max(r.In.Window, blind) {
		j.m.Highs, j.m.Lows = raise(nil, Wish{now, j.n}), lower(nil, Wish{now, j.n})
	}
	j.m.Judged = now
	j.d = Decision{
		ID: r.Pool + "-" + now.UTC().Format("20060102T150405.000Z"), Pool: r.Pool, Rule: r.Rule, Commit: r.Commit,
		At: now, Members: j.c.count(), Size: j.n + j.c.extra(), Verdict: Keep,
		Advice: in.Terms.Advice,
	}
	return j
}

// hearSignals judges every signal by itself.
func (j *judgement) hearSignals() {
	for i, s := range j.r.Signals {
		h := j.hear(s, j.in.Answers[i])
		j.outlast(s.Name, &h)
		j.d.Signals = append(j.d.Signals, h)
	}
}

// outlast applies what a rule wants of a signal that has been missing for long.
func (j *judgement) outlast(name string, h *Judged) {
	if !invalid(h.Reason) {
		delete(j.m.Missing, name)
		return
	}
	since, ok := j.m.Missing[name]
	if !ok {
		since = j.now
		put(&j.m.Missing, name, since)
	}
	least := min(j.r.Missing.AtLeast, j.r.Max)
	if j.now.Sub(since) >= j.r.Missing.Hold && h.Wants < least {
		h.Wants = least
		j.lifted[name] = true
		h.Because += "; missing for " + round(j.now.Sub(since)) + ", so at least " + itoa(least)
	}
}

// combine takes the largest wish. Idle signals abstain; if all are idle, there is
// nothing to do, and the floor suffices. Any invalid signal bars scale-in, none
// bars scale-out.
func (j *judgement) combine() {
	j.floor = j.r.Min
	if j.in.Floor.In(j.now) {
		j.floor = max(j.floor, j.in.Floor.Size)
	}
	j.wish, j.because = -1, Idle
	for _, h := range j.d.Signals {
		if invalid(h.Reason) && j.doubt == "" {
			j.doubt, j.doubter = h.Reason, h.Name
		}
		louder := h.Wants == j.wish && j.because == InBand && (h.Reason == NoEffect || h.Reason == Warming)
		if h.Reason != Idle && (h.Wants > j.wish || louder) {
			j.wish, j.because, j.signal = h.Wants, h.Reason, h.Name
			if invalid(h.Reason) && h.Wants > j.n && !j.lifted[h.Name] {
				j.because = BySignal // what was heard suffices to want more
			}
		}
	}
	if j.wish < 0 {
		j.wish = min(j.floor, j.n)
	}
	j.d.Wants = j.wish
}

// hearHolds judges every hold by itself.
func (j *judgement) hearHolds() {
	for i, h := range j.r.Holds {
		j.hearHold(h, j.in.Holds[i])
	}
}

func (j *judgement) hearHold(h Hold, a Answer) {
	v, why := holdValue(a, j.now, j.r.Missing.Stale)
	out := JudgedHold{Name: h.Name, Because: why}
	switch {
	case why != "":
		out.Forbids = DirIn
		if j.doubt == "" {
			j.doubt, j.doubter = Held, h.Name
		}
	case v > h.Above:
		since, ok := j.m.Above[h.Name]
		if !ok {
			since = j.now
			put(&j.m.Above, h.Name, since)
		}
		out.Because = num(v) + " > " + num(h.Above) + " for " + round(j.now.Sub(since)) + " of " + round(h.For)
		if j.now.Sub(since) >= h.For {
			out.Forbids = h.Forbid
			j.bars[h.Forbid] = h.Name
		}
	default:
		delete(j.m.Above, h.Name)
		out.Because = num(v) + ", not above " + num(h.Above)
	}
	j.d.Holds = append(j.d.Holds, out)
}

// holdValue is a hold's value: the largest, if its answer has several. why says
// what makes it unknown.
func holdValue(a Answer, now time.Time, stale time.Duration) (v float64, why string) {
	switch {
	case a.Err != "":
		return 0, "not known: " + a.Err
	case a.Reading.Partial != "":
		return 0, "not known: " + a.Reading.Partial
	case len(a.Reading.Points) == 0:
		return 0, "not known: the query answered nothing"
	case now.Sub(a.Reading.Newest) > stale:
		return 0, "not known: the newest sample is " + round(now.Sub(a.Reading.Newest)) + " old"
	}
	v = math.NaN()
	for _, p := range a.Reading.Points {
		if math.IsNaN(v) || p.Value > v {
			v = p.Value
		}
	}
	return v, ""
}

// applyHold keeps the size where a hold forbids the direction of the wish.
func (j *judgement) applyHold(dir Direction) {
	if name := j.bars[dir]; name != "" && (dir == DirOut && j.wish > j.n || dir == DirIn && j.wish < j.n) {
		j.limit(Held, j.n, name)
	}
}

// limit narrows the wish and says so.
func (j *judgement) limit(name Reason, to int, because string) {
	if to == j.wish {
		return
	}
	j.d.Limits = append(j.d.Limits, Applied{Name: name, From: j.wish, To: to, Because: because})
	j.wish = to
}

// forbidInDoubt keeps the size where something that bears on scale-in is not known.
func (j *judgement) forbidInDoubt() {
	if j.wish >= j.n {
		return
	}
	if j.c.correlated(j.r.Warmup) {
		j.limit(CorrelatedUnhealthy, j.n, itoa(len(j.c.unhealthy))+" of "+itoa(j.n)+" members are unhealthy")
	} else if j.doubt != "" {
		j.limit(j.doubt, j.n, j.doubter)
	}
}

// disbelieve keeps the size while the pool was changed behind our back, or its
// list may lie: what seems to lack may be there, and who seems to be too many may
// be all there is. Not even min buys then; a list that lies for a moment would
// double the pool. A floor that an operator ordered since it began does.
func (j *judgement) disbelieve() {
	text := j.in.Terms.Drift
	if text == "" {
		j.m.Drifted = time.Time{}
		return
	}
	if j.m.Drifted.IsZero() {
		j.m.Drifted = j.now
	}
	to := j.n
	if f := j.in.Floor; f.In(j.now) && !f.At.Before(j.m.Drifted) {
		to = max(to, min(j.wish, f.Size))
	}
	j.d.Limits = append(j.d.Limits, Applied{Name: Drift, From: j.wish, To: to, Because: text})
	j.wish = to
}

// invalid reports whether a signal with this reason bars scale-in.
func invalid(r Reason) bool { return r == MissingData || r == LowCoverage || r == StaleData }
