package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/elastic/go-elasticsearch/v8/esutil"
)

// A bulk is one request. The library's indexer, which is used once, writes it and
// tells of each document what became of it; what it does not tell of stays unknown.
type bulk struct {
	cluster *Cluster
	ctx     context.Context // of the request
	docs    []Document
	at      []int  // indices into docs
	index   string // data stream of all of them; "": each has its own
	lines   []line
	answers []answer // by at
	failure error    // of the request as a whole

	asked, answered bool
}

// A line is a document's body, as the indexer reads it.
type line struct {
	bytes.Reader
	at int // index into answers
}

// send sends the documents of docs whose indices are in at, as one request, and
// returns when it was answered or has failed.
func (c *Cluster) send(ctx context.Context, docs []Document, at []int) *bulk {
	ctx, cancel := c.limited(ctx)
	defer cancel()
	b := &bulk{cluster: c, ctx: ctx, docs: docs, at: at, index: common(docs, at), lines: make([]line, len(at)), answers: make([]answer, len(at))}
	indexer, err := esutil.NewBulkIndexer(b.settings())
	if err != nil {
		b.failure = fmt.Errorf("make a bulk request: %w", err)
		return b
	}
	// Only ctx ends the request. The indexer is always waited for: answers are read
	// when it has returned.
	background := context.WithoutCancel(ctx)
	for i := range at {
		if err := indexer.Add(background, b.item(i)); err != nil {
			b.fail(background, err)
		}
	}
	if err := indexer.Close(background); err != nil {
		b.fail(background, err)
	}
	if b.answered {
		b.failure = c.note(unread(ctx, b.failure))
	}
	return b
}

// common is the data stream that all documents are for; "" if they are for several.
func common(docs []Document, at []int) string {
	for _, i := range at {
		if docs[i].Stream != docs[at[0]].Stream {
			return ""
		}
	}
	return docs[at[0]].Stream
}

// settings are those of an indexer with one worker, which writes one request, and
// does so when it is closed: the documents do not fill it.
func (b *bulk) settings() esutil.BulkIndexerConfig {
	const spare = 1 << 10 // else its buffer grows at the last document
	size := spare
	for _, i := range b.at {
		size += weight(b.docs[i])
	}
	return esutil.BulkIndexerConfig{
		NumWorkers:          1,
		QueueSizeMultiplier: min(len(b.at), 256),
		FlushBytes:          size,
		FlushInterval:       24 * time.Hour,
		Index:               b.index,
		Client:              b,
		Decoder:             decoder{len(b.at)},
		FilterPath:          []string{"items.*.status", "items.*.error", "items.*.failure_store"},
		Timeout:             time.Duration(b.cluster.config.Timeout) * 2 / 3, // so that we hear that a shard was not to be had
		OnError:             b.fail,
		OnFlushStart:        func(context.Context) context.Context { return b.ctx },
	}
}

// item is the i-th document of the request.
func (b *bulk) item(i int) esutil.BulkIndexerItem {
	d, l := b.docs[b.at[i]], &b.lines[i]
	l.Reset(d.Body)
	l.at = i
	item := esutil.BulkIndexerItem{Action: "create", DocumentID: d.ID, Body: l, OnSuccess: b.taken, OnFailure: b.turnedDown}
	if b.index == "" {
		item.Index = d.Stream
	}
	return item
}

// fail notes that the request failed as a whole. The indexer tells it once more for
// each document.
func (b *bulk) fail(_ context.Context, err error) {
	if b.failure == nil {
		b.failure = err
	}
}

func (b *bulk) taken(_ context.Context, i esutil.BulkIndexerItem, r esutil.BulkIndexerResponseItem) {
	b.answers[i.Body.(*line).at] = answer{status: r.Status, failureStore: r.FailureStore}
}

func (b *bulk) turnedDown(_ context.Context, i esutil.BulkIndexerItem, r esutil.BulkIndexerResponseItem, err error) {
	if err != nil {
		return
	}
	cause := errorCause{Reason: r.Error.Reason, Cause: &errorCause{Reason: r.Error.Cause.Reason}}
	b.answers[i.Body.(*line).at] = answer{status: r.Status, typ: cut(r.Error.Type), reason: cause.sentence(), failureStore: r.FailureStore}
}

// Perform sends the request that the indexer wrote.
func (b *bulk) Perform(r *http.Request) (*http.Response, error) {
	if b.asked {
		return nil, errors.New("send a bulk request: the indexer made two of it")
	}
	b.asked = true
	q := r.URL.Query()
	q.Set("require_data_stream", "true")
	r.URL.RawQuery = q.Encode()
	a, err := b.cluster.ask(r)
	b.answered = err == nil
	return a, err
}
