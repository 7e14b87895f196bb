package postgres

import (
	"context"
	"errors"

	"flyball/app/product"
)

// Create is described at [product.Store].
func (s *Store) Create(ctx context.Context, p product.Product) (product.Product, error) {
	return within(ctx, s, "create product", func(ctx context.Context) (product.Product, error) {
		r, err := fresh(p, row{})
		if err != nil {
			return product.Product{}, err
		}
		for n := 0; ; n++ {
			now, err := s.swap(ctx, r)
			switch {
			case err != nil:
				return product.Product{}, err
			case now.Version == r.Version:
				return r.Product, nil
			case now.ID != "" && !now.gone:
				return product.Product{}, product.ErrExists
			}
			r.previous = now.Version // there was one, and it is deleted
			if n > 0 && pause(ctx, n) != nil {
				return product.Product{}, errContended
			}
		}
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
	return within(ctx, s, "update product", func(ctx context.Context) (product.Product, error) {
		return s.change(ctx, p.ID, p.Version, func(old row) (row, error) {
			r, err := fresh(p, old)
			r.Created = old.Created
			return r, err
		})
	})
}

// Delete is described at [product.Store].
func (s *Store) Delete(ctx context.Context, id, version string) error {
	_, err := within(ctx, s, "delete product", func(ctx context.Context) (product.Product, error) {
		return s.change(ctx, id, version, func(old row) (row, error) { return marker(old), nil })
	})
	return err
}

// find reads a product.
func (s *Store) find(ctx context.Context, id string) (row, error) {
	r, err := s.read(ctx, id)
	if err == nil && (r.ID == "" || r.gone) {
		err = product.ErrNotFound
	}
	if err != nil {
		return row{}, err
	}
	return r, nil
}

// change puts another row in the place of a product that has a version. If any version
// will do, it does so again with whatever another writer has put there in between.
func (s *Store) change(ctx context.Context, id, version string, next func(old row) (row, error)) (product.Product, error) {
	for n := 0; ; n++ {
		old, err := s.find(ctx, id)
		if err != nil {
			return product.Product{}, err
		}
		if version != "" && version != old.Version {
			return product.Product{}, product.ErrConflict
		}
		to, err := next(old)
		if err != nil {
			return product.Product{}, err
		}
		switch err = s.replace(ctx, to); {
		case err == nil:
			return to.Product, nil
		case version != "" || !errors.Is(err, product.ErrConflict):
			return product.Product{}, err
		case pause(ctx, n) != nil:
			return product.Product{}, errContended
		}
	}
}

// replace swaps, and says why if something else stands there.
func (s *Store) replace(ctx context.Context, to row) error {
	now, err := s.swap(ctx, to)
	switch {
	case err != nil:
		return err
	case now.Version == to.Version:
		return nil
	case now.ID == "" || now.gone:
		return product.ErrNotFound
	}
	return product.ErrConflict
}

// fresh is the row of a product with a new version, to stand in the place of an old row.
func fresh(p product.Product, old row) (row, error) {
	params, err := p.Parameters.Encode()
	if err != nil {
		return row{}, mistake{err}
	}
	if p.Parameters, err = product.DecodeParameters(params); err != nil { // a copy, in the form in which it will be read
		return row{}, mistake{err}
	}
	p.Version = product.NewVersion()
	p.Created, p.Updated = micros(p.Created), micros(p.Updated)
	return row{Product: p, params: params, previous: old.Version}, nil
}
