package views

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"flyball/collector/elastic/cluster"
)

// A draft is what a document is written of, so that it can be written again without
// a field that was refused.
type draft struct {
	layout  *layout
	record  *record
	at      time.Time
	step    int
	without names
}

func (d *draft) document() (cluster.Document, bool) {
	body, ok := d.layout.document(nil, d.record, d.at, d.step, d.without)
	return cluster.Document{Stream: d.layout.stream.Name(), Body: body}, ok
}

// batchSize is how many documents are gathered before they are delivered.
const batchSize = 1000

// A batch gathers the documents of a stretch.
type batch struct {
	deliver Deliverer
	runner  *Runner
	drafts  []draft
	docs    []cluster.Document
	total   int
}

// view puts in the documents of a view, at the steps at which it has any.
func (b *batch) view(ctx context.Context, l *layout, rs *records, present []bool) error {
	for _, r := range rs.all {
		for step := range rs.steps.count {
			if !present[step] {
				continue
			}
			if err := b.add(ctx, draft{layout: l, record: r, at: rs.steps.at(step), step: step}); err != nil {
				return err
			}
		}
	}
	return nil
}

// add puts in a document, if it has any field, and delivers when there are many.
func (b *batch) add(ctx context.Context, d draft) error {
	doc, ok := d.document()
	if !ok {
		return nil
	}
	b.drafts, b.docs = append(b.drafts, d), append(b.docs, doc)
	b.total++
	if len(b.docs) < batchSize {
		return nil
	}
	return b.flush(ctx)
}

// flush delivers what was gathered. A document of which one field is refused is sent
// again without it, field by field; what is refused is buried as it was sent. The
// same documents come of it whenever it is repeated.
func (b *batch) flush(ctx context.Context) error {
	counts := map[string]int{}
	for i := range b.drafts {
		counts[b.drafts[i].layout.stream.Dataset]++
	}
	for len(b.docs) > 0 {
		refused, err := b.deliver.Deliver(ctx, cluster.Samples, b.docs)
		if err != nil {
			return err
		}
		b.mend(refused)
	}
	b.runner.delivered(counts)
	b.drafts = b.drafts[:0]
	return nil
}

// mend buries what was refused, and keeps of it what can be sent again.
func (b *batch) mend(refused map[int]cluster.Refusal) {
	var dead []cluster.Document
	var why []cluster.Refusal
	var drafts []draft
	var docs []cluster.Document
	for _, i := range slices.Sorted(maps.Keys(refused)) {
		if i < 0 || i >= len(b.docs) {
			continue
		}
		refusal, d := refused[i], b.drafts[i]
		dead, why = append(dead, b.docs[i]), append(why, refusal)
		b.runner.refusal(d.layout.stream.Dataset, refusal)
		if !d.spare(refusal.Field) {
			continue
		}
		if doc, ok := d.document(); ok {
			drafts, docs = append(drafts, d), append(docs, doc)
		}
	}
	b.drafts, b.docs = drafts, docs
	if len(dead) == 0 {
		return
	}
	if err := b.deliver.Bury(dead, why); err != nil {
		b.runner.trouble("refused documents of datasets are not kept", err)
	}
}

// spare leaves a field out. It is false if the document cannot do without it: it is
// none of the view's or of the labels', or was left out already.
func (d *draft) spare(field string) bool {
	own := strings.HasPrefix(field, "labels.") ||
		slices.ContainsFunc(d.layout.members, func(m member) bool { return m.name == field && m.from >= 0 })
	if field == "" || d.without[field] || !own {
		return false
	}
	without := names{field: true}
	maps.Copy(without, d.without)
	d.without = without
	return true
}
