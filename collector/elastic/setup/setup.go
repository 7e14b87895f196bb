// Package setup writes the templates that data streams are made by, before the
// first document, and never over what somebody else has changed.
//
// A dataset has one component template of its own, flyball-TYPE-DATASET-NAMESPACE@shape
// (settings and mappings), shares flyball-NAMESPACE@lifecycle with the others, and is put
// together by the index template flyball-TYPE-DATASET-NAMESPACE. What users put into the
// component template TYPE-DATASET@custom, which Elastic's own integrations have too,
// counts last; that is the place for their own mapping of a metric, and it outlives
// upgrades. Each of our templates says in its _meta who made it, of which version it
// is, and the hash of its content, by which a change of somebody else's is seen. The
// same stands in the mappings of each index, by which our own data streams are known,
// and those that an upgrade has to roll over.
//
// # What becomes of samples
//
// Documents of metrics-prometheus.collector-NAMESPACE have the fields of Elastic's
// prometheus integration: prometheus.labels.NAME, prometheus.metrics.NAME and
// prometheus.metrics_names_fingerprint, any hash of the sorted names of the metrics
// (the integration has it in its dataset remote_write). Dimensions are agent.id, every
// label, and the fingerprint. The server forms a document's id of its dimensions and
// time. Seen on Elasticsearch 8.19.21, each of it held by a test:
//
//   - The same labels, names and time again: 409, and nothing is doubled. Under
//     another set of names, or from another agent: a document of its own.
//   - A document without labels is taken.
//   - Names with dots are taken as they are, a beside a.b, because labels and metrics
//     are objects without subobjects; so are all other names but an empty one and one of
//     spaces only, with which a document is refused (400, document_parsing_exception).
//   - A label of up to 32,766 bytes is taken whole, and two that differ at the end are
//     two series. With a longer one the document is refused (400); the server cannot
//     leave a dimension out. Whoever sends must cut it.
//   - NaN and infinities are refused (400), as text or bare, with the document; null is
//     taken, and leaves the metric out. Whoever sends must leave them out.
//   - A value that its field's mapping cannot hold, such as one of a user's in
//     @custom, is refused with its document (400; the reason names the field), and
//     the other documents of the request are taken. Whoever sends may send the rest again.
//   - A time before now - 7d at the data stream's birth, or more than the look-ahead (30
//     min, and up to 30 min more) after now, is refused (400, timestamp_error).
//   - A metric beyond the field limit of 10,000 is kept in _source, and named in _ignored,
//     but cannot be searched or reckoned with; the document is taken. So is a label
//     beyond the limit: documents that differ in it alone remain two (the id has a hash
//     of it), but are of one series in _tsid. A rollover begins anew.
//   - New names cost the cluster state: 9,000 new names took 10 s in documents of 250 to
//     2,000 names, 60 s in documents of 100, and one document of 12,000 new names took 33
//     to 44 s, more than a request may last. Whoever sends should split a document at some
//     1,000 names; another fingerprint keeps the parts apart.
//   - Metrics named _total, _count, _sum or _bucket are counters; the others are gauges.
//     Elastic documents that a counter is asked for min, max and rates, and that avg and
//     sum are refused; a server without its aggregations' module answers those too.
//   - Synthetic _source is what a time series has: names come sorted, and numbers as
//     doubles.
//
// Bytes per sample in the index after a merge, 200 times of 1,000 samples, "shared": 10
// sets of labels with 100 metrics each, "distinct": 1,000 sets of labels with one metric:
//
//	                                                      shared  distinct
//	labels and fingerprint of names are dimensions          5.56     22.58
//	the same, index.codec best_compression                  5.50     21.91
//	fingerprints of labels and of names are, no label       5.56     29.01
//	labels and both fingerprints are                        5.57     25.78
//	the first, with stored _source                         14.28     42.83
//	the first, with the common fields, indexed              5.60     25.87
//	the first, with the common fields, not indexed          5.58     23.35
//	as it is written here: the second, common fields not
//	indexed but those of hosts, services and containers     5.52     22.22
//
// So labels are dimensions, no fingerprint of them is needed, and fields that are the
// same in all documents (ecs, data_stream, event, agent but its id) are kept in columns only:
// they can be filtered by, at the price of a scan. Of the 22.22 bytes 18.6 are the
// server's own, per document: _id 8.3, _seq_no 6.6, @timestamp 3.7; all labels together are
// 0.7. Fewer documents are what saves.
package setup

import (
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"flyball/rules"
)

// Streams says how the data streams are made.
type Streams struct {
	Namespace string         `yaml:"namespace" default:"default" doc:"last part of the data streams' names"`
	Retention model.Duration `yaml:"retention" default:"30d" doc:"how long documents are kept there, by the data streams' own lifecycle"`
	ILMPolicy string         `yaml:"ilm_policy" doc:"index lifecycle policy, which must exist, in place of retention; none by default"`
}

// leastRetention is longer than an index takes to be rolled over.
const leastRetention = time.Hour

// mostNamespace is how many bytes Elastic gives a namespace.
const mostNamespace = 100

// Validate names the mistakes of s. Paths begin at the block: .namespace.
func (s Streams) Validate() []rules.Fault {
	var fs []rules.Fault
	switch n := s.Namespace; {
	case n == "":
		fs = append(fs, rules.Fault{Path: ".namespace", Text: "is empty", Hint: "write e.g. default"})
	case len(n) > mostNamespace:
		fs = append(fs, rules.Fault{Path: ".namespace", Text: "has more than 100 bytes", Hint: "write a shorter one"})
	case n != strings.ToLower(n) || strings.ContainsAny(n, `-\/*?"<>| ,#:@`):
		fs = append(fs, rules.Fault{Path: ".namespace", Text: n + " is none that Elasticsearch takes", Hint: "write small letters, digits, _ and . only"})
	}
	if s.ILMPolicy == "" && time.Duration(s.Retention) < leastRetention {
		fs = append(fs, rules.Fault{Path: ".retention", Text: s.Retention.String() + " is less than 1h", Hint: "write e.g. 30d"})
	}
	return fs
}
