package samples

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"flyball/collector/elastic/cluster"
	"flyball/collector/elastic/ecs"
)

// A metric is a name, with what is made of it in documents.
type metric struct {
	name    string
	key     []byte // "name":
	hash    uint64
	counter bool
	refused time.Time       // until when it is taken for refused
	why     cluster.Refusal // then
	seen    uint64          // number of the document that it was last put into
}

// A group is what documents are about: labels without a name.
type group struct {
	hash   uint64
	labels labels.Labels
	prefix []byte // of its documents, after the time
	rows   []row  // of the window at hand

	refused time.Time       // until when its documents are taken for refused
	why     cluster.Refusal // then
}

// A row is a sample of a group.
type row struct {
	at     int64
	value  float64
	metric *metric
	there  bool // Elasticsearch has it
}

// A series is one of the store's.
type series struct {
	labels     labels.Labels
	group      *group
	metric     *metric
	count, sum *metric // of a native histogram; nil before the first
	way        int     // see [selection.way]
	used       uint32
	next       *series // of the same hash
}

// A cache is what is known of series, so that it is worked out once.
type cache struct {
	selection selection
	stream    ecs.Stream
	agent     ecs.Agent
	common    []byte // fields that all documents have

	series  map[uint64]*series
	groups  map[uint64]*group // those of the same hash: at the next number that is free
	metrics map[string]*metric
	turn    uint32 // number of the sweep to come
	swept   time.Time
	scratch labels.ScratchBuilder
}

// Names in documents.
const (
	dataset    = "prometheus.collector"
	module     = "prometheus"
	metricset  = "collector"
	fieldNames = "prometheus.metrics."
)

// mostLabel is how many bytes the value of a dimension has at most: those of a term of
// Lucene's.
const mostLabel = 32766

func newCache(s selection, stream ecs.Stream, a ecs.Agent) *cache {
	return &cache{
		selection: s, stream: stream, agent: a, common: a.AppendFields(nil, stream, module, metricset),
		series: map[uint64]*series{}, groups: map[uint64]*group{}, metrics: map[string]*metric{}, turn: 1,
	}
}

// get finds what is known of a series, or works it out.
func (c *cache) get(ls labels.Labels) *series {
	h := ls.Hash()
	first := c.series[h]
	for s := first; s != nil; s = s.next {
		if labels.Equal(s.labels, ls) {
			s.used = c.turn
			return s
		}
	}
	s := &series{labels: ls.Copy(), way: c.selection.way(ls), used: c.turn, next: first}
	if s.way != notAtAll {
		s.metric = c.metric(ls.Get(model.MetricNameLabel))
		s.group = c.group(ls)
	}
	c.series[h] = s
	return s
}

func (c *cache) metric(name string) *metric {
	if m := c.metrics[name]; m != nil {
		return m
	}
	name = strings.Clone(name)
	m := &metric{name: name, key: append(ecs.AppendString(nil, name), ':'), hash: xxhash.Sum64String(name), counter: isCounter(name)}
	c.metrics[name] = m
	return m
}

// isCounter tells counters by their names, as the templates do.
func isCounter(name string) bool {
	i := strings.LastIndexByte(name, '_')
	if i < 0 {
		return false
	}
	switch name[i:] {
	case "_total", "_count", "_sum", "_bucket":
		return true
	}
	return false
}

func (c *cache) group(ls labels.Labels) *group {
	c.scratch.Reset()
	long := false
	ls.Range(func(l labels.Label) {
		if l.Name != model.MetricNameLabel {
			c.scratch.Add(l.Name, l.Value)
			long = long || len(l.Value) > mostLabel
		}
	})
	own := c.scratch.Labels()
	h := hashLabels(own)
	for at := h; ; at++ {
		g := c.groups[at]
		if g == nil {
			g = &group{hash: h, labels: own, prefix: c.prefix(own)}
			if long {
				g.refused = time.UnixMilli(math.MaxInt64)
				g.why = cluster.Refusal{Type: tooLong, Reason: "a label has more than 32766 bytes: drop it, or cut it short, with metric_relabel_configs"}
			}
			c.groups[at] = g
		} else if !labels.Equal(g.labels, own) {
			continue
		}
		return g
	}
}

// hashLabels is a hash that every version computes alike.
func hashLabels(ls labels.Labels) uint64 {
	var d xxhash.Digest
	d.Reset()
	ls.Range(func(l labels.Label) {
		var n [8]byte
		for _, s := range []string{l.Name, l.Value} {
			binary.LittleEndian.PutUint64(n[:], uint64(len(s)))
			_, _ = d.Write(n[:])
			_, _ = d.WriteString(s)
		}
	})
	return d.Sum64()
}

// prefix is what all documents of a group have in common, from after the time to
// where the metrics begin.
func (c *cache) prefix(ls labels.Labels) []byte {
	b := append([]byte(nil), c.common...)
	b = ecs.SourceOf(ls, c.agent).Append(b)
	b = append(b, `,"prometheus":{`...)
	if !ls.IsEmpty() {
		b = append(b, `"labels":`...)
		sep := byte('{')
		ls.Range(func(l labels.Label) {
			b = append(b, sep)
			b = ecs.AppendString(b, l.Name)
			b = append(b, ':')
			b = ecs.AppendString(b, l.Value)
			sep = ','
		})
		b = append(b, '}', ',')
	}
	return append(b, `"metrics":{`...)
}

// fingerprint is the hash of a document's metric names as text, of the sum of the
// names' own, which does not depend on their order.
func fingerprint(sum uint64) [fingerprintLength]byte {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], sum)
	var text [fingerprintLength]byte
	base64.RawURLEncoding.Encode(text[:], n[:])
	return text
}

const fingerprintLength = 11

// How long what is known of series is kept without use, and of how many at most.
const (
	sweepEvery = 10 * time.Minute
	mostSeries = 2_000_000
)

// sweep forgets what was not used since the sweep before the last one. No window may
// be at hand.
func (c *cache) sweep(now time.Time) {
	if now.Sub(c.swept) < sweepEvery && len(c.series) < mostSeries {
		return
	}
	if len(c.series) >= mostSeries {
		c.turn++ // forget all that the last window had not
	}
	groups, names := map[*group]bool{}, map[*metric]bool{}
	for h, first := range c.series {
		var left *series
		for s := first; s != nil; {
			next := s.next
			if s.used+1 >= c.turn {
				s.next, left = left, s
				groups[s.group] = true
				for _, m := range []*metric{s.metric, s.count, s.sum} {
					names[m] = true
				}
			}
			s = next
		}
		if left == nil {
			delete(c.series, h)
		} else {
			c.series[h] = left
		}
	}
	c.forget(groups, names)
	c.turn++
	c.swept = now
}

// forget forgets all groups and metrics but those named.
func (c *cache) forget(groups map[*group]bool, names map[*metric]bool) {
	old := c.groups
	c.groups = make(map[uint64]*group, len(groups))
	for _, g := range old {
		if !groups[g] {
			continue
		}
		at := g.hash
		for c.groups[at] != nil {
			at++
		}
		c.groups[at] = g
	}
	for name, m := range c.metrics {
		if !names[m] {
			delete(c.metrics, name)
		}
	}
}
