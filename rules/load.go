package rules

import (
	"math"
	"slices"
)

// hearLoad wants as many members as the load takes: ceil(load), if the exact load
// is outside the tolerance. Against scale-out the load is what was heard; against
// scale-in every member that was not heard, boots, warms up or is sick counts as
// fully loaded. So neither direction is taken on what is not known.
func hearLoad(h heard, out *Judged) {
	load, sum := h.least()
	unheard, who := h.unheard()
	most := load + unheard
	in := float64(h.n) - max(1, 0.05*float64(h.n)) // below it there are too many
	switch {
	case load > float64(h.n)+max(0.25, 0.02*float64(h.n)):
		out.Wants = whole(load)
		if out.Reason == "" {
			out.Reason = BySignal
		}
	case out.Reason == "" && most < in:
		out.Wants, out.Reason = whole(most), BySignal
	case out.Reason == "":
		out.Reason = InBand
	}
	text := sum + " = " + num(load)
	if load == 0 || math.Abs(load) < 0.005 {
		text = sum + " = 0"
	}
	if unheard > 0 && load < in {
		text += ", and as loaded count " + who
	}
	if out.Because != "" {
		text = out.Because + "; " + text
	}
	out.Because = text
}

// whole is a load as members, one at the least.
func whole(load float64) int {
	return max(1, int(math.Ceil(min(load, mostSize)-1e-9)))
}

// least is the load that was heard, in members, and the arithmetic.
func (h heard) least() (load float64, text string) {
	per := h.s.Share + h.s.Target // one of them is 0
	if v, ok := h.whole(); ok {
		v = max(v, 0)
		if h.s.Share > 0 {
			return v / per, num(v) + "/" + num(per)
		}
		count := h.answering()
		return v * float64(count) / per, itoa(count) + " x " + num(v) + " / " + num(per)
	}
	sum, count := h.load(slices.Concat(h.c.warm, h.c.unhealthy, h.c.draining))
	young, spike := h.young(sum, count)
	if h.s.Share > 0 {
		sum += young
		return sum / per, num(sum) + "/" + num(per)
	}
	sum += spike
	for _, m := range h.c.young {
		if _, ok := h.of(m); ok {
			count++
		}
	}
	if count == 0 {
		return 0, "0 / " + num(per)
	}
	return sum / per, itoa(count) + " x " + num(sum/float64(count)) + " / " + num(per)
}

// load adds up the members' loads. A negative load is none: it must not take away
// from the others'.
func (h heard) load(ms []Member) (sum float64, count int) {
	for _, m := range ms {
		if v, ok := h.of(m); ok {
			sum += max(v, 0)
			count++
		}
	}
	return sum, count
}

// young is the load of the members in their warm-up: as heard, and with each
// capped at the mean of the warm ones, because a start is no load (utilisation
// peaks while caches fill), but what a young member truly serves is.
func (h heard) young(sum float64, count int) (heardSum, capped float64) {
	top := math.Inf(1)
	if count > 0 {
		top = sum / float64(count)
	}
	for _, m := range h.c.young {
		if v, ok := h.of(m); ok {
			heardSum += max(v, 0)
			capped += max(min(v, top), 0)
		}
	}
	return heardSum, capped
}

// answering counts the members whose samples a folded mean is of.
func (h heard) answering() int {
	if h.s.Scope == WholePool {
		return len(h.c.warm) + len(h.c.young)
	}
	count := 0
	for _, m := range slices.Concat(h.c.warm, h.c.young, h.c.unhealthy, h.c.draining, h.c.leaving) {
		if h.who[m.Name] {
			count++
		}
	}
	return count
}

// unheard is what the members that are not known to be at ease count for
// against scale-in, and who they are: each one is fully loaded.
func (h heard) unheard() (sum float64, who string) {
	silent := 0.0
	for _, m := range h.c.warm {
		if !h.who[m.Name] {
			silent++
		}
	}
	for _, group := range []struct {
		count float64
		name  string
	}{
		{silent, "not heard"},
		{float64(h.c.coming()), "booting"},
		{float64(len(h.c.dead) + h.c.owed), "dead"},
		{h.uneasy(h.c.young), "warming"},
		{h.uneasy(h.c.unhealthy), "sick"},
	} {
		if group.count == 0 {
			continue
		}
		if sum += group.count; who != "" {
			who += ", "
		}
		who += num(group.count) + " " + group.name
	}
	return sum, who
}

// uneasy is how much members that are not steady lack of being fully loaded.
func (h heard) uneasy(ms []Member) (sum float64) {
	_, folded := h.whole()
	for _, m := range ms {
		v, ok := h.of(m)
		switch {
		case folded && h.who[m.Name], h.s.Share > 0 && ok:
		case h.s.Target > 0 && ok:
			sum += max(0, 1-v/h.s.Target)
		default:
			sum++
		}
	}
	return sum
}
