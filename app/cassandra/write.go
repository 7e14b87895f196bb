package cassandra

import (
	"context"
	"errors"
	"fmt"

	"flyball/app/product"
)

// Create is described at [product.Store].
func (s *Store) Create(ctx context.Context, p product.Product) (product.Product, error) {
	return within(ctx, s, "create product", func(ctx context.Context) (product.Product, error) {
		r, err := fresh(p, row{})
		if err != nil {
			return product.Product{}, err
		}
		r.entry = r.Version
		if err := s.enter(ctx, r); err != nil {
			return product.Product{}, err
		}
		now, err := s.swap(ctx, r)
		for err == nil && gone(now) { // there was one, and it is deleted
			r.past = []string{now}
			now, err = s.swap(ctx, r)
		}
		if err := s.outcome(ctx, r, now, err, product.ErrExists); err != nil {
			return product.Product{}, err
		}
		return r.Product, nil
	})
}

// Get is described at [product.Store].
func (s *Store) Get(ctx context.Context, id string) (product.Product, error) {
	return within(ctx, s, "get product", func(ctx context.Context) (product.Product, error) {
		r, err := s.find(ctx, id)
		return r.Product, err
	})
}

// Update is described at [product.Store].
func (s *Store) Update(ctx context.Context, p product.Product) (product.Product, error) {
	return within(ctx, s, "update product", func(ctx context.Context) (got product.Product, err error) {
		err = s.change(ctx, p.ID, p.Version, func(old row) error {
			got, err = s.replace(ctx, old, p)
			return err
		})
		return got, err
	})
}

// Delete is described at [product.Store].
func (s *Store) Delete(ctx context.Context, id, version string) error {
	_, err := within(ctx, s, "delete product", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.change(ctx, id, version, func(old row) error { return s.forget(ctx, old) })
	})
	return err
}

// find reads a product.
func (s *Store) find(ctx context.Context, id string) (row, error) {
	r, err := s.read(ctx, id)
	if err == nil && gone(r.Version) {
		err = product.ErrNotFound
	}
	if err != nil {
		return row{}, err
	}
	return r, nil
}

// change makes a change to a product that has a version. If any version will do, it
// makes it again to whatever another writer has put there in between.
func (s *Store) change(ctx context.Context, id, version string, change func(old row) error) error {
	for n := 0; ; n++ {
		old, err := s.find(ctx, id)
		if err != nil {
			return err
		}
		if version != "" && version != old.Version {
			return product.ErrConflict
		}
		err = change(old)
		if version != "" || err != product.ErrConflict {
			return err
		}
		if pause(ctx, n) != nil {
			return errContended
		}
	}
}

// replace puts a product in the place of an older row of it.
func (s *Store) replace(ctx context.Context, old row, p product.Product) (product.Product, error) {
	r, err := fresh(p, old)
	if err != nil {
		return product.Product{}, err
	}
	r.Created = old.Created
	if r.Type != old.Type {
		r.entry = r.Version
		if err := s.enter(ctx, r); err != nil {
			return product.Product{}, err
		}
	}
	now, err := s.swap(ctx, r)
	if err := s.outcome(ctx, r, now, err, product.ErrConflict); err != nil {
		return product.Product{}, err
	}
	if r.entry != old.entry {
		s.withdraw(ctx, old)
	}
	return r.Product, nil
}

// fresh is the row of a product with a new version, to stand in the place of an old row.
func fresh(p product.Product, old row) (row, error) {
	params, err := p.Parameters.Encode()
	if err != nil {
		return row{}, fmt.Errorf("%w: %w", errMistake, err)
	}
	if p.Parameters, err = product.DecodeParameters(params); err != nil { // a copy, in the form in which it will be read
		return row{}, fmt.Errorf("%w: %w", errMistake, err)
	}
	p.Version = product.NewVersion()
	p.Created, p.Updated = micros(p.Created.UnixMicro()), micros(p.Updated.UnixMicro())
	return row{Product: p, params: params, entry: old.entry, past: old.succession()}, nil
}

// outcome says how the write of a product with a new row went. Entries that were made
// for it and will belong to no product are removed.
func (s *Store) outcome(ctx context.Context, r row, now string, err, lost error) error {
	if err == nil && now == r.Version {
		return nil
	}
	if r.entry == r.Version && !errors.Is(err, errUnknown) {
		s.withdraw(ctx, r)
	}
	if err == nil {
		err = missed(now, lost)
	}
	return err
}

// missed says why a swap found another version than the one to replace.
func missed(now string, lost error) error {
	if gone(now) {
		return product.ErrNotFound
	}
	return lost
}

// forget puts a marker in the place of a product.
func (s *Store) forget(ctx context.Context, old row) error {
	m := marker(old)
	now, err := s.swap(ctx, m)
	if err == nil && now != m.Version {
		err = missed(now, product.ErrConflict)
	}
	if err == nil {
		s.withdraw(ctx, old)
	}
	return err
}
