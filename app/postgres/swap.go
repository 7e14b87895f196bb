package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"flyball/app/product"
)

// A row is a product as it is stored, or the marker of one that was deleted.
type row struct {
	product.Product
	params   string   // the parameters as they are stored
	gone     bool     // it is a marker
	first    string   // version with which the row was made
	trail    []string // versions before this one
	previous string   // of a row to be written: the version in whose place it is put; "" if there is no row
}

const (
	// columns are those of a row, in the order in which scan reads them.
	columns = "id, type, name, parameters, version, first, trail, created, updated, gone IS NOT NULL"

	selectRow = "SELECT " + columns + " FROM product WHERE id = $1"

	insertRow = `
INSERT INTO product (id, type, name, parameters, version, first, created, updated)
VALUES ($1, $2, $3, $4, $5, $5, $6, $7) ON CONFLICT (id) DO NOTHING`

	// latest keeps the versions by which a write in doubt is found again, though others
	// have replaced it. A trail of 32 begins anew, and keep has put it aside before, for
	// many times the patience of a store. Twice as many are swept as are put there.
	latest = "trail = CASE WHEN cardinality(trail) < 32 THEN ARRAY[version] || trail ELSE ARRAY[version] END"
	keep   = `
	past AS (SELECT ctid FROM product_past WHERE at < now() - interval '10 minutes' ORDER BY at LIMIT 2 FOR UPDATE SKIP LOCKED),
	forgotten AS (DELETE FROM product_past USING past WHERE product_past.ctid = past.ctid AND EXISTS (SELECT FROM written WHERE cardinality(trail) = 32)),
	kept AS (INSERT INTO product_past (id, versions) SELECT id, trail FROM written WHERE cardinality(trail) = 32)
SELECT FROM written`

	replaceRow = `
WITH written AS (
	UPDATE product SET ` + latest + `, type = $2, name = $3, parameters = $4, version = $5, created = $6, updated = $7, gone = NULL
	WHERE id = $1 AND version = $8 RETURNING id, trail),` + keep

	// markRow also removes two markers that are a day old: longer than a server that
	// hangs may still have an insertion before it that was given up. There are thus
	// never more than those of a day.
	markRow = `
WITH old AS (SELECT id FROM product WHERE gone < now() - interval '1 day' ORDER BY gone LIMIT 2 FOR UPDATE SKIP LOCKED),
	swept AS (DELETE FROM product USING old WHERE product.id = old.id),
	written AS (
	UPDATE product SET ` + latest + `, type = '', name = '', parameters = '{}', version = $2, gone = now()
	WHERE id = $1 AND version = $3 RETURNING id, trail),` + keep

	selectPast = "SELECT versions FROM product_past WHERE id = $1 AND versions && $2"
)

// marker is what stands for a while in the place of a product that is deleted.
func marker(deleted row) row {
	return row{Product: product.Product{ID: deleted.ID, Version: product.NewVersion()}, gone: true, previous: deleted.Version}
}

// read finds the row of an ID; if there is none, it is empty.
func (s *Store) read(ctx context.Context, id string) (r row, err error) {
	err = s.repeatable(ctx, func(ctx context.Context, c *pgx.Conn) error {
		r, err = scan(c.QueryRow(ctx, selectRow, id))
		return err
	})
	return r, err
}

func scan(from pgx.Row) (row, error) {
	var r row
	err := from.Scan(&r.ID, &r.Type, &r.Name, &r.params, &r.Version, &r.first, &r.trail, &r.Created, &r.Updated, &r.gone)
	if errors.Is(err, pgx.ErrNoRows) {
		return row{}, nil
	}
	if err != nil {
		return row{}, err
	}
	r.Created, r.Updated = micros(r.Created), micros(r.Updated)
	if r.Parameters, err = product.DecodeParameters(r.params); err != nil {
		return row{}, mistake{fmt.Errorf("product %s: %w", r.ID, err)}
	}
	return r, nil
}

// micros is a time as the database keeps it.
func micros(t time.Time) time.Time { return time.UnixMicro(t.UnixMicro()).UTC() }

// swap puts a row in the place of the one with its previous version ("" is none). It
// gives the version that stands there now, or none if there is no product: the new
// row's, or what was in the way. A failure after which nobody can say which wraps
// errUnknown.
func (s *Store) swap(ctx context.Context, to row) (row, error) {
	var doubt error // of a try before, which may have been made
	for n := 0; ; n++ {
		swapped, err := s.try(ctx, to)
		switch {
		case swapped:
			if doubt != nil {
				s.metrics.Doubt("not_made") // the try before was not, and cannot be any more
			}
			return to, nil
		case err == nil && doubt == nil:
			return s.read(ctx, to.ID)
		case err == nil:
			return s.settle(ctx, to, doubt)
		case doubt == nil && !harmless(err):
			doubt = err
		}
		if !passing(err) || pause(ctx, n) != nil {
			return row{}, s.unknown(doubt, err)
		}
	}
}

// try makes one try and says whether the row was put there.
func (s *Store) try(ctx context.Context, to row) (swapped bool, err error) {
	err = s.once(ctx, func(ctx context.Context, c *pgx.Conn) error {
		statement, values := to.statement()
		tag, err := c.Exec(ctx, statement, values...)
		swapped = err == nil && tag.RowsAffected() == 1
		return err
	})
	return swapped, err
}

// statement is the one that puts a row in its place.
func (r row) statement() (string, []any) {
	values := []any{r.ID, r.Type, r.Name, r.params, r.Version, r.Created, r.Updated}
	switch {
	case r.gone:
		return markRow, []any{r.ID, r.Version, r.previous}
	case r.previous == "":
		return insertRow, values
	}
	return replaceRow, append(values, r.previous)
}

// settle says what became of a swap of which a try was in doubt, now that a later one
// has found something else in the row. The lock waits for a try that is still under
// way; and, being written, it waits for a synchronous standby to have all before it.
func (s *Store) settle(ctx context.Context, to row, doubt error) (row, error) {
	var r row
	err := s.repeatable(ctx, func(ctx context.Context, c *pgx.Conn) (err error) {
		if r, err = scan(c.QueryRow(ctx, selectRow+" FOR UPDATE", to.ID)); err != nil {
			return err
		}
		rows, err := c.Query(ctx, selectPast, to.ID, []string{to.Version, to.previous})
		if err != nil {
			return err
		}
		var past []string
		_, err = pgx.ForEachRow(rows, []any{&past}, func() error { r.trail = append(r.trail, past...); return nil })
		return err
	})
	if err != nil {
		return row{}, s.unknown(doubt, err)
	}
	made, known := r.tells(to)
	switch {
	case !known:
		return row{}, s.unknown(doubt, errors.New("nothing is left of its time"))
	case made:
		s.metrics.Doubt("made")
		return to, nil
	}
	s.metrics.Doubt("not_made")
	return r, nil
}

// tells reports whether a row has once been another one, if that is known.
func (r row) tells(to row) (made, known bool) {
	switch {
	case r.Version == to.Version, r.first == to.Version, slices.Contains(r.trail, to.Version):
		return true, true
	case r.ID == "", to.previous == "": // it would be the first, then
		return false, true
	}
	return false, slices.Contains(r.trail, to.previous)
}

// unknown is the error of a swap after its last try.
func (s *Store) unknown(doubt, err error) error {
	if doubt == nil {
		return err
	}
	s.metrics.Doubt("unknown")
	return fmt.Errorf("%w: %w; then %w", errUnknown, doubt, err)
}
