package targets

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
)

// Prefix is what all names of metrics begin with.
const Prefix = "bench_metric_"

// familySize is how many series share a metric name, each with labels of its own.
const familySize = 10

// A Layout says which label sets families have. What packs samples of one label
// set together, as documents do, depends on it.
type Layout string

// The layouts: services whose metrics are all by route and method are Shared,
// exporters whose families are each by something else are Distinct.
const (
	Shared   Layout = "shared"   // all families have the same ten
	Distinct Layout = "distinct" // each family has ten of its own
)

// A move is the way in which a series' value changes between scrapes.
type move func(r *rand.Rand, v float64) float64

func count(r *rand.Rand, v float64) float64  { return v + float64(r.IntN(500)) }
func level(r *rand.Rand, v float64) float64  { return v + float64(r.IntN(201)-100) }
func wander(r *rand.Rand, v float64) float64 { return v + r.NormFloat64() }
func stay(_ *rand.Rand, v float64) float64   { return v }

// A series is its text up to the value, and how the value moves.
type series struct {
	intro string // HELP and TYPE, before the first of a family
	head  string
	move  move
	value float64
}

// A target is one page of series. A second scrape at the same time waits.
type target struct {
	mu     sync.Mutex
	rand   *rand.Rand
	series []series
	size   int // of the last page
}

// newTarget makes a target whose values follow from its seed.
func newTarget(seed uint64, n int, layout Layout) *target {
	t := &target{rand: rand.New(rand.NewPCG(seed, 42))}
	for i := range n {
		s := newSeries(i/familySize, i%familySize, layout)
		s.value = float64(t.rand.IntN(1_000_000))
		t.series = append(t.series, s)
	}
	return t
}

// newSeries is the i-th of a family. In ten families, five count, three are whole
// levels, one wanders and one stays: about what services export.
func newSeries(family, i int, layout Layout) series {
	route := fmt.Sprintf("/v1/things/%d", i/2)
	if layout == Distinct {
		route = fmt.Sprintf("/v1/f%03d/%d", family, i/2)
	}
	name, kind, how := fmt.Sprintf("%s%03d", Prefix, family), "gauge", stay
	switch family % 10 {
	case 0, 1, 2, 3, 4:
		name, kind, how = name+"_total", "counter", count
	case 5, 6, 7:
		how = level
	case 8:
		how = wander
	}
	s := series{
		head: fmt.Sprintf("%s{route=%q,method=%q,code=\"%d\"} ", name, route, []string{"GET", "POST"}[i%2], 200+i/5*300),
		move: how,
	}
	if i == 0 {
		s.intro = fmt.Sprintf("# HELP %s Family %d.\n# TYPE %s %s\n", name, family, name, kind)
	}
	return s
}

// page moves every value on and writes them all in the text format.
func (t *target) page() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	page := make([]byte, 0, t.size+t.size/16)
	for i := range t.series {
		s := &t.series[i]
		s.value = s.move(t.rand, s.value)
		page = append(page, s.intro...)
		page = append(page, s.head...)
		page = strconv.AppendFloat(page, s.value, 'g', -1, 64)
		page = append(page, '\n')
	}
	t.size = len(page)
	return page
}
