package rules

import (
	"math"
	"slices"
)

// useless is how many adds in a row may better a band's value by less than a
// tenth before adding is given up: then members are not what is lacking.
const useless = 3

// hearBand wants more above the band, the minimum below it, and the present size
// between. After it asked for more it waits until those have come and warmed up,
// or every look would ask again for what is on its way.
func (j *judgement) hearBand(s Signal, h heard, out *Judged) {
	v := h.value()
	b := s.Band
	most, doubtful := h.mostBandMean()
	switch {
	case v > b.Above:
		j.hearAbove(s, v, out)
		return
	case out.Reason != "":
	case v < b.Below && most < b.Below:
		out.Wants, out.Reason, out.Because = min(j.r.Min, j.n), BySignal, num(v)+" < "+num(b.Below)
	case v < b.Below:
		out.Reason = InBand
		out.Because = num(v) + " < " + num(b.Below) + ", but " + num(most) + " with " + itoa(doubtful) + " that may be busy"
	default:
		out.Reason, out.Because = InBand, num(b.Below)+" <= "+num(v)+" <= "+num(b.Above)
	}
	delete(j.m.Adds, s.Name)
}

// hearAbove asks for more members, unless some are on their way or the last ones
// brought nothing.
func (j *judgement) hearAbove(s Signal, v float64, out *Judged) {
	why := num(v) + " > " + num(s.Band.Above)
	if out.Because != "" {
		why = out.Because + "; " + why
	}
	coming := j.coming()
	switch {
	case coming > 0:
		out.set(Warming, why+", "+itoa(coming)+" booting or warming")
	case j.uselessAdds(s.Name, v) >= useless:
		out.set(NoEffect, why+", and the last "+itoa(useless)+" additions bettered it by less than 10%")
	default:
		out.set(BySignal, why+", adds "+s.Band.Add.String())
		out.Wants = j.n + max(1, largest([]Amount{s.Band.Add}, j.n, math.Ceil))
	}
}

// coming counts the members whose effect is still to be seen. One that boots for
// ever, or turns ready again and again, is not waited for.
func (j *judgement) coming() int {
	n := j.c.expected
	for _, m := range j.c.booting {
		if j.now.Sub(m.Since) < 2*j.r.Warmup {
			n++
		}
	}
	for _, m := range j.c.young {
		if j.m.IsSurge(m) {
			continue // it comes to take another's place
		}
		if m.Born.IsZero() || j.now.Sub(m.Born) < bootTime {
			n++
		}
	}
	return n
}

// set gives the reason, unless something is the matter with the reading.
func (out *Judged) set(r Reason, because string) {
	out.Because = because
	if out.Reason == "" {
		out.Reason = r
	}
}

// uselessAdds counts the adds in a row, the last included, that brought nothing.
func (j *judgement) uselessAdds(signal string, v float64) int {
	last, ok := j.m.Adds[signal]
	if !ok || j.now.Sub(last.At) > bootTime { // what was useless then may be of use now
		return 0
	}
	if v > 0.9*last.Value {
		return last.Useless + 1
	}
	return 0
}

// rememberAdd keeps what a band's value was when members were added for it.
func (j *judgement) rememberAdd() {
	for i, s := range j.r.Signals {
		h := j.d.Signals[i]
		if s.Band == nil || h.Wants <= j.n {
			continue
		}
		v := math.MaxFloat64
		if h.Value != nil {
			v = *h.Value
		}
		put(&j.m.Adds, s.Name, Adds{At: j.now, Value: v, Useless: j.uselessAdds(s.Name, v)})
	}
}

// bandMean is the mean over the members that serve. A draining one does not, and
// one that is sick may raise the mean and never lowers it: its rest is no room.
func (h *heard) bandMean() float64 {
	well, count := h.sum(slices.Concat(h.c.warm, h.c.young))
	sick, sickCount := h.sum(h.c.unhealthy)
	if count+sickCount == 0 {
		return math.NaN()
	}
	all := (well + sick) / float64(count+sickCount)
	if count == 0 {
		return all
	}
	return max(all, well/float64(count))
}

// mostBandMean is what the mean may be, for all that is known: each member that
// is not heard, boots, warms up, is sick or dead counts as at the band's upper
// edge at least. One whose number is NaN has nothing to measure and counts for
// nothing. doubtful is how many were taken for loaded.
func (h *heard) mostBandMean() (mean float64, doubtful int) {
	folded, whole := h.whole()
	if whole && h.s.Scope == WholePool || h.n == 0 {
		return folded, 0
	}
	sum, count := 0.0, h.n
	for _, m := range h.c.warm {
		v, ok := h.of(m)
		switch {
		case whole && h.who[m.Name]:
			sum += folded
		case ok:
			sum += v
		case h.who[m.Name]:
			count--
		default:
			doubtful++
		}
	}
	for _, m := range slices.Concat(h.c.young, h.c.unhealthy) {
		if v, ok := h.of(m); ok {
			sum += max(0, v-h.s.Band.Above)
		}
	}
	doubtful += h.n - len(h.c.warm)
	return (sum + h.s.Band.Above*float64(doubtful)) / float64(max(count, 1)), doubtful
}
