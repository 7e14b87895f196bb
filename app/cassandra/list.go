package cassandra

import (
	"context"
	"fmt"
	"sync"

	"github.com/gocql/gocql"

	"flyball/app/product"
)

// List is described at [product.Store].
func (s *Store) List(ctx context.Context, q product.Query) (product.Page, error) {
	var after product.Cursor
	if q.Token != "" {
		var err error
		if after, err = product.ParseToken(q.Token, q.Type); err != nil {
			return product.Page{}, fmt.Errorf("list products: %w", err)
		}
	}
	return within(ctx, s, "list products", func(ctx context.Context) (page product.Page, err error) {
		err = patiently(ctx, func() error {
			page, err = s.page(ctx, q, after.ID)
			return err
		})
		return page, err
	})
}

// page reads one product more than is asked for, to know whether there is a next page.
func (s *Store) page(ctx context.Context, q product.Query, after string) (page product.Page, err error) {
	m, err := s.merge(ctx, q.Type, after, q.Limit+1)
	if err != nil {
		return product.Page{}, err
	}
	defer m.close()
	for len(page.Products) <= q.Limit {
		candidates, err := m.next(q.Limit + 1 - len(page.Products))
		if err != nil {
			return product.Page{}, err
		}
		if len(candidates) == 0 {
			return page, nil
		}
		found, err := s.verify(ctx, q.Type, candidates)
		if err != nil {
			return product.Page{}, err
		}
		page.Products = append(page.Products, found...)
	}
	page.Products = page.Products[:q.Limit]
	page.Next = product.Cursor{Type: q.Type, ID: page.Products[q.Limit-1].ID}.Token()
	return page, nil
}

// readers is how many rows one listing reads at once.
const readers = 16

// verify reads the rows of candidates and gives those that are products of the type.
func (s *Store) verify(ctx context.Context, typ string, candidates []candidate) (found []product.Product, err error) {
	rows := make([]row, len(candidates))
	errs := make([]error, len(candidates))
	var wg sync.WaitGroup
	places := make(chan struct{}, readers)
	for i, c := range candidates {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			rows[i], errs[i] = scan(s.repeatable(ctx, selectRow, c.id))
		})
	}
	wg.Wait()
	for i, r := range rows {
		if errs[i] != nil {
			return nil, errs[i]
		}
		s.sweep(ctx, candidates[i].entries, r)
		if r.belongs(typ) {
			found = append(found, r.Product)
		}
	}
	return found, nil
}

// A merged listing gives the entries of all buckets in the order of their IDs.
type merged struct {
	typ     string
	buckets []*stream
}

// A stream is the entries of one bucket, read page by page.
type stream struct {
	iter *gocql.Iter
	head entry
	ends bool
}

// A candidate is an ID and its entries.
type candidate struct {
	id      string
	entries []entry
}

// merge begins to read all buckets, at once. Each is first asked for twice its share
// of what is wanted and a few, which is nearly always enough.
func (s *Store) merge(ctx context.Context, typ, after string, want int) (*merged, error) {
	m := &merged{typ: typ, buckets: make([]*stream, s.buckets)}
	size := 2*want/s.buckets + 6
	numbers := make([]int, s.buckets)
	for i := range numbers {
		numbers[i] = i
	}
	err := together(numbers, func(i int) error {
		m.buckets[i] = &stream{iter: s.repeatable(ctx, selectEntry, typ, i, after).PageSize(size).Prefetch(0).Iter()}
		return m.buckets[i].advance()
	})
	if err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

// next gives the next candidates, at most so many.
func (m *merged) next(most int) ([]candidate, error) {
	var cs []candidate
	for {
		first := m.first()
		if first == nil {
			return cs, nil
		}
		e := first.head
		e.typ = m.typ
		switch last := len(cs) - 1; {
		case last >= 0 && cs[last].id == e.id:
			cs[last].entries = append(cs[last].entries, e)
		case len(cs) == most:
			return cs, nil
		default:
			cs = append(cs, candidate{id: e.id, entries: []entry{e}})
		}
		if err := first.advance(); err != nil {
			return nil, err
		}
	}
}

// first is the stream with the least ID, or nil if all have ended. There are few:
// looking at each costs less than keeping them in order.
func (m *merged) first() (least *stream) {
	for _, s := range m.buckets {
		if !s.ends && (least == nil || s.head.id < least.head.id) {
			least = s
		}
	}
	return least
}

func (m *merged) close() {
	for _, s := range m.buckets {
		s.iter.Close()
	}
}

// advance reads the next entry.
func (s *stream) advance() error {
	s.ends = !s.iter.Scan(&s.head.id, &s.head.name, &s.head.made)
	if s.ends {
		return s.iter.Close()
	}
	return nil
}
