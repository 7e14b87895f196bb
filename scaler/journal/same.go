package journal

import (
	"slices"

	"flyball/rules"
)

// Same reports whether two decisions of a pool say the same: what is to be done,
// why, and what each signal, limit and hold said. Values, ages and counts of
// members differ at every judgement and are not compared.
func Same(a, b rules.Decision) bool {
	return a.Pool == b.Pool && a.Verdict == b.Verdict && a.To == b.To && a.Reason == b.Reason &&
		a.Signal == b.Signal && a.Refused == b.Refused && slices.Equal(a.Victims, b.Victims) &&
		slices.EqualFunc(a.Signals, b.Signals, func(x, y rules.Judged) bool {
			return x.Name == y.Name && x.Wants == y.Wants && x.Reason == y.Reason
		}) &&
		sameRoll(a.Roll, b.Roll) &&
		slices.EqualFunc(a.Limits, b.Limits, func(x, y rules.Applied) bool { return x.Name == y.Name }) &&
		slices.EqualFunc(a.Holds, b.Holds, func(x, y rules.JudgedHold) bool {
			return x.Name == y.Name && x.Forbids == y.Forbids
		})
}

func sameRoll(a, b *rules.Rolled) bool {
	return a == b || a != nil && b != nil && *a == *b
}
