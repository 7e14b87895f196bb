package cassandra

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gocql/gocql"

	"flyball/app/product"
)

// A row is a product as it is stored, or the marker of one that was deleted.
type row struct {
	product.Product
	params string   // the parameters as they are stored
	entry  string   // of its entries in the listing
	past   []string // versions that this one has replaced, the last one first; "" is none
}

// goneMark begins the versions of markers. No product's version begins with it.
const goneMark = "gone-"

// remembered is how many versions of its past a row has: so often it may be replaced
// until a write that was in doubt meanwhile is found out about.
const remembered = 16

// memory is how long a marker stays, and an entry that belongs to no product: longer
// than any request that a frozen node may still have is kept by anybody.
const memory = 24 * time.Hour

// marker is what stands for a while in the place of a product that is deleted.
func marker(deleted row) row {
	return row{Product: product.Product{ID: deleted.ID, Version: goneMark + product.NewVersion()}, past: deleted.succession()}
}

// succession is the past of a row that replaces this one.
func (r row) succession() []string {
	past := append([]string{r.Version}, r.past...)
	return past[:min(len(past), remembered)]
}

// gone reports whether a version is that of a marker, or of no row at all.
func gone(version string) bool { return version == "" || strings.HasPrefix(version, goneMark) }

const (
	selectRow = "SELECT id, type, name, parameters, version, past, entry, created, updated FROM product WHERE id = ?"
	swapRow   = "UPDATE product USING TTL ? SET type = ?, name = ?, parameters = ?, version = ?, past = ?, entry = ?, created = ?, updated = ? WHERE id = ? IF version = ?"
)

// read finds the row of an ID; if there is none, it is empty.
func (s *Store) read(ctx context.Context, id string) (r row, err error) {
	err = patiently(ctx, func() error {
		r, err = scan(s.repeatable(ctx, selectRow, id))
		return err
	})
	return r, err
}

func scan(q *gocql.Query) (row, error) {
	var (
		r                row
		created, updated int64
	)
	err := q.Scan(&r.ID, &r.Type, &r.Name, &r.params, &r.Version, &r.past, &r.entry, &created, &updated)
	if errors.Is(err, gocql.ErrNotFound) {
		return row{}, nil
	}
	if err != nil || gone(r.Version) {
		return r, err
	}
	r.Created, r.Updated = micros(created), micros(updated)
	if r.Parameters, err = product.DecodeParameters(r.params); err != nil {
		return row{}, fmt.Errorf("%w: product %s: %w", errMistake, r.ID, err)
	}
	return r, nil
}

func micros(t int64) time.Time { return time.UnixMicro(t).UTC() }

// values are those of swapRow. A null is written where a marker has nothing to say.
func (r row) values() []any {
	var replaced any // null in the condition, if there is no row to replace
	if r.past[0] != "" {
		replaced = r.past[0]
	}
	if gone(r.Version) {
		return []any{int(memory / time.Second), nil, nil, nil, r.Version, r.past, nil, nil, nil, r.ID, replaced}
	}
	return []any{0, r.Type, r.Name, r.params, r.Version, r.past, r.entry, r.Created.UnixMicro(), r.Updated.UnixMicro(), r.ID, replaced}
}

// swap puts a row in the place of the one with the last version of its past. It
// gives the version that stands there now: the new row's, or the one that was in the
// way. A failure after which nobody can say which wraps errUnknown.
func (s *Store) swap(ctx context.Context, to row) (now string, err error) {
	values := to.values()
	var doubt error // of a try before, which may have been made
	for n := 0; ; n++ {
		now, err = s.try(ctx, to.Version, values)
		switch {
		case err == nil && doubt == nil:
			return now, nil
		case err == nil:
			return s.settle(ctx, to, now, doubt)
		case doubt == nil && !harmless(err) && maybe(err):
			doubt = err
		}
		if !passing(err) || pause(ctx, n) != nil {
			return "", s.giveUp(doubt, err)
		}
	}
}

// try makes one try and gives the version that stands there after it.
func (s *Store) try(ctx context.Context, to string, values []any) (string, error) {
	var now string
	swapped, err := s.once(ctx, swapRow, values...).ScanCAS(&now)
	if swapped {
		now = to
	}
	return now, err
}

// maybe reports whether an error leaves it open what was done: mistakes do not, and
// an ended context does.
func maybe(err error) bool {
	return passing(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// settle says what became of a swap of which a try was in doubt, now that a later one
// has been answered. If another version is there, either an earlier try was made and
// then replaced, or none was: what was replaced since is in the row.
func (s *Store) settle(ctx context.Context, to row, now string, doubt error) (string, error) {
	if now == to.Version {
		s.metrics.Doubt("made")
		return now, nil
	}
	var r row
	err := patiently(ctx, func() (err error) {
		r, err = scan(s.repeatable(ctx, selectRow, to.ID).Consistency(gocql.Consistency(gocql.LocalSerial)))
		return err
	})
	switch {
	case err != nil:
		return "", s.giveUp(doubt, err)
	case r.Version == to.Version || slices.Contains(r.past, to.Version):
		s.metrics.Doubt("made")
		return to.Version, nil
	case slices.Contains(r.past, to.past[0]): // and another was put in its place
		s.metrics.Doubt("not_made")
		return r.Version, nil
	}
	return "", s.giveUp(doubt, fmt.Errorf("the product has been replaced more than %d times since", remembered))
}

// giveUp is the error of a swap after its last try.
func (s *Store) giveUp(doubt, err error) error {
	if doubt == nil {
		return err
	}
	s.metrics.Doubt("unknown")
	return fmt.Errorf("%w: %w; then %w", errUnknown, doubt, err)
}
