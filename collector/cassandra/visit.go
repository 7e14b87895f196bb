package cassandra

import (
	"context"
	"errors"
	"strings"
	"time"

	"flyball/collector/exporter"
)

// A visit is one look at one node: what the parts of one scrape read of. It is
// used by one goroutine.
type visit struct {
	at     time.Time
	link   *link
	view   view
	config Config
	err    error   // why the node was not reached
	chosen *choice // nil: not made yet
}

type visitKey struct{}

// within is a context in which the parts find the visit.
func (v *visit) within(ctx context.Context) context.Context {
	return context.WithValue(ctx, visitKey{}, v)
}

// visited is the visit of a scrape.
func visited(ctx context.Context) *visit {
	if v, ok := ctx.Value(visitKey{}).(*visit); ok {
		return v
	}
	return &visit{err: errors.New("the node was not visited")}
}

// peer is how the labels peer, peer_dc and peer_rack name a node of the ring.
func (v *visit) peer(m member) []string {
	return []string{named(m.address, m.port, v.config.Port), m.dc, m.rack}
}

// peerAt names the node that others speak to at an address; dc and rack are what
// is said of it, should it not be known.
func (v *visit) peerAt(address string, port int, dc, rack string) []string {
	if m, ok := v.view.byInternode(address, port); ok {
		return v.peer(m)
	}
	return []string{address, dc, rack}
}

// A column is a number of a table, and what it is told as.
type column struct {
	name   string
	metric exporter.Metric
	scale  float64 // what it is multiplied by; 0 is 1
}

func names(cs []column, keys ...string) []string {
	out := keys
	for _, c := range cs {
		out = append(out, c.name)
	}
	return out
}

func metrics(cs []column) []exporter.Metric {
	var out []exporter.Metric
	for _, c := range cs {
		out = append(out, c.metric)
	}
	return out
}

// number is the column's number in a row, in the metric's unit.
func (c column) number(r row) (float64, bool) {
	v, ok := r.number(c.name)
	if c.scale != 0 {
		v *= c.scale
	}
	return v, ok
}

// give tells the columns that a row has.
func give(s *exporter.Sink, r row, cs []column, labels ...string) {
	for _, c := range cs {
		if v, ok := c.number(r); ok {
			s.Give(c.metric, v, labels...)
		}
	}
}

// plain is a part that tells a table row by row, each under one of its columns.
func plain(part, table, key string, cs ...column) exporter.Part {
	return exporter.Part{Name: part, Metrics: metrics(cs), Read: func(ctx context.Context, s *exporter.Sink) error {
		return visited(ctx).link.each(ctx, table, names(cs, key), func(r row) { give(s, r, cs, r.text(key)) })
	}}
}

// A tally sums numbers up by metric and labels.
type tally struct {
	sums  []*sum
	index map[string]*sum
}

type sum struct {
	metric exporter.Metric
	labels []string
	value  float64
}

func (t *tally) add(m exporter.Metric, v float64, labels ...string) {
	key := m.Name + "\x00" + strings.Join(labels, "\x00")
	if t.index[key] == nil {
		if t.index == nil {
			t.index = map[string]*sum{}
		}
		t.index[key] = &sum{metric: m, labels: labels}
		t.sums = append(t.sums, t.index[key])
	}
	t.index[key].value += v
}

// addRow adds the columns that a row has.
func (t *tally) addRow(r row, cs []column, labels ...string) {
	for _, c := range cs {
		if v, ok := c.number(r); ok {
			t.add(c.metric, v, labels...)
		}
	}
}

func (t *tally) give(s *exporter.Sink) {
	for _, x := range t.sums {
		s.Give(x.metric, x.value, x.labels...)
	}
}
