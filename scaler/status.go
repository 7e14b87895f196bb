package scaler

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"flyball/rules"
	"flyball/scaler/journal"
)

// Status is what the scaler is doing now.
type Status struct {
	Version string       `json:"version"`
	Site    string       `json:"site,omitempty"`
	Started time.Time    `json:"started"`
	Now     time.Time    `json:"now"`
	Paused  *rules.Order `json:"paused"` // the stop of all pools, if there is one
	Pools   []PoolStatus `json:"pools"`  // sorted by name
}

// PoolStatus is what one pool is doing now.
type PoolStatus struct {
	Name     string          `json:"name"`
	Rule     string          `json:"rule,omitempty"` // file:line; "" if the pool has none
	Mode     rules.Mode      `json:"mode,omitempty"`
	Min      int             `json:"min"`
	Max      int             `json:"max"`
	Members  []rules.Member  `json:"members"`
	Decision *rules.Decision `json:"decision"`        // the last judgement; nil before the first, and without a rule
	Terms    *rules.Terms    `json:"terms,omitempty"` // of the provider, as last looked; nil before the first look
	Floor    *rules.Order    `json:"floor"`
	Pause    *rules.Order    `json:"pause"`
	Roll     *rules.Order    `json:"roll,omitempty"`
	Judged   time.Time       `json:"judged"`            // when it was last judged, or taken over
	Failing  string          `json:"failing,omitempty"` // why the last judgement could not be made
}

// Status tells what every pool is doing.
func (s *Scaler) Status() (Status, error) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	orders, err := s.journal.Orders()
	if err != nil {
		return Status{}, fmt.Errorf("read orders: %w", err)
	}
	out := Status{Version: s.version, Site: s.site, Started: s.started, Now: now, Paused: holding(orders[journal.All].Pause, now)}
	for _, l := range s.current() {
		l.mu.Lock()
		p := l.status
		l.mu.Unlock()
		o := orders[l.target()]
		p.Floor, p.Pause, p.Roll = holding(o.Floor, now), holding(o.Pause, now), holding(o.Roll, now)
		out.Pools = append(out.Pools, p)
	}
	return out, nil
}

// byNumber compares names so that web-2 comes before web-10.
func byNumber(a, b string) int {
	return cmp.Or(cmp.Compare(strings.TrimRight(a, digits), strings.TrimRight(b, digits)), cmp.Compare(number(a), number(b)), cmp.Compare(a, b))
}

const digits = "0123456789"

// number is the one that a name ends with; 0 if it ends with none.
func number(name string) int {
	n, _ := strconv.Atoi(name[len(strings.TrimRight(name, digits)):]) // too large a one is none
	return n
}

// holding returns an order while it holds.
func holding(o *rules.Order, now time.Time) *rules.Order {
	if o.In(now) {
		return o
	}
	return nil
}

// neglected is how long a pool may go unjudged: three times the longest pause.
const neglected = 3 * latest

// Neglected names the pools that have not been judged for three intervals. The
// service is not healthy while there is one.
func (s *Scaler) Neglected(now time.Time) []string {
	var out []string
	for _, l := range s.current() {
		l.mu.Lock()
		if now.Sub(l.status.Judged) > neglected {
			out = append(out, l.name)
		}
		l.mu.Unlock()
	}
	return out
}
