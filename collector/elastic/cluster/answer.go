package cluster

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/elastic/go-elasticsearch/v8/esutil"
)

// A decoder reads the answer to one bulk request of a known number of items.
type decoder struct{ items int }

// UnmarshalFromReader reads an answer; one that has not an item for each that was
// sent is errGarbled.
func (d decoder) UnmarshalFromReader(r io.Reader, b *esutil.BulkIndexerResponse) error {
	if err := json.NewDecoder(io.LimitReader(r, mostAnswer)).Decode(b); err != nil {
		return fmt.Errorf("%w: %w", errGarbled, err)
	}
	if len(b.Items) != d.items {
		return fmt.Errorf("%w: it has %d items for %d documents", errGarbled, len(b.Items), d.items)
	}
	return nil
}
