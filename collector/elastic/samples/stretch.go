package samples

import (
	"cmp"
	"slices"
)

// A stretch of time, in milliseconds since 1970, with its begin and without its end.
type stretch struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// mostStretches is how many a list has before it becomes coarser.
const mostStretches = 64

// widths are what the stretches of a list that is too long are widened to, in ms.
func widths() []int64 {
	const minute = 60_000
	return []int64{minute, 10 * minute, 60 * minute, 6 * 60 * minute, 24 * 60 * minute}
}

// stretches are sorted, and neither overlap nor touch.
type stretches []stretch

// has says whether all of s is in the list.
func (l stretches) has(s stretch) bool {
	return slices.ContainsFunc(l, func(x stretch) bool { return x.From <= s.From && s.To <= x.To })
}

// with is the list with s in it: widened to whole minutes, if the list is long, so
// that what comes next is likely to be in it already.
func (l stretches) with(s stretch) stretches {
	if len(l) > mostStretches/2 {
		s = s.wide(widths()[0])
	}
	l = append(slices.Clone(l), s).merged()
	for _, w := range widths() {
		if len(l) <= mostStretches {
			break
		}
		for i := range l {
			l[i] = l[i].wide(w)
		}
		l = l.merged()
	}
	return l
}

// wide is the stretch of whole multiples of width that s is in.
func (s stretch) wide(width int64) stretch {
	return stretch{s.From - mod(s.From, width), s.To + mod(-s.To, width)}
}

// mod is the remainder that is not negative.
func mod(a, b int64) int64 { return (a%b + b) % b }

func (l stretches) merged() stretches {
	slices.SortFunc(l, func(a, b stretch) int { return cmp.Compare(a.From, b.From) })
	out := l[:0]
	for _, s := range l {
		if n := len(out); n > 0 && s.From <= out[n-1].To {
			out[n-1].To = max(out[n-1].To, s.To)
			continue
		}
		out = append(out, s)
	}
	return out
}
