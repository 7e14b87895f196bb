package cluster

import "sync"

const (
	mostBytes  = 5 << 20 // of a request, before it is compressed
	leastBytes = 64 << 10
	mostItems  = 5000 // of a request
)

// A batch is what goes into one request: indices of documents.
type batch struct {
	at      []int
	garbled int // how often the answer could not be read
}

// halves are b's documents in two batches, or in one if there is one document.
func (b batch) halves() []batch {
	half := len(b.at) / 2
	if half == 0 {
		return []batch{b}
	}
	return []batch{{at: b.at[:half]}, {at: b.at[half:]}}
}

// divide puts the documents at the indices into batches of at most limit bytes,
// unless one document alone has more.
func divide(docs []Document, at []int, limit int) []batch {
	var bs []batch
	first, size := 0, 0
	for i, n := range at {
		w := weight(docs[n])
		if i > first && (size+w > limit || i-first == mostItems) {
			bs = append(bs, batch{at: at[first:i]})
			first, size = i, 0
		}
		size += w
	}
	if first < len(at) {
		bs = append(bs, batch{at: at[first:]})
	}
	return bs
}

// weight is how many bytes a document has in a request, at most.
func weight(d Document) int {
	const frame = len(`{"create":{"_id":"","_index":""}}`) + len("\n\n")
	return frame + len(d.ID) + len(d.Stream) + len(d.Body)
}

// A limit is how many bytes a request may have. It shrinks, until a restart, when
// the server finds requests too large.
type limit struct {
	mu    sync.Mutex
	bytes int
}

func (l *limit) get() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bytes == 0 {
		return mostBytes
	}
	return l.bytes
}

// shrink notes that a request of this size was too large.
func (l *limit) shrink(size int) {
	now := l.get()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes = min(now, max(size/2, leastBytes))
}
