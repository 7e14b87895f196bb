package rules

// A Fault is a mistake in one place of a configuration: where in the document,
// what is wrong, and what to do. Whoever read the document turns the path into a
// line and a column.
type Fault struct {
	Path string // fields and indices from the document's root, e.g. $.pools.web.drain
	Text string // what is wrong, without the path
	Hint string // what to do; may be ""
}
