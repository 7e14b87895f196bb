package rules

// A Finding is what was found where something that Flyball depends on was looked at,
// before it is needed.
type Finding struct {
	OK   bool
	What string // that was looked at, in a few words
	Text string // how it is
	Hint string // what to do, if it is not as it should be
}
