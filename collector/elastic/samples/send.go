package samples

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"flyball/collector/elastic/cluster"
)

// A Deliverer writes documents, see [cluster.Cluster].
type Deliverer interface {
	Deliver(ctx context.Context, lane cluster.Lane, docs []cluster.Document) (map[int]cluster.Refusal, error)
	Bury(docs []cluster.Document, why []cluster.Refusal) error
}

// How much is sent at a time.
const (
	mostDocuments = 5000
	mostBytes     = 4 << 20
	mostNames     = 1000 // metrics in a document: an index takes long to learn many new names
)

// retryRefused is after how long a metric that was refused is tried again: the
// mapping may have been mended.
const retryRefused = time.Hour

// A part is samples of a group at one time, which make a document.
type part struct {
	group *group
	rows  []row
}

// A sender makes documents of samples and delivers them.
type sender struct {
	deliver Deliverer
	stream  string
	log     *slog.Logger
	now     func() time.Time
	counts  *counts
	tell    func(Trouble)

	clock    clock
	document uint64 // number of the last document
	body     []byte // of the documents that wait
	ends     []int
	parts    []part // of the documents that wait
	docs     []cluster.Document
	graves   []grave
}

// A grave is a sample that is given up.
type grave struct {
	part part
	why  cluster.Refusal
}

// put sends samples of a group at one time: one document, or several if there are too
// many names.
func (s *sender) put(ctx context.Context, g *group, rows []row) error {
	rows = s.sort(g, rows)
	if len(rows) > mostNames { // which name is in which document follows from all of them
		slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.metric.name, b.metric.name) })
	}
	for p := range slices.Chunk(rows, mostNames) {
		if err := s.add(ctx, part{g, p}); err != nil {
			return err
		}
	}
	return nil
}

// putEach sends samples of a group at one time, each as a document of its own.
func (s *sender) putEach(ctx context.Context, g *group, rows []row) error {
	rows = s.sort(g, rows)
	for i := range rows {
		if err := s.add(ctx, part{g, rows[i : i+1]}); err != nil {
			return err
		}
	}
	return nil
}

// sort puts those samples first that can be sent, and returns them. The others are
// duplicates, or are known to be refused.
func (s *sender) sort(g *group, rows []row) []row {
	s.document++
	now := s.now()
	fit := 0
	for i, r := range rows {
		if r.metric.seen == s.document {
			s.counts.skip(duplicate, 1)
			continue
		}
		r.metric.seen = s.document
		if why, refused := refusal(g, r.metric, now); refused {
			s.graves = append(s.graves, grave{part{g, []row{r}}, why})
			continue
		}
		rows[i], rows[fit] = rows[fit], r
		fit++
	}
	return rows[:fit]
}

// refusal is why a sample is known to be refused.
func refusal(g *group, m *metric, now time.Time) (cluster.Refusal, bool) {
	if now.Before(g.refused) {
		return g.why, true
	}
	if now.Before(m.refused) {
		return m.why, true
	}
	return cluster.Refusal{}, false
}

// add adds a document, and delivers if that makes enough.
func (s *sender) add(ctx context.Context, p part) error {
	s.body = s.clock.appendDocument(s.body, p.group, p.rows)
	s.ends = append(s.ends, len(s.body))
	s.parts = append(s.parts, p)
	if len(s.parts) >= mostDocuments || len(s.body) >= mostBytes {
		return s.flush(ctx)
	}
	return nil
}

// flush delivers what waits. What was refused is sent again in parts, until what is
// left is refused alone, and buried. An error means that ctx has ended.
func (s *sender) flush(ctx context.Context) error {
	for len(s.parts) > 0 {
		begin := 0
		s.docs = s.docs[:0]
		for _, end := range s.ends {
			s.docs = append(s.docs, cluster.Document{Stream: s.stream, Body: s.body[begin:end:end]})
			begin = end
		}
		refused, err := s.deliver.Deliver(ctx, cluster.Samples, s.docs)
		if err != nil {
			s.drop()
			return err
		}
		s.counted(refused)
		s.divide(refused)
	}
	s.bury()
	return nil
}

