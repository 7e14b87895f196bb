// Package samples ships the store's samples to Elasticsearch, each exactly once.
//
// # How
//
// The store holds the samples durably, so it is the queue. What is kept beside it,
// durably, is a cursor (all before it has been sent), the end of a stretch that was
// begun after it, and which older stretches must be read again because samples came
// late for them. Every round reads the stretch from the cursor to a moment ago,
// window by window; puts the samples that share labels and time into one document;
// delivers; and moves the cursor when each document was acknowledged.
//
// The server forms a document's id of its agent, its labels, its time and a hash of its
// metrics' names, and answers 409 to what it knows already. So repeating is safe as
// long as the same samples make the same documents; a sample more would make another
// one of them all, and double the others. Therefore:
//
//   - Before a stretch is read, the store is told where it ends ([Source.Settle]):
//     whoever commits an older sample from then on first marks its time as dirty,
//     durably.
//   - A stretch that is dirty is read again, and what Elasticsearch holds of it is looked
//     up. A sample that is missing there is sent as a document of its own, whose id
//     follows from that sample alone.
//   - A stretch that was begun by a process that died is looked up, too. Where nothing of
//     labels and a time is there, they are sent as they would have been at first, so that
//     a request of the former process that is still under way does no harm. The same is
//     done where a former Flyball whose journal is gone may have sent.
//
// How far behind the present a stretch ends follows the lateness that is seen, between
// 2 and 30 seconds, so that looking up remains the exception.
//
// # Bounds
//
// A window holds at most 200,000 samples of 40 bytes each, whatever the backlog (more
// only if that many have one and the same millisecond), and at most 5,000 documents or 4
// MB of them are written at a time. What is known of series takes some 500 bytes for
// each set of labels and 100 for each series that was sent in the last twenty minutes.
// At most 64 dirty stretches are kept; more make them coarser. While a backlog is made
// up for, catch_up samples a second are sent, or twice what comes in, if that is more.
//
// # What becomes of which sample
//
// Numbers are sent as they are, to the last bit, -0 included. A metric is a counter if its
// name ends in _total, _count, _sum or _bucket, else a gauge; that is the templates'.
// Each of these outcomes is counted, by its word:
//
//   - stale, nan, infinite: stale markers, NaN and infinities are not sent. JSON has no
//     such numbers, and a chart shows a gap either way.
//   - A native histogram is sent as NAME_count and NAME_sum, without its buckets. If a metric
//     of that name is there as well, that one counts, and the other is a duplicate.
//   - label_length: a label's value of more than 32,766 bytes, which Elasticsearch cannot
//     make a dimension of. The sample goes to the dead letters.
//   - A name, of a label or a metric, may have dots and any letters: it is one name.
//   - More than 1,000 metrics with the same labels and time are several documents.
//   - Metrics beyond the index's limit of 10,000 fields are kept in the documents, but cannot
//     be searched (see package setup).
//   - A metric that the mapping refuses goes to the dead letters, the rest of its document
//     is sent without it. It is left out at once from then on, and tried again after an hour.
//   - Lost is what the store dropped before it was sent (retention), and what is too old
//     for the data stream (outdated): older than the 7 days that one takes from its birth on.
//   - A sample that comes late for a stretch of `coarser` that was sent changes it no more.
//   - A number that replaces another of the same series and time is not sent: the first
//     stays.
//   - A sample that comes late while no Elasticsearch is configured is not sent.
//
// A machine that loses its power may have sent samples that its store lost.
package samples

import "github.com/prometheus/common/model"

// Config says which samples are sent, and how.
type Config struct {
	Every   model.Duration `yaml:"every" default:"10s" doc:"how often samples are sent"`
	Match   []string       `yaml:"match" doc:"selectors of the series to send, e.g. '{job=\"node\"}'; all by default"`
	Drop    []string       `yaml:"drop" doc:"selectors of series that are not sent; none by default"`
	Coarser []Coarser      `yaml:"coarser" doc:"series of which one sample for each stretch of time is sent; the first entry that matches counts"`
	CatchUp int            `yaml:"catch_up" default:"50000" doc:"samples a second that are sent at most while a backlog is made up for, or twice what comes in, if that is more"`
}

// A Coarser sends one sample for each stretch of time, at the last millisecond of
// it. Stretches begin at multiples of their length since 1970. NaN and infinities have
// no part in it.
type Coarser struct {
	Match []string       `yaml:"match" required:"true" doc:"selectors of series, e.g. '{__name__=~\"node_.*\"}'"`
	Every model.Duration `yaml:"every" required:"true" doc:"length of a stretch, e.g. 60s"`
	Fold  string         `yaml:"fold" default:"auto" enum:"auto last avg min max" doc:"what stands for a stretch; auto: the last of counters, the average of others"`
}
