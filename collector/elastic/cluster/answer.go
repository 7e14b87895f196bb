package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/elastic/go-elasticsearch/v8/esutil"
)

// A decoder reads the answer to one bulk request of so many documents.
type decoder struct{ items int }

// What an answer mostly is.
const (
	itemsBegin = `{"items":[`
	itemsEnd   = `]}`
	itemTaken  = `{"create":{"status":201}}`
)

// An item is one of an answer: the operation's name, and what became of it.
type item = map[string]esutil.BulkIndexerResponseItem

// UnmarshalFromReader reads an answer. One that has not an item for each document
// is errGarbled: nobody knows then which item is about which.
func (d decoder) UnmarshalFromReader(r io.Reader, b *esutil.BulkIndexerResponse) error {
	text := bytes.NewBuffer(make([]byte, 0, len(itemsBegin)+d.items*(len(itemTaken)+1)+bytes.MinRead))
	if _, err := text.ReadFrom(io.LimitReader(r, mostAnswer)); err != nil {
		return err
	}
	var ok bool
	if b.Items, ok = readItems(text.Bytes(), d.items); !ok {
		if err := json.Unmarshal(text.Bytes(), b); err != nil {
			return fmt.Errorf("%w: %w", errGarbled, err)
		}
	}
	if len(b.Items) != d.items {
		return fmt.Errorf("%w: it has %d items for %d documents", errGarbled, len(b.Items), d.items)
	}
	return nil
}

// readItems reads an answer as it is when filter_path is heeded. The items of
// documents that were created, which most are, are all one map: decoding them one by
// one would take more time than writing the request does. It is false if the answer
// has another form.
func readItems(text []byte, most int) ([]item, bool) {
	rest, ok := bytes.CutPrefix(text, []byte(itemsBegin))
	if !ok {
		return nil, false
	}
	created := item{"create": {Status: http.StatusCreated}}
	items := make([]item, 0, most)
	for {
		one := created
		if after, ok := bytes.CutPrefix(rest, []byte(itemTaken)); ok {
			rest = after
		} else {
			d := json.NewDecoder(bytes.NewReader(rest))
			if one = nil; d.Decode(&one) != nil || one == nil {
				return nil, false
			}
			rest = rest[d.InputOffset():]
		}
		items = append(items, one)
		if bytes.Equal(rest, []byte(itemsEnd)) {
			return items, true
		}
		if rest, ok = bytes.CutPrefix(rest, []byte(",")); !ok {
			return nil, false
		}
	}
}