// drop forgets what waits.
func (s *sender) drop() {
	s.body, s.ends, s.parts, s.graves = s.body[:0], s.ends[:0], s.parts[:0], s.graves[:0]
}

func (s *sender) counted(refused map[int]cluster.Refusal) {
	n := 0
	for i, p := range s.parts {
		if _, no := refused[i]; !no {
			n += len(p.rows)
		}
	}
	s.counts.sent(n, len(s.parts)-len(refused))
}

// divide puts what was refused into the next delivery, in parts.
func (s *sender) divide(refused map[int]cluster.Refusal) {
	parts := slices.Clone(s.parts)
	s.body, s.ends, s.parts = s.body[:0], s.ends[:0], s.parts[:0]
	for _, i := range slices.Sorted(maps.Keys(refused)) {
		p, why := parts[i], refused[i]
		culprit := p.culprit(why)
		switch {
		case outdated(why):
			s.counts.outdated(p)
		case culprit != nil:
			culprit.refused, culprit.why = s.now().Add(retryRefused), why
			s.refuse("the metric "+culprit.name, p, why)
			s.again(p, len(p.rows))
		case why.Field != "": // a label, or what follows from labels
			p.group.refused, p.group.why = s.now().Add(retryRefused), why
			s.refuse("the labels "+p.group.labels.String(), p, why)
			s.again(p, len(p.rows))
		case len(p.rows) > 1:
			s.again(p, 1)
		default:
			s.graves = append(s.graves, grave{p, why})
		}
	}
}

// refuse tells of what is refused from now on.
func (s *sender) refuse(what string, p part, why cluster.Refusal) {
	at := time.UnixMilli(p.rows[0].at).UTC()
	s.log.Warn("Elasticsearch refuses samples: they go to the dead letters, and are tried again in an hour",
		"of", what, "stream", s.stream, "type", why.Type, "reason", why.Reason)
	s.tell(Trouble{
		What: "refused", To: s.stream, From: at, Until: at,
		Text: "Elasticsearch refuses " + what + ": its samples go to the dead letters, and are tried again in an hour. " + why.Reason,
	})
}

// again makes documents of at most so many samples of a part that was refused.
func (s *sender) again(p part, most int) {
	for rows := range slices.Chunk(s.sort(p.group, p.rows), most) {
		s.body = s.clock.appendDocument(s.body, p.group, rows)
		s.ends = append(s.ends, len(s.body))
		s.parts = append(s.parts, part{p.group, rows})
	}
}

// culprit is the metric that a refusal names, if p has it.
func (p part) culprit(why cluster.Refusal) *metric {
	name, ok := strings.CutPrefix(why.Field, fieldNames)
	if !ok {
		return nil
	}
	for _, r := range p.rows {
		if r.metric.name == name {
			return r.metric
		}
	}
	return nil
}

// outdated says whether a document was refused because no index takes its time.
func outdated(why cluster.Refusal) bool {
	return why.Type == "timestamp_error" || strings.Contains(why.Reason, "outside of ranges of currently writable indices")
}

// bury gives up what is in the graves.
func (s *sender) bury() {
	if len(s.graves) == 0 {
		return
	}
	docs, why := make([]cluster.Document, len(s.graves)), make([]cluster.Refusal, len(s.graves))
	for i, g := range s.graves {
		docs[i] = cluster.Document{Stream: s.stream, Body: s.clock.appendDocument(nil, g.part.group, g.part.rows)}
		why[i] = g.why
	}
	if err := s.deliver.Bury(docs, why); err != nil {
		s.log.Error("samples that Elasticsearch refuses could not be written to the dead letters", "samples", len(docs), "err", err)
	}
	s.counts.buried(len(docs))
	s.graves = s.graves[:0]
}
