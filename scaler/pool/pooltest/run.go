package pooltest

import (
	"testing"
	"testing/synctest"
)

// A check is one part of the contract.
type check struct {
	name string
	f    func(*testing.T, Harness)
}

// Run tests the contract of [scaler.Pool]; make returns a new, empty pool.
func Run(t *testing.T, make func(t *testing.T) Harness) {
	t.Helper()
	run(t, make, func(t *testing.T, f func(*testing.T)) { f(t) })
}

// RunInBubbles is [Run] with a bubble of testing/synctest for each part, in which
// make is called: hours of simulated time cost nothing. A Pace of 1 s fits most clouds.
func RunInBubbles(t *testing.T, make func(t *testing.T) Harness) {
	t.Helper()
	run(t, make, synctest.Test)
}

func run(t *testing.T, make func(t *testing.T) Harness, in func(*testing.T, func(*testing.T))) {
	t.Helper()
	var checks []check
	in(t, func(t *testing.T) { checks = contract(t, make(t)) })
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { in(t, func(t *testing.T) { c.f(t, make(t)) }) })
	}
}

// contract is what a pool is held to: all of it where it takes names and victims.
func contract(t *testing.T, h Harness) []check {
	t.Helper()
	if h.DryRun {
		return []check{{"does nothing", doesNothing}, {"ends with its context", endsWithContext}}
	}
	if terms := termsOf(t, h.Pool); !terms.Names || !terms.Victims {
		return sized(terms)
	}
	return []check{
		{"starts empty", startsEmpty},
		{"grows by names", growsByNames},
		{"does nothing twice", doesNothingTwice},
		{"makes the others when one is refused", makesTheOthers},
		{"removes victims and nobody else", removesVictims},
		{"reports the dead until they are removed", reportsTheDead},
		{"gives a removed name to a new member", reusesNames},
		{"ends a stubborn member the hard way", endsTheStubborn},
		{"knows its members after a restart", knowsItsMembers},
		{"is safe for concurrent use", isConcurrent},
		{"ends with its context", endsWithContext},
	}
}
