package emulate

import "fmt"

// tell says in a line what happened now. The world is held.
func (w *World) tell(format string, args ...any) {
	if w.o.Tell != nil {
		w.o.Tell(w.at, fmt.Sprintf(format, args...))
	}
}
