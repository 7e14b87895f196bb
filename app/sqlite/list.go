package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

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
	var page product.Page
	err := patiently(ctx, func(ctx context.Context) (err error) {
		page, err = s.page(ctx, q, after)
		return err
	})
	if err != nil {
		return product.Page{}, fmt.Errorf("list products: %w", err)
	}
	return page, nil
}

// page reads one product more than is asked for, to know whether there is a next page.
func (s *Store) page(ctx context.Context, q product.Query, after product.Cursor) (page product.Page, err error) {
	rows, err := s.rows(ctx, q, after)
	if err != nil {
		return product.Page{}, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if len(page.Products) == q.Limit {
			last := page.Products[q.Limit-1]
			page.Next = product.Cursor{Type: q.Type, ID: last.ID}.Token()
			return page, nil
		}
		p, err := scan(rows)
		if err != nil {
			return product.Page{}, err
		}
		page.Products = append(page.Products, p)
	}
	return page, rows.Err()
}

func (s *Store) rows(ctx context.Context, q product.Query, after product.Cursor) (*sql.Rows, error) {
	if q.Type == "" {
		return s.read.QueryContext(ctx, "SELECT "+columns+" FROM product WHERE id > ? ORDER BY id LIMIT ?", after.ID, q.Limit+1)
	}
	return s.read.QueryContext(ctx, "SELECT "+columns+" FROM product WHERE type = ? AND id > ? ORDER BY id LIMIT ?", q.Type, after.ID, q.Limit+1)
}
