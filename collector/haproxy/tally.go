package haproxy

// A tally is what the servers of a backend come to.
type tally struct {
	states    map[string]int
	expected  int
	left      int
	sessions  float64 // of those left
	limit     float64 // the sum of their maxconn
	unlimited bool    // one of those left has no maxconn
}

// tally counts a server. One that is in maintenance or drains, be it by its
// weight, is not expected to serve: somebody, or the server itself, wants it so.
func (a *answer) tally(proxy, state string, row []string) {
	t := a.tallies[proxy]
	if t == nil {
		t = &tally{states: map[string]int{}}
		a.tallies[proxy] = t
		a.order = append(a.order, proxy)
	}
	t.states[state]++
	if a.at(row, "weight") == "0" || state != "UP" && state != "DOWN" {
		return
	}
	t.expected++
	if state == "DOWN" {
		return
	}
	t.left++
	open, _, _ := a.number(row, "scur") // what is no number was noted before
	limit, _, _ := a.number(row, "slim")
	t.sessions += open
	t.limit += limit
	t.unlimited = t.unlimited || limit <= 0
}

// count tells what was tallied. The limit of a backend's own row is fullconn, at
// which its servers get all that their maxconn allows, and no limit: the backend
// is full when its servers are.
func (a *answer) count() {
	for _, proxy := range a.order {
		t := a.tallies[proxy]
		for _, state := range serverStates() {
			a.sink.Give(a.byState, float64(t.states[state]), proxy, state)
		}
		a.sink.Give(a.expected, float64(t.expected), proxy)
		a.sink.Give(a.left, float64(t.left), proxy)
		if t.limit > 0 && !t.unlimited {
			a.sink.Give(a.backends.utilisation, t.sessions/t.limit, proxy)
		}
	}
}
