package scaler

import "flyball/scaler/journal"

// InMemory is a journal for tests from outside of the package, and the steps that
// it holds.
func InMemory() (j Journal, steps func() []journal.Step) {
	w := newWorld(1)
	return w.journal, func() (all []journal.Step) {
		w.see(func() { all = append(all, w.steps...) })
		return all
	}
}
